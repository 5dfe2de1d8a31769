"""From a requantisation scheme and its multipliers to the flat integers that the kernels take."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import FixedFormat
from lowbit.kernels.requantize import layout as at
from lowbit.policy.requantize import RequantizeScheme

Array = npt.NDArray[Any]
HIGH_SHIFT = 31
HIGH_HALF = 1 << 30
WIDE_PRECISION = 53
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


def lower_constants(scheme: RequantizeScheme, within: Range, target: FixedFormat) -> Array:
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


def fast_family(scheme: RequantizeScheme, rows: Array, target: FixedFormat) -> str:
    """The family of fast loops that computes the scheme, or "" where only the plain kernels do."""
    saturates = scheme.narrowing.startswith("saturate")
    small = target.bits <= 16  # then no sum of 31 bits and a zero point wraps
    if scheme.takes_scale:
        return _binary_family(scheme, target)
    if scheme.overflow == "wrap" or (target.bits == 32 and not target.signed):
        return ""
    if scheme.pre_shift != "none":
        usual = scheme.tie == "up" and scheme.narrowing == "saturate16" and scheme.zero_point == "after_rounding"
        return "sixteen_bits" if usual and scheme.product == "exact" else ""
    if scheme.product == "binary53":
        usual = scheme.tie == "even" and scheme.narrowing == "exact" and scheme.zero_point.startswith("after")
        return "product53_even" if usual and scheme.high_half == "none" else ""
    if scheme.high_half != "none":
        shifts = scheme.left_shift == "wrap32" or scheme.bounded or not rows[at.LEFT].any()
        plain = scheme.tie in ("up", "away") and scheme.zero_point != "before_product" and not saturates
        if not (plain and shifts):
            return ""
        within = rows[at.RIGHT].all() and not rows[at.LEFT].any() and (small or scheme.narrowing == "exact")
        return "double_right" if within else "double"
    if saturates and scheme.zero_point == "after_rounding":
        return ""
    narrow = scheme.narrowing == "exact" or (
        small and scheme.narrowing == "wrap32" and bool((rows[at.RIGHT] > 32).all())
    )
    if narrow and scheme.zero_point != "before_product" and rows[at.RIGHT].all() and scheme.accumulator_bits == 32:
        return f"single_{scheme.tie}"
    return "single"


def _binary_family(scheme: RequantizeScheme, target: FixedFormat) -> str:
    if scheme.narrowing != "exact" or (target.bits == 32 and not target.signed):
        return ""
    if scheme.zero_point == "before_rounding":
        if (scheme.product, scheme.tie) == ("binary64", "even"):
            return "binary64_sum"
        upward = (scheme.product, scheme.tie, scheme.overflow) == ("binary32", "up_binary32", "saturate")
        return "binary32_sum" if upward and target.bits <= 16 else ""
    if scheme.overflow == "wrap" or scheme.zero_point == "before_product":
        return ""
    if target.bits > 31:  # the loops clamp to about 2^31 first, and a zero point leads back from beyond that
        return ""
    if scheme.product == "binary32" and target.bits > 16:  # the limits would not be exact in binary32
        return ""
    name = f"{scheme.product}_{'floor_half' if scheme.tie == 'up_binary32' else scheme.tie}"
    known = ("binary32_even", "binary32_floor_half", "binary64_even", "binary64_away")
    return name if name in known else ""
