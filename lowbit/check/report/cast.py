"""A conversion in words: its codes, its policy, and one difference with the arithmetic that leads to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from lowbit.check.cast.bug import CastBug
from lowbit.check.cast.input_classes import IN_RANGES
from lowbit.check.cast.operation import CastOperation
from lowbit.check.cast.pairs import PairBug
from lowbit.check.claims import Follows
from lowbit.check.report.values import NOT_WRITTEN, alternatives, listed
from lowbit.check.result import Example
from lowbit.check.stray import is_code
from lowbit.exact import FINITE, Exact, finite, format_value
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.explain import Explanation
from lowbit.oracle.cast.explain import explain as trace_of
from lowbit.policy.cast import DEFECTS, Policy

MOST_STEPS = 1000
"""A distance of more codes than this says nothing to a reader."""
MOST_ROUNDINGS = 3
"""Where more roundings cannot be told apart, none is told."""

ROUNDING_WORDS: Mapping[str, str] = {
    "nearest_even": "round-ties-even",
    "nearest_away": "round-ties-away",
    "nearest_zero": "round-ties-toward-zero",
    "nearest_up": "round-ties-up",
    "nearest_down": "round-ties-down",
    "nearest_odd": "round-ties-odd",
    "toward_zero": "truncating (toward zero)",
    "toward_positive": "rounding toward +infinity",
    "toward_negative": "rounding toward -infinity",
    "away_from_zero": "rounding away from zero",
    "to_odd": "rounding to odd",
}

AXIS_WORDS: Mapping[str, Mapping[Any, str]] = {
    "tie_without_mantissa": {
        "even": "takes a tie to the even code",
        "up": "takes a tie to the larger power of two",
    },
    "infinity": {
        "propagate": "keeps infinite inputs infinite",
        "saturate": "saturates infinite inputs",
        "nan": "turns infinite inputs into NaN",
    },
    "without_infinity": {
        "nan": "gives NaN where the format lacks infinity",
        "saturate": "gives the largest value where the format lacks infinity",
    },
    "nan": {
        "maximum": "turns NaN into the largest value",
        "signed_maximum": "turns NaN into the largest value of its sign",
        "minimum": "turns NaN into the lowest code",
        "zero": "turns NaN into zero",
        "negative_zero": "turns NaN into -0",
        "inverted_zero": "turns NaN into the zero of the other sign",
    },
    "nan_sign": {
        "keep": "keeps the sign of NaN",
        "drop": "drops the sign of NaN",
        "drop_input": "drops the sign of a NaN input",
    },
    "nan_code": {
        "canonical": "gives the canonical NaN",
        "all_ones": "gives the all-ones NaN",
        "payload": "keeps the payload of NaN",
    },
    "negative": {
        "nan": "turns negative inputs into NaN",
        "absolute": "drops the sign of negative inputs",
        "zero": "takes negative inputs to the smallest code",
        "by_direction": "takes negative inputs to NaN or the smallest code, as the rounding direction says",
    },
    "negative_zero": {"keep": "keeps the sign of zero", "positive": "drops the sign of zero"},
    "zero": {"minimum": "takes zero to the smallest code", "nan": "turns zero into NaN"},
    "underflow": {"minimum": "takes underflow to the smallest code", "nan": "turns underflow into NaN"},
    "flush_results": {
        "never": "keeps subnormal results",
        "after_rounding": "flushes subnormal results to zero after rounding (FTZ)",
        "before_rounding": "flushes subnormal results to zero before rounding (FTZ)",
    },
    "flush_inputs": {
        "never": "takes subnormal inputs as they are",
        "always": "takes subnormal inputs for zero (DAZ)",
    },
}

FLUSHES = "flushes subnormal results to zero, before or after rounding (FTZ)"


def overflow_words(policy: Policy, target: Scalar) -> str:
    """What finite overflow becomes in this format."""
    if policy.overflow in ("saturate", "wrap"):
        return "saturating" if policy.overflow == "saturate" else "wrapping"
    if target.wraps:
        return "saturating" if policy.overflow != "nan" else "giving an overflow what it gives NaN"
    if policy.overflow == "nan":
        return "overflowing to NaN"
    if not target.has_infinity:
        has_stand_in = policy.without_infinity == "nan" and target.has_nan
        return "overflowing to NaN" if has_stand_in else "saturating"
    return "overflowing to infinity" if policy.overflow == "infinity" else "overflowing as IEEE 754 says"


def rule_words(claims: Sequence[Follows], operation: CastOperation) -> str:
    """The policy that a device follows: its rounding and overflow, and what else differs from the one asked for."""
    target, asked = operation.formats[1], operation.policy
    policies: list[Policy] = [rule.policy for rule in claims[0].rules]  # type: ignore[attr-defined]
    live = claims[0].choices
    traits = []
    roundings = live.get("rounding", ())
    if 1 <= len(roundings) <= MOST_ROUNDINGS:
        traits.append(alternatives([ROUNDING_WORDS[value] for value in roundings]))
    if "overflow" in live:
        traits.append(alternatives([overflow_words(policy, target) for policy in policies]))
    acts = [*_acts(policies, asked, live, target), *_bug_words(claims), *_after_words(claims)]
    words = ", ".join([f"is {', '.join(traits)}", *acts] if traits else acts)
    return ": it ".join(filter(None, (_other_formats(claims[0].rules[0], operation), words)))


def _other_formats(rule: Any, operation: CastOperation) -> str:
    """``converts to float8_e5m2, not to float8_e4m3fn``, where the rules are about other formats."""
    source, target = operation.formats
    if rule.target.id != target.id:
        return f"converts to {rule.target.id}, not to {target.id}"
    return f"takes its inputs for {rule.source.id}, not for {source.id}" if rule.source.id != source.id else ""


def _merged(axis: str, values: Sequence[Any], target: Scalar) -> list[Any]:
    """The values, of those that are one and the same for integers the first."""
    if target.wraps and axis == "nan" and "zero" in values:
        return ["zero"]
    return list(values)


def _acts(policies: list[Policy], asked: Policy, live: Mapping[str, Any], target: Scalar) -> Iterator[str]:
    """What the policies do that was not asked for; where they do different things, one or the other."""
    words = {axis: words for axis, words in AXIS_WORDS.items() if axis in live}
    told = {axis: list(dict.fromkeys(getattr(policy, axis) for policy in policies)) for axis in words}
    for axis, values in told.items():
        if getattr(asked, axis) not in values:
            spoken = [_word(axis, value, target) for value in _merged(axis, values, target)]
            yield FLUSHES if len(spoken) > 1 and axis == "flush_results" else alternatives(spoken)
    vias = list(dict.fromkeys(policy.via for policy in policies))
    if all(vias):
        yield f"rounds twice, through {alternatives(vias)} first"
    for defects in [policies[0].defects] if all(policy.defects == policies[0].defects for policy in policies) else []:
        yield from (f"has the known defect {name}: {DEFECTS[name].summary}" for name in defects)
    yield from _either(policies, asked, target, list(words))


def _word(axis: str, value: Any, target: Scalar) -> str:
    """What a choice of an axis does; a format without NaN has something else for it."""
    if axis == "infinity" and value == "nan" and not target.has_nan:
        return "gives infinite inputs what it gives NaN"
    return AXIS_WORDS[axis][value]


def _either(policies: list[Policy], asked: Policy, target: Scalar, axes: Sequence[str]) -> Iterator[str]:
    """What some of the policies do, and others not: one of them has to be so."""
    phrases = []
    for policy in policies:
        own = [
            _word(axis, getattr(policy, axis), target)
            for axis in axes
            if getattr(policy, axis) != getattr(asked, axis)
            and any(getattr(other, axis) == getattr(asked, axis) for other in policies)
        ]
        own += (
            [f"rounds twice, through {policy.via} first"]
            if policy.via and not all(item.via for item in policies)
            else []
        )
        if any(item.defects != policy.defects for item in policies):
            own += [f"has the known defect {name}: {DEFECTS[name].summary}" for name in policy.defects]
        phrases.append(" and ".join(own))
    if all(phrases):
        yield alternatives(phrases)


def _bug_words(claims: Sequence[Follows]) -> list[str]:
    """Each bug once, and the inputs that have it where they are not what its words say already."""
    told: dict[str, list[Follows]] = {}
    for claim in claims:
        for words in _words_of(claim.bugs):
            told.setdefault(words, []).append(claim)
    return [f"{words}{_where(members)}" for words, members in told.items()]


def _words_of(bugs: Sequence[CastBug]) -> list[str]:
    """Bugs that cannot be told apart; of pairs with one bug in common, that one apart from the others."""
    pairs = [bug.parts for bug in bugs if isinstance(bug, PairBug)]
    if pairs and len(pairs) == len(bugs) and len({known.words for known, _ in pairs}) == 1:
        return [pairs[0][0].words, alternatives([other.words for _, other in pairs])]
    return [alternatives([bug.words for bug in bugs])] if bugs else []


def _after_words(claims: Sequence[Follows]) -> list[str]:
    """What is done to the results of the rule, in one or another way that the answers cannot tell apart."""
    words = [rule.after.words for rule in claims[0].rules if rule.after is not None]  # type: ignore[attr-defined]
    return [alternatives(words)] if words else []


def _where(claims: Sequence[Follows]) -> str:
    """``, for NaN inputs``; nothing for what is said of all numbers."""
    names = list(dict.fromkeys(name for claim in claims for name in claim.where))
    everywhere = any(bug.everywhere for claim in claims for bug in claim.bugs)
    return "" if everywhere or not IN_RANGES.isdisjoint(names) else f", for {listed(names)}"


def example_lines(example: Example, operation: CastOperation) -> list[str]:
    """The input, its exact value, both neighbours, the rule, and what came instead."""
    code = int(example.case.arrays["codes"][example.index])
    return explanation_lines(*operation.formats, example.detail, code, example.expected, example.got)


def explain_mismatch(source: Scalar, target: Scalar, policy: Policy, code: int, expected: int, got: int) -> str:
    """Why an input must give the expected code under a policy, over several lines."""
    trace = trace_of(decode(code, source), target, policy, source=source)
    return "\n".join(explanation_lines(source, target, trace, code, expected, got))


def explanation_lines(
    source: Scalar, target: Scalar, trace: Explanation, code: int, expected: int, got: int | None
) -> list[str]:
    """The lines of an explanation; ``got`` is None where nothing was written."""
    rows = [("input", describe_code(code, source))]
    rows.append(("expected", describe_code(expected, target)))
    rows.append(("got", NOT_WRITTEN if got is None else describe_code(got, target) + _distance(expected, got, target)))
    rows += [("through", f"{step.format}: {format_value(step.result)}") for step in trace.steps]
    if trace.lower != trace.upper:
        rows += _neighbours(trace, target)
    if trace.midpoint is not None:
        rows.append(("midpoint", f"{format_value(trace.midpoint)}{_between(trace)}; {_side(trace)}"))
    rows.append(("rule", trace.rule))
    return [f"{name:<9} {content}" for name, content in rows]


def _neighbours(trace: Explanation, target: Scalar) -> list[tuple[str, str]]:
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


def _missing(trace: Explanation) -> Exact | None:
    """Beyond the range: the value on the other side of the midpoint, which the format lacks."""
    ends = _finite_ends(trace)
    if trace.midpoint is None or len(ends) != 1:
        return None
    middle, end = trace.midpoint, ends[0]
    unit = min(middle.exponent, end.exponent)
    return finite(
        (middle.significand << (middle.exponent - unit + 1)) - (end.significand << (end.exponent - unit)), unit
    ).reduced()


def _finite_ends(trace: Explanation) -> list[Exact]:
    return [value for value in (trace.lower, trace.upper) if value is not None and value.kind == FINITE]


def _between(trace: Explanation) -> str:
    """What a midpoint beyond the range is the middle of."""
    missing = _missing(trace)
    if missing is None:
        return ""
    return f", between {format_value(_finite_ends(trace)[0])} and a missing {format_value(missing)}"


def _side(trace: Explanation) -> str:
    assert trace.midpoint is not None
    value, midpoint = trace.rounded_from.fraction(), trace.midpoint.fraction()
    return (
        "the input is this tie" if value == midpoint else f"the input is {'above' if value > midpoint else 'below'} it"
    )


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


def stray_hexadecimal(code: int, fmt: Scalar) -> str:
    """What was given instead of a code, with all bits of its container, or of 64 bits where that is too narrow."""
    fits = code >= np.iinfo(fmt.code_dtype).min
    pattern = code & ((1 << (fmt.container_bits if fits else 64)) - 1) if code < 0 else code
    return f"{pattern:#0{2 + fmt.container_bits // 4}x}"


def stray_words(code: int, fmt: Scalar) -> str:
    """``0x80 is not a code of float4_e2m1fn: upper bits are not zero``."""
    low, high = fmt.codes[0], fmt.codes[-1]
    if not fmt.wraps:
        return f"{stray_hexadecimal(code, fmt)} is not a code of {fmt.id}: upper bits are not zero"
    reason = f"the codes are {low} to {high}"
    if fmt.signed and high < code < 1 << fmt.bits:
        reason += f", sign-extended to {fmt.code_dtype}"
    return f"{stray_hexadecimal(code, fmt)} = {code} is not a code of {fmt.id}: {reason}"
