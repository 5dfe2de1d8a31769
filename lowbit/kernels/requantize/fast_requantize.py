"""Requantisation in vector lanes: a declared exception to the int64 rule, proved equal to ``requantize.py``.

Integer schemes stay in 64-bit lanes, where one instruction multiplies 32 by 32 bits; binary schemes use the binary32
and binary64 arithmetic that defines them. A loop takes flat accumulators and one column of parameters
(``fast_requantize_rows.py``: rows, and a column each); results leave as int8 (``_8``) or int32 (``_32``). Flags are
left to the plain kernels.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.lib.select import pick
from lowbit.kernels.requantize import layout as at

# Rows of the parameters: MULTIPLIER, LEFT, PRE_RIGHT and RIGHT of the layout, then what rounding adds.
HALF, PRE_HALF = 4, 5
PARAMETERS = 6

# Constants after those of the layout.
WRAP_SHIFT = at.CONSTANTS  # 32 where the rounded value is kept modulo 2^32, 0 where it is not
SIZE = at.CONSTANTS + 1

INT16_MIN, INT16_MAX = -(1 << 15), (1 << 15) - 1
HIGH_SHIFT = 31
SIGN_SHIFT = 63
LARGEST_SUM = 2.0**51  # above, the nearest integer of a binary64 sum is not exact


@scalar
def bounded(value, v):
    """The sum with the zero point, narrowed and clamped."""
    total = ((value + v[at.ZERO_SUM]) << v[WRAP_SHIFT]) >> v[WRAP_SHIFT]
    return min(max(total + v[at.ZERO_CLAMPED], v[at.LOW]), v[at.HIGH])


@scalar
def single_up(accumulator, multiplier, right, half, v):
    """One rounding, half up, where 64 bits hold everything."""
    rounded = (np.int64(accumulator) * multiplier + half) >> right
    return min(max(rounded + (v[at.ZERO_SUM] + v[at.ZERO_CLAMPED]), v[at.LOW]), v[at.HIGH])


@scalar
def single_away(accumulator, multiplier, right, half, v):
    """The same, half away; ``right`` is at least 1."""
    product = np.int64(accumulator) * multiplier
    rounded = (product + half + (product >> SIGN_SHIFT)) >> right
    return min(max(rounded + (v[at.ZERO_SUM] + v[at.ZERO_CLAMPED]), v[at.LOW]), v[at.HIGH])


@scalar
def single_even(accumulator, multiplier, right, half, v):
    """The same, half to even; ``right`` is at least 1."""
    product = np.int64(accumulator) * multiplier
    rounded = (product + (half - 1) + ((product >> right) & 1)) >> right
    return min(max(rounded + (v[at.ZERO_SUM] + v[at.ZERO_CLAMPED]), v[at.LOW]), v[at.HIGH])


@scalar
def single(accumulator, multiplier, right, half, v):
    """One rounding, any tie; NVDLA's zero point and 17 bits too."""
    product = (np.int64(accumulator) - v[at.ZERO_BEFORE]) * multiplier
    change = ((product >> SIGN_SHIFT) & v[at.TIE_AWAY]) + ((((product >> right) & 1) - 1) & v[at.TIE_EVEN])
    rounded = (product + half + pick(half > 0, change, 0)) >> right
    limit = v[at.NARROW_LIMIT]
    return bounded(min(max(rounded, -limit - 1), limit), v)


@scalar
def double(accumulator, multiplier, left, right, half, v):
    """The product cut off at 2^31, half up or down, then the rest up or away."""
    shifted = np.int64(np.int32(np.int64(accumulator) << left))
    high = (shifted * multiplier + v[at.HIGH_NUDGE]) >> HIGH_SHIFT
    away = (high >> SIGN_SHIFT) & v[at.TIE_AWAY]
    return bounded((high + half + pick(half > 0, away, 0)) >> right, v)


@scalar
def double_right(accumulator, multiplier, right, half, v):
    """The same without a shift to the left and with one of at least 1 to the right: nothing can leave 32 bits."""
    high = (np.int64(accumulator) * multiplier + v[at.HIGH_NUDGE]) >> HIGH_SHIFT
    rounded = (high + half + ((high >> SIGN_SHIFT) & v[at.TIE_AWAY])) >> right
    return min(max(rounded + (v[at.ZERO_SUM] + v[at.ZERO_CLAMPED]), v[at.LOW]), v[at.HIGH])


@scalar
def sixteen_bits(accumulator, multiplier, left, pre_right, pre_half, v):
    """XNNPACK's rndnu16: shift, saturate, multiply, saturate."""
    shifted = ((np.int64(accumulator) << left) + pre_half) >> pre_right
    narrow = min(max(shifted, INT16_MIN), INT16_MAX)
    product = (narrow * multiplier + (1 << 14)) >> 15
    value = min(max(product, INT16_MIN), INT16_MAX)
    total = min(max(value + v[at.ZERO_SUM], INT16_MIN), INT16_MAX)
    return min(max(total, v[at.LOW]), v[at.HIGH])


@scalar
def binary32_even(accumulator, scale, low, high):
    """fl32(fl32(accumulator) * scale), clamped to integers, then to the nearest one."""
    value = np.float32(accumulator) * scale
    value = pick(value > low, value, low)
    value = pick(value < high, value, high)
    return np.rint(value)


@scalar
def binary32_floor_half(accumulator, scale, low, high):
    """floor(fl32(fl32(fl32(accumulator) * scale) + 0.5)), clamped."""
    value = np.floor(np.float32(accumulator) * scale + np.float32(0.5))
    value = pick(value > low, value, low)
    return pick(value < high, value, high)


@scalar
def binary64_even(accumulator, scale, low, high):
    """fl64(accumulator * scale), clamped to integers, then to the nearest one."""
    value = np.float64(accumulator) * scale
    value = pick(value > low, value, low)
    value = pick(value < high, value, high)
    return np.rint(value)


@scalar
def binary64_away(accumulator, scale, low, high):
    """The same, ties away from zero: the difference to the truncated value is exact."""
    value = np.float64(accumulator) * scale
    value = pick(value > low, value, low)
    value = pick(value < high, value, high)
    whole = np.trunc(value)
    rest = value - whole
    up = pick(rest >= 0.5, 1.0, 0.0)
    return whole + pick(rest <= -0.5, -1.0, up)


@scalar
def product53_even(accumulator, multiplier, unit, low, high):
    """The integer product as binary64, times a power of two, clamped to integers, then to the nearest one."""
    value = np.float64(np.int64(accumulator) * multiplier) * unit
    value = pick(value > low, value, low)
    value = pick(value < high, value, high)
    return np.rint(value)


@scalar
def binary32_sum(accumulator, scale, zero, low, high):
    """floor(fl32(fl32(fl32(fl32(accumulator) * scale) + zero) + 0.5)), clamped."""
    value = np.floor((np.float32(accumulator) * scale + zero) + np.float32(0.5))
    value = pick(value > low, value, low)
    return pick(value < high, value, high)


@scalar
def binary64_sum(accumulator, scale, zero, v):
    """The nearest integer of fl64(fl64(accumulator * scale) + zero), clamped or modulo 2**bits."""
    value = np.rint(np.float64(accumulator) * scale + zero)
    value = pick(value > -LARGEST_SUM, value, -LARGEST_SUM)
    total = np.int64(pick(value < LARGEST_SUM, value, LARGEST_SUM))
    wrapped = ((total - v[at.LOW]) & v[at.WRAP_MASK]) + v[at.LOW]
    return pick(v[at.WRAP_MASK] != 0, wrapped, min(max(total, v[at.LOW]), v[at.HIGH]))


def _single_up(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, right, half = parameters[at.MULTIPLIER, 0], parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = single_up(accumulators[i], multiplier, right, half, v)


def _single_away(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, right, half = parameters[at.MULTIPLIER, 0], parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = single_away(accumulators[i], multiplier, right, half, v)


def _single_even(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, right, half = parameters[at.MULTIPLIER, 0], parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = single_even(accumulators[i], multiplier, right, half, v)


def _double_right(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, right, half = parameters[at.MULTIPLIER, 0], parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = double_right(accumulators[i], multiplier, right, half, v)


def _single(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, right, half = parameters[at.MULTIPLIER, 0], parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = single(accumulators[i], multiplier, right, half, v)


def _double(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, left = parameters[at.MULTIPLIER, 0], parameters[at.LEFT, 0]
    right, half = parameters[at.RIGHT, 0], parameters[HALF, 0]
    for i in range(accumulators.size):
        out[i] = double(accumulators[i], multiplier, left, right, half, v)


def _sixteen_bits(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    multiplier, left = parameters[at.MULTIPLIER, 0], parameters[at.LEFT, 0]
    pre_right, pre_half = parameters[at.PRE_RIGHT, 0], parameters[PRE_HALF, 0]
    for i in range(accumulators.size):
        out[i] = sixteen_bits(accumulators[i], multiplier, left, pre_right, pre_half, v)


def _product53_even(accumulators, parameters, units, limits, zero_point, out):
    multiplier, unit, low, high = parameters[at.MULTIPLIER, 0], units[0], limits[0], limits[1]
    zero = zero_point[0]
    for i in range(accumulators.size):
        out[i] = np.int64(product53_even(accumulators[i], multiplier, unit, low, high)) + zero


def _binary32_even(accumulators, scales, limits, zero_point, out):
    scale, low, high, zero = scales[0], limits[0], limits[1], zero_point[0]
    for i in range(accumulators.size):
        out[i] = np.int32(np.int32(binary32_even(accumulators[i], scale, low, high)) + zero)


def _binary32_floor_half(accumulators, scales, limits, zero_point, out):
    scale, low, high, zero = scales[0], limits[0], limits[1], zero_point[0]
    for i in range(accumulators.size):
        out[i] = np.int32(np.int32(binary32_floor_half(accumulators[i], scale, low, high)) + zero)


def _binary64_even(accumulators, scales, limits, zero_point, out):
    scale, low, high, zero = scales[0], limits[0], limits[1], zero_point[0]
    for i in range(accumulators.size):
        out[i] = np.int32(np.int32(binary64_even(accumulators[i], scale, low, high)) + zero)


def _binary64_away(accumulators, scales, limits, zero_point, out):
    scale, low, high, zero = scales[0], limits[0], limits[1], zero_point[0]
    for i in range(accumulators.size):
        out[i] = np.int32(np.int32(binary64_away(accumulators[i], scale, low, high)) + zero)


def _binary32_sum(accumulators, scales, limits, zero_point, out):
    scale, low, high, zero = scales[0], limits[0], limits[1], np.float32(zero_point[0])
    for i in range(accumulators.size):
        out[i] = np.int32(binary32_sum(accumulators[i], scale, zero, low, high))


def _binary64_sum(accumulators, scales, vector, zero_point, out):
    v = constants(vector, SIZE)
    scale, zero = scales[0], np.float64(zero_point[0])
    for i in range(accumulators.size):
        out[i] = binary64_sum(accumulators[i], scale, zero, v)


# One signature each: results as int8, and as int32.
single_up_8, single_up_32 = kernel(_single_up), kernel(_single_up)
single_away_8, single_away_32 = kernel(_single_away), kernel(_single_away)
single_even_8, single_even_32 = kernel(_single_even), kernel(_single_even)
double_right_8, double_right_32 = kernel(_double_right), kernel(_double_right)
single_8, single_32 = kernel(_single), kernel(_single)
double_8, double_32 = kernel(_double), kernel(_double)
sixteen_bits_8, sixteen_bits_32 = kernel(_sixteen_bits), kernel(_sixteen_bits)
product53_even_8, product53_even_32 = kernel(_product53_even), kernel(_product53_even)
binary32_even_8, binary32_even_32 = kernel(_binary32_even), kernel(_binary32_even)
binary32_floor_half_8, binary32_floor_half_32 = kernel(_binary32_floor_half), kernel(_binary32_floor_half)
binary64_even_8, binary64_even_32 = kernel(_binary64_even), kernel(_binary64_even)
binary64_away_8, binary64_away_32 = kernel(_binary64_away), kernel(_binary64_away)
binary32_sum_8, binary32_sum_32 = kernel(_binary32_sum), kernel(_binary32_sum)
binary64_sum_8, binary64_sum_32 = kernel(_binary64_sum), kernel(_binary64_sum)
single_wide_32 = kernel(_single)  # accumulators of 48 bits, as int64
