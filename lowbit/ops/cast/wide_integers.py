"""Integers beyond the fast path's 55 bits into fixed point: Python integers, an element at a time.

INT64_MIN, uint64 values from 2**63 and the ends of 64-bit targets come this way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import FixedFormat
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.outcomes import FixedOutcomes
from lowbit.policy.cast import Policy


class Wide(NamedTuple):
    """Finite values ``±magnitude * 2**exponent``, with the random integers of a stochastic mode."""

    negative: npt.NDArray[Any]
    magnitude: npt.NDArray[Any]
    exponent: npt.NDArray[Any]
    random: npt.NDArray[Any]


def fixed_from_integers(
    values: Wide, target: FixedFormat, policy: Policy
) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Codes and flags of large values in a fixed-point target."""
    codes, flags = [], []
    for sign, magnitude, exponent, random in zip(*(part.tolist() for part in values), strict=True):
        code, flag = _fixed(sign, magnitude, exponent + target.fraction_bits, random, target, policy)
        codes.append(code)
        flags.append(flag)
    return np.array(codes, dtype=target.code_dtype), np.array(flags, dtype=np.uint8)


def _fixed(sign: int, magnitude: int, shift: int, random: int, target: FixedFormat, policy: Policy) -> tuple[int, int]:
    """Code and flags of ``±magnitude * 2**shift`` units of the target."""
    outside = FixedOutcomes(target, policy).overflow(sign)
    wraps = policy.overflow == "wrap"
    if shift >= target.bits:  # all bits that wrapping keeps are zero, and no shift by 2**40 is made
        return (0, outside.flags) if wraps else outside
    kept = magnitude << shift if shift >= 0 else 0
    exact = True
    if shift < 0:
        kept, exact = _round_off(magnitude, min(-shift, magnitude.bit_length() + 64), sign, random, policy)
    value = -kept if sign else kept
    if target.min_code <= value <= target.max_code:
        return value, 0 if exact else at.INEXACT
    return (max(_wrap(value, target), target.min_code), outside.flags) if wraps else outside


def _round_off(magnitude: int, drop: int, sign: int, random: int, policy: Policy) -> tuple[int, bool]:
    """Cut off ``drop`` bits by the policy's rounding: (rounded, whether that was exact)."""
    kept, rest = magnitude >> drop, magnitude & ((1 << drop) - 1)
    if rest == 0:
        return kept, True
    half = 1 << (drop - 1)
    if policy.stochastic:
        return kept + _carries(rest, drop, random, policy), False
    rounding, odd = policy.rounding, kept & 1 == 1
    tie = {
        "nearest_even": odd,
        "nearest_odd": not odd,
        "nearest_away": True,
        "nearest_zero": False,
        "nearest_up": not sign,
        "nearest_down": bool(sign),
    }
    if rounding in tie:
        return kept + (rest > half or (rest == half and tie[rounding])), False
    away = {
        "toward_zero": False,
        "toward_positive": not sign,
        "toward_negative": bool(sign),
        "away_from_zero": True,
        "to_odd": not odd,
    }
    return kept + away[rounding], False


def _carries(rest: int, drop: int, random: int, policy: Policy) -> bool:
    """Whether a stochastic mode rounds up the fraction ``rest / 2**drop`` (P3109 v4.0 4.7.4)."""
    count = policy.random_bits
    if policy.rounding == "stochastic_a":
        return ((rest << count) >> drop) + random >= 1 << count
    if policy.rounding == "stochastic_b":
        return ((rest << (count + 1)) >> drop) + 2 * random + 1 >= 1 << (count + 1)
    scaled, lost = (rest << count) >> drop, (rest << count) & ((1 << drop) - 1)
    half = 1 << (drop - 1)
    scaled += lost > half or (lost == half and scaled & 1 == 1)
    return scaled + random >= 1 << count


def _wrap(value: int, target: FixedFormat) -> int:
    half = 1 << (target.bits - 1) if target.signed else 0
    return ((value + half) & ((1 << target.bits) - 1)) - half
