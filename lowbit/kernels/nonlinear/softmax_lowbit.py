"""Softmax of lowbit's own scheme in int64: the twin of the oracle, and its form for 8-bit codes."""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import shift_half_up
from lowbit.kernels.nonlinear.exp_lowbit import BITS, FARTHEST, FRACTION, MULTIPLIER, SHIFT, power_of_half
from lowbit.kernels.nonlinear.lookup import distance_sum, distance_words, row_maximum
from lowbit.kernels.nonlinear.steps import step

# Places of the intermediates, in the order of nonlinear/lowbit_scheme.py.
DISTANCE, SCALED, EXPONENT, POLYNOMIAL, EXPONENTIAL, SUM, NORMALIZED, FACTOR, PRODUCT, RESULT = range(10)
NORMAL_BITS, RECIPROCAL_BITS = 31, 61
ENTRIES = 256


@scalar
def exponential(distance, constants, limits, mode, trap, row, element):
    """The exponential of minus a distance from the maximum."""
    distance = min(step(distance, DISTANCE, limits, mode, trap, row, element), constants[FARTHEST])
    scaled = step(distance * constants[MULTIPLIER], SCALED, limits, mode, trap, row, element)
    exponent = shift_half_up(scaled, constants[SHIFT] - FRACTION)
    exponent = step(exponent, EXPONENT, limits, mode, trap, row, element)
    return power_of_half(exponent, constants, POLYNOMIAL, limits, mode, trap, row, element)


@scalar
def reciprocal(total, limits, mode, trap, row):
    """The reciprocal of the sum normalised to 31 bits, and how many bits that took."""
    excess = bit_length(total) - NORMAL_BITS
    normalized = total >> excess if excess > 0 else total << -excess
    normalized = step(normalized, NORMALIZED, limits, mode, trap, row, -1)
    return step((1 << RECIPROCAL_BITS) // normalized, FACTOR, limits, mode, trap, row, -1), excess


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block."""
    length = codes.shape[1]
    largest = (1 << (constants[BITS] - 1)) - 1
    for row in range(codes.shape[0]):
        maximum = codes[row, 0]
        for i in range(1, length):
            maximum = max(maximum, codes[row, i])
        total = 0
        for i in range(length):
            out[row, i] = exponential(maximum - codes[row, i], constants, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM, limits, mode, trap, row, i)
        factor, excess = reciprocal(total, limits, mode, trap, row)
        places = RECIPROCAL_BITS + excess - (constants[BITS] - 1)
        for i in range(length):
            product = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i)
            result = min(shift_half_up(product, places), largest)
            out[row, i] = step(result, RESULT, limits, mode, trap, row, i)


@kernel
def softmax_words(codes, table, table_planes, constants, limits, out, trap):
    """Rows of int8 codes with 16-bit results: the exponential is a table, and nothing can overflow."""
    planes = np.empty((2, ENTRIES), np.uint8)
    largest = (1 << (constants[BITS] - 1)) - 1
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        factor, excess = reciprocal(distance_sum(codes[row], maximum, table_planes), limits, 0, trap, row)
        places = RECIPROCAL_BITS + excess - (constants[BITS] - 1)
        for distance in range(ENTRIES):
            result = min(shift_half_up(table[distance] * factor, places), largest)
            planes[0, distance] = np.uint8(result)
            planes[1, distance] = np.uint8(result >> 8)
        distance_words(codes[row], maximum, planes, out[row])


@kernel
def exp_table(constants, limits, out, trap):
    """The exponentials of the distances 0 to 255."""
    for distance in range(out.size):
        out[distance] = exponential(distance, constants, limits, 0, trap, 0, distance)
