"""The loops of ``fast_requantize.py`` over rows of accumulators, with a column of parameters for each channel."""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import constants, kernel
from lowbit.kernels.requantize import fast_requantize as fast
from lowbit.kernels.requantize import layout as at
from lowbit.kernels.requantize.fast_requantize import SIZE


def _single_up(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, right, half = parameters[at.MULTIPLIER, j], parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.single_up(accumulators[i, j], multiplier, right, half, v)


def _single_away(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, right, half = parameters[at.MULTIPLIER, j], parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.single_away(accumulators[i, j], multiplier, right, half, v)


def _single_even(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, right, half = parameters[at.MULTIPLIER, j], parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.single_even(accumulators[i, j], multiplier, right, half, v)


def _double_right(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, right, half = parameters[at.MULTIPLIER, j], parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.double_right(accumulators[i, j], multiplier, right, half, v)


def _single(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, right, half = parameters[at.MULTIPLIER, j], parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.single(accumulators[i, j], multiplier, right, half, v)


def _double(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, left = parameters[at.MULTIPLIER, j], parameters[at.LEFT, j]
            right, half = parameters[at.RIGHT, j], parameters[fast.HALF, j]
            out[i, j] = fast.double(accumulators[i, j], multiplier, left, right, half, v)


def _sixteen_bits(accumulators, parameters, vector, out):
    v = constants(vector, SIZE)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            multiplier, left = parameters[at.MULTIPLIER, j], parameters[at.LEFT, j]
            right, half = parameters[at.PRE_RIGHT, j], parameters[fast.PRE_HALF, j]
            out[i, j] = fast.sixteen_bits(accumulators[i, j], multiplier, left, right, half, v)


def _product53_even(accumulators, parameters, units, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], zero_point[0]
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            value = fast.product53_even(accumulators[i, j], parameters[at.MULTIPLIER, j], units[j], low, high)
            out[i, j] = np.int64(value) + zero


def _binary32_even(accumulators, scales, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], zero_point[0]
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = np.int32(np.int32(fast.binary32_even(accumulators[i, j], scales[j], low, high)) + zero)


def _binary32_floor_half(accumulators, scales, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], zero_point[0]
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = np.int32(np.int32(fast.binary32_floor_half(accumulators[i, j], scales[j], low, high)) + zero)


def _binary64_even(accumulators, scales, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], zero_point[0]
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = np.int32(np.int32(fast.binary64_even(accumulators[i, j], scales[j], low, high)) + zero)


def _binary64_away(accumulators, scales, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], zero_point[0]
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = np.int32(np.int32(fast.binary64_away(accumulators[i, j], scales[j], low, high)) + zero)


def _binary32_sum(accumulators, scales, limits, zero_point, out):
    low, high, zero = limits[0], limits[1], np.float32(zero_point[0])
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = np.int32(fast.binary32_sum(accumulators[i, j], scales[j], zero, low, high))


def _binary64_sum(accumulators, scales, vector, zero_point, out):
    v = constants(vector, SIZE)
    zero = np.float64(zero_point[0])
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            out[i, j] = fast.binary64_sum(accumulators[i, j], scales[j], zero, v)


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
