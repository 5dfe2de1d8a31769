"""Integers beyond the fast path's 55 bits into fixed point: Python integers, an element at a time.

INT64_MIN, uint64 values from 2**63 and the ends of 64-bit targets come this way.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.outcomes import Outcomes
from lowbit.ops.cast.rounding import rounds_away
from lowbit.policy.cast import Policy


class Wide(NamedTuple):
    """Finite values ``±magnitude * 2**exponent``, with the random integers of a stochastic mode."""

    negative: npt.NDArray[Any]
    magnitude: npt.NDArray[Any]
    exponent: npt.NDArray[Any]
    random: npt.NDArray[Any]


def fixed_from_integers(values: Wide, target: Scalar, policy: Policy) -> tuple[npt.NDArray[Any], npt.NDArray[np.uint8]]:
    """Codes and flags of large values in a fixed-point target."""
    codes, flags = [], []
    for sign, magnitude, exponent, random in zip(*(part.tolist() for part in values), strict=True):
        code, flag = _fixed(bool(sign), magnitude, exponent - target.smallest_exponent, random, target, policy)
        codes.append(code)
        flags.append(flag)
    return np.array(codes, dtype=target.code_dtype), np.array(flags, dtype=np.uint8)


def _fixed(negative: bool, magnitude: int, shift: int, random: int, target: Scalar, policy: Policy) -> tuple[int, int]:
    """Code and flags of ``±magnitude * 2**shift`` units of the target."""
    outside = Outcomes(target, policy).overflow(negative)
    wraps = policy.overflow == "wrap"
    if shift >= target.bits:  # all bits that wrapping keeps are zero, and no shift by 2**40 is made
        return (0, outside.flags) if wraps else outside
    drop = min(max(-shift, 0), magnitude.bit_length() + 64)
    kept, rest = (magnitude << max(shift, 0)) >> drop, magnitude & ((1 << drop) - 1)
    if rest:
        kept += rounds_away(rest, 1 << drop, kept % 2 == 1, negative, policy, random)
    value = -kept if negative else kept
    if value in target.codes:
        return value, at.INEXACT if rest else 0
    return (max(_wrap(value, target), target.lowest_code), outside.flags) if wraps else outside


def _wrap(value: int, target: Scalar) -> int:
    half = 1 << (target.bits - 1) if target.signed else 0
    return ((value + half) & ((1 << target.bits) - 1)) - half
