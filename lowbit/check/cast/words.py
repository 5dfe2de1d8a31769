"""An identification in words: "is round-ties-away, saturating, flushes subnormal results, and is otherwise exact"."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from lowbit.check.cast.candidates import HYPOTHESES
from lowbit.check.cast.identify import Identification, Unexplained
from lowbit.check.cast.input_classes import IN_RANGE
from lowbit.exact import format_exact
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import DEFECTS, Policy

ROUNDING_WORDS: Mapping[str, str] = MappingProxyType(
    {
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
)

AXIS_WORDS: Mapping[str, Mapping[Any, str]] = MappingProxyType(
    {
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
)


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


def describe(found: Identification, expected: Policy, target: Scalar) -> str:
    """What the device does, to follow "your kernel": its rounding and overflow, and what else differs."""
    policy = found.closest(expected)
    traits, acts = [], []
    live = found.values()
    if 1 <= len(live.get("rounding", ())) < len(ROUNDING_WORDS):
        traits.append(ROUNDING_WORDS[policy.rounding])
    if "overflow" in live:
        traits.append(overflow_words(policy, target))
    acts += [
        words[getattr(policy, axis)]
        for axis, words in AXIS_WORDS.items()
        if axis in live and getattr(policy, axis) != getattr(expected, axis)
    ]
    if policy.via:
        acts.append(f"rounds twice, through {policy.via} first")
    acts += [f"has the known defect {name}: {DEFECTS[name].summary}" for name in policy.defects]
    acts += [_bug_words(name, where) for name, where in found.bugs.items()]
    sentence = ", ".join([f"is {', '.join(traits)}", *acts] if traits else acts)
    if not found.unexplained:
        return f"{sentence}, and is otherwise exact" if sentence else "is exact where its answers are codes"
    sentence = sentence or "follows no rule that these inputs could tell"
    return f"{sentence}; but {unexplained_words(found, target)}"


def _bug_words(name: str, where: list[str]) -> str:
    """A bug, and the inputs that have it where they are not what its words say already."""
    words = HYPOTHESES[name].words
    return words if "overflow" in words or IN_RANGE in where else f"{words} of {' and '.join(where)}"


def unexplained_words(found: Identification, target: Scalar) -> str:
    """How many inputs follow no known rule, and what all of them become, if it is one thing."""
    return " and ".join(_unexplained(item, target) for item in found.unexplained)


def _unexplained(item: Unexplained, target: Scalar) -> str:
    count = f"{len(item.rows)} of {item.total} {item.name}"
    sign = target.sign_bit
    magnitudes = {int(code) & ~sign for code in item.got}
    if len(magnitudes) > 1:
        return f"{count} follow no rule that lowbit knows"
    value = format_exact(decode(magnitudes.pop(), target))
    both = "±" if sign and len(set(item.got.tolist())) > 1 else ""
    return f"{count} become {both}{value}, which no rule that lowbit knows asks for"


def choices_words(found: Identification) -> dict[str, str]:
    """Axis -> what is left of it; several values mean that the inputs cannot tell them apart.

    A second rounding or a defect of some product is left out where it is not needed.
    """
    return {
        axis: "|".join(spell(value) for value in values)
        for axis, values in found.values().items()
        if axis not in ("via", "defects") or not any(value in ("", ()) for value in values)
    }


def spell(value: Any) -> str:
    """A choice as a word."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return str(value) or "none"
