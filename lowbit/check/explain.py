"""One mismatch, explained: the input, its exact value, both neighbours, the rule, and what came instead."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.dyadic import FINITE, format_value
from lowbit.oracle.decode import decode
from lowbit.oracle.explain import Explanation as Trace
from lowbit.oracle.explain import explain as trace_of
from lowbit.policy import Policy
from lowbit.spec import FixedFormat, FloatFormat, Scalar


@dataclass(frozen=True)
class Explanation:
    """The facts of one mismatch.

    Attributes
    ----------
    code, expected, got : int
    trace : lowbit.oracle.explain.Explanation
        How the reference came to its answer.
    text : str
        All of it over several lines.
    """

    code: int
    expected: int
    got: int
    trace: Trace
    text: str


def explain(source: Scalar, target: Scalar, policy: Policy, code: int, expected: int, got: int) -> Explanation:
    """Explain why an input must give the expected code under a policy."""
    trace = trace_of(decode(code, source), target, policy, source=source)
    rows = [("input", describe_code(code, source))]
    rows.append(("expected", describe_code(expected, target)))
    rows.append(("got", describe_code(got, target) + _distance(expected, got, target)))
    rows += [("through", f"{step.format}: {format_value(step.result)}") for step in trace.steps]
    if trace.lower != trace.upper:
        rows += [
            (name, format_value(value) + ("" if code is None else f"  {hexadecimal(code, target)}"))
            for name, value, code in (
                ("below", trace.lower, trace.lower_code),
                ("above", trace.upper, trace.upper_code),
            )
            if value is not None
        ]
    if trace.midpoint is not None:
        rows.append(("midpoint", f"{format_value(trace.midpoint)}; {_side(trace)}"))
    rows.append(("rule", trace.rule))
    text = "\n".join(f"{name:<9} {content}" for name, content in rows)
    return Explanation(code, expected, got, trace, text)


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
    if not _is_code(code, fmt):
        return f"{code:#x}  no code of {fmt.id}"
    return f"{hexadecimal(code, fmt)}  {split_fields(code, fmt)} = {format_value(decode(code, fmt))}"


def hexadecimal(code: int, fmt: Scalar) -> str:
    """A code as hexadecimal digits of the format's width, two's complement where it is negative."""
    return f"0x{code & ((1 << fmt.bits) - 1):0{-(-fmt.bits // 4)}x}"


def split_fields(code: int, fmt: Scalar) -> str:
    """The bits of a code with a point between sign, exponent and mantissa; integers stay whole."""
    bits = f"{code & ((1 << fmt.bits) - 1):0{fmt.bits}b}"
    if isinstance(fmt, FixedFormat):
        whole = fmt.bits - fmt.fraction_bits
        return f"{bits[:whole]}.{bits[whole:]}" if 0 < whole < fmt.bits else bits
    ends = [int(fmt.signed), int(fmt.signed) + fmt.exponent_bits]
    return ".".join(part for part in (bits[: ends[0]], bits[ends[0] : ends[1]], bits[ends[1] :]) if part)


def _is_code(code: int, fmt: Scalar) -> bool:
    if isinstance(fmt, FixedFormat):
        return fmt.min_code <= code <= fmt.max_code
    return 0 <= code < 1 << fmt.bits


def _distance(expected: int, got: int, fmt: Scalar) -> str:
    """How far off the answer is: which field differs, or how many codes."""
    if not _is_code(got, fmt):
        return ""
    both = [decode(expected, fmt), decode(got, fmt)]
    if any(value.kind != FINITE for value in both):
        return ""
    if isinstance(fmt, FloatFormat):
        if expected ^ got == fmt.sign_bit:
            return "  (the sign differs)"
        steps = (got & ~fmt.sign_bit) - (expected & ~fmt.sign_bit)
        if (expected ^ got) & fmt.sign_bit:
            return "  (the sign differs too)"
    else:
        steps = got - expected
    return f"  ({abs(steps)} {'code' if abs(steps) == 1 else 'codes'} {'up' if steps > 0 else 'down'} in magnitude)"
