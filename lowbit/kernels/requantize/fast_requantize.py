"""Requantisation in vector lanes: a declared exception to the int64 rule, proved equal to ``requantize.py``.

Integer schemes stay in 64-bit lanes, where one instruction multiplies 32 by 32 bits; binary schemes use the binary32
and binary64 arithmetic that defines them. There are two loops, over flat accumulators with one column of parameters and
over rows with a column each, which are made for a scalar function. Every scalar takes

- ``x``, the accumulator,
- ``p``, the column: MULTIPLIER, LEFT, PRE_RIGHT and RIGHT of the layout, then what rounding adds,
- ``scale``, the binary32 or binary64 number that a binary scheme multiplies by,
- ``r``, real numbers of that kind: the ends of the range before the zero point is added, and the zero point,
- ``v``, the constants of the layout and WRAP_SHIFT.

Flags are left to the plain kernels.
"""

# ruff: noqa: ARG001 - every scalar takes what one of them needs

from __future__ import annotations

from functools import cache

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.lib.select import pick
from lowbit.kernels.requantize import layout as at

HALF, PRE_HALF = at.PARAMETERS, at.PARAMETERS + 1
LOWEST, HIGHEST, ZERO, REALS = range(4)
WRAP_SHIFT = at.CONSTANTS  # 32 where the rounded value is kept modulo 2^32, 0 where it is not
SIZE = at.CONSTANTS + 1

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
HIGH_SHIFT = 31
SIGN_SHIFT = 63
LARGEST_SUM = 2.0**51  # above, the nearest integer of a binary64 sum is not exact


@scalar
def clamped(rounded, v):
    """The sum with the zero point, clamped; nothing can leave 64 bits."""
    return min(max(rounded + (v[at.ZERO_SUM] + v[at.ZERO_CLAMPED]), v[at.LOW]), v[at.HIGH])


@scalar
def bounded(value, v):
    """The sum with the zero point, narrowed and clamped."""
    total = ((value + v[at.ZERO_SUM]) << v[WRAP_SHIFT]) >> v[WRAP_SHIFT]
    return min(max(total + v[at.ZERO_CLAMPED], v[at.LOW]), v[at.HIGH])


@scalar
def single_up(x, p, scale, r, v):
    """One rounding, half up, where 64 bits hold everything."""
    return clamped((np.int64(x) * p[at.MULTIPLIER] + p[HALF]) >> p[at.RIGHT], v)


@scalar
def single_away(x, p, scale, r, v):
    """The same, half away; the shift to the right is at least 1."""
    product = np.int64(x) * p[at.MULTIPLIER]
    return clamped((product + p[HALF] + (product >> SIGN_SHIFT)) >> p[at.RIGHT], v)


@scalar
def single_even(x, p, scale, r, v):
    """The same, half to even; the shift to the right is at least 1."""
    product = np.int64(x) * p[at.MULTIPLIER]
    return clamped((product + (p[HALF] - 1) + ((product >> p[at.RIGHT]) & 1)) >> p[at.RIGHT], v)


@scalar
def single(x, p, scale, r, v):
    """One rounding, any tie; NVDLA's zero point and 17 bits too."""
    product = (np.int64(x) - v[at.ZERO_BEFORE]) * p[at.MULTIPLIER]
    change = ((product >> SIGN_SHIFT) & v[at.TIE_AWAY]) + ((((product >> p[at.RIGHT]) & 1) - 1) & v[at.TIE_EVEN])
    rounded = (product + p[HALF] + pick(p[HALF] > 0, change, 0)) >> p[at.RIGHT]
    limit = v[at.NARROW_LIMIT]
    return bounded(min(max(rounded, -limit - 1), limit), v)


@scalar
def double(x, p, scale, r, v):
    """The product cut off at 2^31, half up or down, then the rest up or away."""
    shifted = np.int64(np.int32(np.int64(x) << p[at.LEFT]))
    high = (shifted * p[at.MULTIPLIER] + v[at.HIGH_NUDGE]) >> HIGH_SHIFT
    away = (high >> SIGN_SHIFT) & v[at.TIE_AWAY]
    return bounded((high + p[HALF] + pick(p[HALF] > 0, away, 0)) >> p[at.RIGHT], v)


@scalar
def double_right(x, p, scale, r, v):
    """The same without a shift to the left and with one of at least 1 to the right: nothing can leave 32 bits."""
    high = (np.int64(x) * p[at.MULTIPLIER] + v[at.HIGH_NUDGE]) >> HIGH_SHIFT
    return clamped((high + p[HALF] + ((high >> SIGN_SHIFT) & v[at.TIE_AWAY])) >> p[at.RIGHT], v)


@scalar
def sixteen_bits(x, p, scale, r, v):
    """XNNPACK's rndnu16: shift, saturate, multiply, saturate."""
    shifted = ((np.int64(x) << p[at.LEFT]) + p[PRE_HALF]) >> p[at.PRE_RIGHT]
    narrow = min(max(shifted, INT16_MIN), INT16_MAX)
    product = (narrow * p[at.MULTIPLIER] + (1 << 14)) >> 15
    value = min(max(product, INT16_MIN), INT16_MAX)
    total = min(max(value + v[at.ZERO_SUM], INT16_MIN), INT16_MAX)
    return min(max(total, v[at.LOW]), v[at.HIGH])


@scalar
def within(value, r):
    """A real number, clamped to the range."""
    value = pick(value > r[LOWEST], value, r[LOWEST])
    return pick(value < r[HIGHEST], value, r[HIGHEST])


@scalar
def with_zero(whole, r):
    """A whole real number and the zero point as an int32."""
    return np.int32(np.int32(whole) + np.int32(r[ZERO]))


@scalar
def binary32_even(x, p, scale, r, v):
    """fl32(fl32(x) * scale), clamped to integers, then to the nearest one."""
    return with_zero(np.rint(within(np.float32(x) * scale, r)), r)


@scalar
def binary32_floor_half(x, p, scale, r, v):
    """floor(fl32(fl32(fl32(x) * scale) + 0.5)), clamped."""
    return with_zero(within(np.floor(np.float32(x) * scale + np.float32(0.5)), r), r)


@scalar
def binary64_even(x, p, scale, r, v):
    """fl64(x * scale), clamped to integers, then to the nearest one."""
    return with_zero(np.rint(within(np.float64(x) * scale, r)), r)


@scalar
def binary64_away(x, p, scale, r, v):
    """The same, ties away from zero: the difference to the truncated value is exact."""
    value = within(np.float64(x) * scale, r)
    whole = np.trunc(value)
    rest = value - whole
    up = pick(rest >= 0.5, 1.0, 0.0)
    return with_zero(whole + pick(rest <= -0.5, -1.0, up), r)


@scalar
def product53_even(x, p, scale, r, v):
    """The integer product as binary64, times a power of two, clamped to integers, then to the nearest one."""
    value = within(np.float64(np.int64(x) * p[at.MULTIPLIER]) * scale, r)
    return np.int64(np.rint(value)) + np.int64(r[ZERO])


@scalar
def binary32_sum(x, p, scale, r, v):
    """floor(fl32(fl32(fl32(fl32(x) * scale) + zero) + 0.5)), clamped."""
    return np.int32(within(np.floor((np.float32(x) * scale + r[ZERO]) + np.float32(0.5)), r))


@scalar
def binary64_sum(x, p, scale, r, v):
    """The nearest integer of fl64(fl64(x * scale) + zero), clamped or modulo 2**bits."""
    value = np.rint(np.float64(x) * scale + r[ZERO])
    value = pick(value > -LARGEST_SUM, value, -LARGEST_SUM)
    total = np.int64(pick(value < LARGEST_SUM, value, LARGEST_SUM))
    wrapped = ((total - v[at.LOW]) & v[at.WRAP_MASK]) + v[at.LOW]
    return pick(v[at.WRAP_MASK] != 0, wrapped, min(max(total, v[at.LOW]), v[at.HIGH]))


@scalar
def column(parameters, j):
    """One channel's parameters as a tuple."""
    return (
        parameters[0, j],
        parameters[1, j],
        parameters[2, j],
        parameters[3, j],
        parameters[4, j],
        parameters[5, j],
    )


@cache
def flat(step, result):
    """The loop over flat accumulators and one column of parameters: one for each ``result``, to have one signature."""

    @kernel
    def flat_loop(accumulators, parameters, scales, reals, vector, out):
        v, r = constants(vector, SIZE), constants(reals, REALS)
        p, scale = column(parameters, 0), scales[0]
        for i in range(accumulators.size):
            out[i] = step(accumulators[i], p, scale, r, v)

    return flat_loop


@cache
def rows(step, result):
    """The loop over rows of accumulators, with a column of parameters for each channel."""

    @kernel
    def row_loop(accumulators, parameters, scales, reals, vector, out):
        v, r = constants(vector, SIZE), constants(reals, REALS)
        for i in range(accumulators.shape[0]):
            for j in range(accumulators.shape[1]):
                out[i, j] = step(accumulators[i, j], column(parameters, j), scales[j], r, v)

    return row_loop
