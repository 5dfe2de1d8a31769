"""The axes on which real implementations of a conversion differ, and what each choice means.

Only words: :class:`lowbit.policy.cast.Policy` is one choice on each axis, and the oracle and the lowering read it.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from lowbit.errors import PolicyError

ROUNDINGS: Mapping[str, str] = MappingProxyType(
    {
        "nearest_even": "to nearest, a tie goes to the even code (IEEE 754-2019 4.3.1; P3109 NearestTiesToEven)",
        "nearest_away": "to nearest, a tie goes away from zero (IEEE 754-2019 4.3.1 roundTiesToAway)",
        "nearest_zero": "to nearest, a tie goes toward zero",
        "nearest_up": "to nearest, a tie goes toward +infinity",
        "nearest_down": "to nearest, a tie goes toward -infinity",
        "nearest_odd": "to nearest, a tie goes to the odd code",
        "toward_zero": "truncate (IEEE 754-2019 4.3.2)",
        "toward_positive": "toward +infinity (IEEE 754-2019 4.3.2)",
        "toward_negative": "toward -infinity (IEEE 754-2019 4.3.2)",
        "away_from_zero": "any inexact value goes to the neighbour of larger magnitude",
        "to_odd": "any inexact value goes to the neighbour with the odd code (von Neumann; P3109 ToOdd)",
        "stochastic_a": "up in magnitude if floor(v*2^N) + R >= 2^N, v the discarded fraction (P3109 StochasticA)",
        "stochastic_b": "up in magnitude if floor(v*2^(N+1)) + 2R + 1 >= 2^(N+1) (P3109 StochasticB)",
        "stochastic_c": "up in magnitude if nearest_even(v*2^N) + R >= 2^N (P3109 StochasticC)",
    }
)

CHOICES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "rounding": ROUNDINGS,
        "tie_without_mantissa": {
            "even": "the even code (P3109: exponent parity; gfloat)",
            "up": "the larger power of two (ml_dtypes, CUDA and ONNX for E8M0)",
        },
        "overflow": {
            "ieee": "infinity or the largest finite value, as the rounding direction says (IEEE 754-2019 7.4)",
            "infinity": "infinity whatever the direction (OFP8 non-saturating)",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "wrap": "modulo 2^bits (integers and fixed point only)",
            "error": "raise",
        },
        "infinity": {
            "propagate": "infinity stays infinity",
            "saturate": "the largest finite value",
            "nan": "NaN",
            "error": "raise",
        },
        "without_infinity": {
            "nan": "NaN stands in for an infinity that the format lacks; the largest value where it lacks NaN too",
            "saturate": "the largest finite value stands in (P3109 v4.0 SatNone)",
        },
        "nan": {
            "maximum": "the largest finite value, sign dropped (CUDA; ONNX up to 1.18)",
            "signed_maximum": "the largest finite value with the sign of the NaN",
            "minimum": "the lowest code (x86 conversions to integers)",
            "zero": "zero (saturating float-to-integer conversions of LLVM, Arm, WebAssembly)",
            "negative_zero": "the code of -0, zero where the format has none",
            "inverted_zero": "-0 for a positive NaN and +0 for a negative one (ml_dtypes FP4 and FP6)",
            "error": "raise",
        },
        "nan_sign": {
            "keep": "the sign of the NaN, or of the value that it stands for, is kept",
            "drop": "every NaN is positive",
            "drop_input": "a NaN input gives a positive NaN; one that stands for an overflow or infinity keeps its "
            "sign (CUDA)",
        },
        "nan_code": {
            "canonical": "the canonical NaN of the format",
            "all_ones": "the NaN with all mantissa bits set (CUDA's float path, RISC-V E5M2)",
            "payload": "the leading payload bits are kept and the quiet bit set (IEEE 754-2019 6.2.3)",
        },
        "negative": {
            "nan": "NaN",
            "absolute": "the sign is dropped before rounding (CUDA E8M0 and UE5M3)",
            "zero": "the smallest code: zero, where the format has one",
            "by_direction": "NaN; the smallest code for a finite value rounded toward zero or up (P3109 v4.0 SatNone)",
            "error": "raise",
        },
        "negative_zero": {"keep": "-0 where the format has it", "positive": "every zero is +0"},
        "zero": {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
        "underflow": {
            "minimum": "the smallest code",
            "nan": "NaN",
            "error": "raise",
        },
        "flush_results": {
            "never": "gradual underflow",
            "after_rounding": "a result that is subnormal after rounding becomes zero",
            "before_rounding": "a value below the smallest normal one becomes zero, even if it would round up to it",
        },
        "flush_inputs": {"never": "subnormal inputs count", "always": "subnormal inputs are zero (DAZ)"},
    }
)
"""Every axis with a closed set of values: axis -> value -> what it means."""

AXES: Mapping[str, str] = MappingProxyType(
    {
        "rounding": "which neighbour an inexact value goes to",
        "tie_without_mantissa": "what an 'even' tie means in a format of powers of two",
        "overflow": "a finite value that rounds beyond the largest one",
        "infinity": "an infinite input",
        "without_infinity": "what stands in for infinity where the format has none",
        "nan": "a NaN input where the format has no NaN",
        "nan_sign": "the sign of a NaN result",
        "nan_code": "which NaN code",
        "negative": "a negative value into an unsigned float format",
        "negative_zero": "the sign of a zero result, underflow included",
        "zero": "a zero input where the format has no zero",
        "underflow": "a nonzero value that rounds below the smallest one where the format has no zero",
        "flush_results": "subnormal results (FTZ)",
        "flush_inputs": "subnormal inputs (DAZ)",
        "via": "an intermediate format that the value is rounded to first, to nearest even",
        "random_bits": "N, the number of random bits of a stochastic mode",
    }
)
"""What each axis decides."""


def read_choice(axis: str, text: str) -> str | int:
    """The value of an axis from text: the number of ``random_bits``, the text itself for the other axes.

    Raises
    ------
    PolicyError
        A number is needed and the text is none.
    """
    if axis != "random_bits":
        return text
    if not (text.isascii() and text.isdigit()):
        raise PolicyError(f"random_bits = {text!r} is not an integer", hint="random_bits=8, say")
    return int(text)


def require_choice(axis: str, value: object, values: Mapping[str, Any]) -> None:
    """Raise a PolicyError that suggests the nearest name if ``value`` is not one of ``values``."""
    if isinstance(value, str) and value in values:
        return
    close = get_close_matches(str(value), list(values), n=1)
    suggestion = f"did you mean {close[0]!r}? " if close else ""
    if isinstance(value, str) and axis in {"policy", "policy axis"}:
        suggestion = _choice_of_an_axis(value) or suggestion
    raise PolicyError(f"{axis} = {value!r} is unknown", hint=f"{suggestion}one of {', '.join(values)}")


def _choice_of_an_axis(value: object) -> str:
    """How to write a choice that was given for a policy; empty if no axis has such a choice."""
    first, *others = [axis for axis, choices in CHOICES.items() if value in choices] or [""]
    if not first:
        return ""
    option = f"--{first} {value}" if first in {"rounding", "overflow"} else f"--choice {first}={value}"
    also = f" (and of {', '.join(others)})" if others else ""
    return f"{value!r} is a choice of {first}{also}: {option}, or Policy({first}={value!r}); else "
