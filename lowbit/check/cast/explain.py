"""One mismatch, explained: the input, its exact value, both neighbours, the rule, and what came instead."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.check.cast.stray import is_code, stray_words
from lowbit.exact import FINITE, Exact, finite, format_value
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.explain import Explanation as Trace
from lowbit.oracle.cast.explain import explain as trace_of
from lowbit.policy.cast import Policy

NOT_WRITTEN = "not written"
"""What reports give for a result that a device's file has no word for, or one with unknown bits."""

MOST_STEPS = 1000
"""A distance of more codes than this says nothing to a reader."""


@dataclass(frozen=True)
class Explanation:
    """The facts of one mismatch.

    Attributes
    ----------
    code, expected : int
    got : int or None
    trace : lowbit.oracle.cast.explain.Explanation
        How the reference came to its answer.
    text : str
        All of it over several lines.
    """

    code: int
    expected: int
    got: int | None
    trace: Trace
    text: str


def explain(source: Scalar, target: Scalar, policy: Policy, code: int, expected: int, got: int | None) -> Explanation:
    """Explain why an input must give the expected code under a policy; ``got`` is None where nothing was written."""
    trace = trace_of(decode(code, source), target, policy, source=source)
    rows = [("input", describe_code(code, source))]
    rows.append(("expected", describe_code(expected, target)))
    rows.append(("got", NOT_WRITTEN if got is None else describe_code(got, target) + _distance(expected, got, target)))
    rows += [("through", f"{step.format}: {format_value(step.result)}") for step in trace.steps]
    if trace.lower != trace.upper:
        rows += _neighbours(trace, target)
    if trace.midpoint is not None:
        rows.append(("midpoint", f"{format_value(trace.midpoint)}{_between(trace)}; {_side(trace)}"))
    rows.append(("rule", trace.rule))
    text = "\n".join(f"{name:<9} {content}" for name, content in rows)
    return Explanation(code, expected, got, trace, text)


def _neighbours(trace: Trace, target: Scalar) -> list[tuple[str, str]]:
    rows = [
        (name, format_value(value) + ("" if code is None else f"  {target.hexadecimal(code)}"))
        for name, value, code in (("below", trace.lower, trace.lower_code), ("above", trace.upper, trace.upper_code))
        if value is not None
    ]
    missing = _missing(trace)
    if missing is None or (trace.lower is not None and trace.upper is not None):
        return rows
    # The format has nothing on that side: the value that decides the rounding is the one that the next code would have.
    if missing.significand > 0:
        within = trace.rounded_from.fraction() <= missing.fraction()
        return [*rows, ("above", f"{format_value(missing)}, beyond the largest value")] if within else rows
    within = trace.rounded_from.fraction() >= missing.fraction()
    return [("below", f"{format_value(missing)}, beyond the lowest value"), *rows] if within else rows


def _missing(trace: Trace) -> Exact | None:
    """Beyond the range: the value on the other side of the midpoint, which the format lacks."""
    ends = _finite_ends(trace)
    if trace.midpoint is None or len(ends) != 1:
        return None
    middle, end = trace.midpoint, ends[0]
    unit = min(middle.exponent, end.exponent)
    return finite(
        (middle.significand << (middle.exponent - unit + 1)) - (end.significand << (end.exponent - unit)), unit
    ).reduced()


def _finite_ends(trace: Trace) -> list[Exact]:
    return [value for value in (trace.lower, trace.upper) if value is not None and value.kind == FINITE]


def _between(trace: Trace) -> str:
    """What a midpoint beyond the range is the middle of."""
    missing = _missing(trace)
    if missing is None:
        return ""
    return f", between {format_value(_finite_ends(trace)[0])} and a missing {format_value(missing)}"


def _side(trace: Trace) -> str:
    assert trace.midpoint is not None
    value, midpoint = trace.rounded_from.fraction(), trace.midpoint.fraction()
    return (
        "the input is this tie" if value == midpoint else f"the input is {'above' if value > midpoint else 'below'} it"
    )


def explain_mismatch(source: Scalar, target: Scalar, policy: Policy, code: int, expected: int, got: int) -> str:
    """The text of :func:`explain`."""
    return explain(source, target, policy, code, expected, got).text


def describe_code(code: int, fmt: Scalar) -> str:
    """``0x3c100000  0.01111000.001... = 9/8*2^-7``: bits by field, and the exact value."""
    if not is_code(code, fmt):
        return stray_words(code, fmt)
    return f"{fmt.hexadecimal(code)}  {fmt.split(code)} = {format_value(decode(code, fmt))}"


def _distance(expected: int, got: int, fmt: Scalar) -> str:
    """How far off the answer is: which field differs, or how many codes."""
    if not is_code(got, fmt):
        return ""
    both = [decode(expected, fmt), decode(got, fmt)]
    if any(value.kind != FINITE for value in both):
        return ""
    if expected ^ got == fmt.sign_bit:
        return "  (the sign differs)"
    if (expected ^ got) & fmt.sign_bit:
        return "  (the sign differs too)"
    steps = (got & ~fmt.sign_bit) - (expected & ~fmt.sign_bit)
    if abs(steps) > MOST_STEPS:
        return ""
    return f"  ({abs(steps)} {'code' if abs(steps) == 1 else 'codes'} {'up' if steps > 0 else 'down'} in magnitude)"
