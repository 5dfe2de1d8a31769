"""From a requantisation scheme and its multipliers to the flat integers that the kernels take."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from lowbit.format.scalar import Scalar
from lowbit.kernels.requantize import layout as at
from lowbit.ops.arrays import Array
from lowbit.policy.requantize import HIGH_SHIFT, RequantizeScheme

HIGH_HALF = 1 << 30
UNLIMITED = 1 << 62
HALF, PRE_HALF, FAST_PARAMETERS = 4, 5, 6  # rows that the fast kernels add
BINARY_PRECISION = {"exact": 0, "binary32": 24, "binary53": 53, "binary64": 53}


class Range(NamedTuple):
    """Where results lie: the zero point and the ends of the range, in codes."""

    zero_point: int
    low: int
    high: int


def lower_parameters(scheme: RequantizeScheme, multiplier: Array, shift: Array) -> Array:
    """One column a channel: multiplier, left shift, rounding shift before the product, right shift.

    For a scheme that takes the scale itself, ``multiplier`` is its significand of 53 bits and ``shift`` the shift to
    the right. Two rows more hold what the fast kernels add to round.
    """
    rows = np.zeros((FAST_PARAMETERS, multiplier.size), dtype=np.int64)
    right = scheme.point - shift if scheme.shift == "left" else scheme.point + shift
    rows[at.MULTIPLIER], rows[at.RIGHT] = multiplier, right
    if scheme.pre_shift != "none":
        left = scheme.point - right
        rows[at.LEFT], rows[at.PRE_RIGHT] = np.maximum(left, 0), np.maximum(-left, 0)
        rows[at.RIGHT] = scheme.point
    elif scheme.high_half != "none":
        rows[at.LEFT], rows[at.RIGHT] = np.maximum(HIGH_SHIFT - right, 0), np.maximum(right - HIGH_SHIFT, 0)
    elif scheme.multiplier_use == "upper_15":
        rows[at.MULTIPLIER] = np.minimum((multiplier + (1 << 15)) >> 16, 0x7FFF)
        rows[at.RIGHT] = right - 16
    if not scheme.takes_scale:
        one = np.int64(1)
        rows[HALF], rows[PRE_HALF] = (one << rows[at.RIGHT]) >> 1, (one << rows[at.PRE_RIGHT]) >> 1
    return rows


def lower_constants(scheme: RequantizeScheme, within: Range, target: Scalar) -> Array:
    """The constants of the plain kernels, and the one that the fast kernels add."""
    v = np.zeros(at.CONSTANTS + 1, dtype=np.int64)
    place = {"before_product": at.ZERO_BEFORE, "after_rounding": at.ZERO_SUM, "after_clamp": at.ZERO_CLAMPED}
    if scheme.zero_point in place:
        v[place[scheme.zero_point]] = within.zero_point
    v[at.PRE_SHIFT] = scheme.pre_shift != "none"
    v[at.WRAP_LEFT] = scheme.left_shift == "wrap32" and scheme.high_half != "none"  # else nothing is shifted left
    v[at.HIGH_HALF] = scheme.high_half != "none"
    v[at.HIGH_NUDGE] = HIGH_HALF if scheme.high_half == "up" else 0
    v[at.PRECISION] = BINARY_PRECISION[scheme.product]
    v[at.TIE_AWAY], v[at.TIE_EVEN] = -(scheme.tie == "away"), -(scheme.tie == "even")
    v[at.HALF_ADDED] = scheme.tie == "up_binary32"
    v[at.NARROW_WRAP] = scheme.narrowing == "wrap32"
    v[at.NARROW_LIMIT] = narrow_limit(scheme)
    v[at.LOW], v[at.HIGH] = within.low, within.high
    v[at.WRAP_MASK] = (1 << target.bits) - 1 if scheme.overflow == "wrap" else 0
    v[at.CONSTANTS] = 32 if scheme.narrowing == "wrap32" else 0
    return v


def narrow_limit(scheme: RequantizeScheme) -> int:
    """The largest rounded value where it saturates, something beyond all of them where it does not."""
    if scheme.narrowing.startswith("saturate"):
        return (1 << (int(scheme.narrowing.removeprefix("saturate")) - 1)) - 1
    return UNLIMITED
