"""TFLite's softmax over rows of int8 and int16 codes: the exponential is a table of the distance from the maximum.

A row of int8 codes costs one pass for the maximum, one for the sum, one reciprocal, 256 products, and one pass for the
results. Proved equal to ``tflite_softmax.py``. They cannot trap: the array layer takes the plain kernels for that, and
for CMSIS-NN's narrower arithmetic.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.fixed_point.gemmlowp import (
    doubling_high_multiply,
    exp_on_negative_values,
    leading_zeros,
    reciprocal,
    rounding_divide,
    saturate,
    wrap,
)
from lowbit.kernels.fixed_point.table import interpolate_rounded
from lowbit.kernels.lib.bits import shift_right_32
from lowbit.kernels.nonlinear.lookup import distance_bytes, distance_sum, distance_words, row_maximum
from lowbit.kernels.nonlinear.steps import SATURATE, step
from lowbit.kernels.nonlinear.tflite import MULTIPLIER, SHIFT, SINGLE, multiply
from lowbit.kernels.nonlinear.tflite_softmax import CENTRED_16, LOWEST_DIFFERENCE, SHIFTED

ENTRIES = 256
HIGHEST = np.int32(32767)


@kernel
def exponentials(constants, table):
    """Exp of the differences 0, -1, ..., -255 in Q0.31; 0 for those that are left out."""
    multiplier, shift = constants[MULTIPLIER], constants[SHIFT]
    for distance in range(table.size):
        table[distance] = 0
        if -distance >= constants[LOWEST_DIFFERENCE]:
            if constants[SINGLE]:
                scaled = (-distance * multiplier + (1 << (30 - shift))) >> (31 - shift)
            else:
                scaled = doubling_high_multiply(-distance << shift, multiplier, 32)
            table[distance] = exp_on_negative_values(scaled, 5, 32)


@scalar
def shift_and_inverse(total, mode, bits):
    """The reciprocal of a row's sum and the right shift of its products, not limited to 0..31."""
    total = saturate(total, 32) if mode == SATURATE else wrap(total, 32)
    return 12 - leading_zeros(total) + 31 - bits, reciprocal(total)


@scalar
def results(inverse, exponent, table, bits, planes):
    """The result of every distance, as byte planes."""
    lowest = -(1 << (bits - 1))
    for distance in range(ENTRIES):
        probability = doubling_high_multiply(inverse, table[distance], 32)
        code = saturate(rounding_divide(probability, exponent) + lowest, bits)
        planes[0, distance] = np.uint8(code & 255)
        planes[1, distance] = np.uint8((code >> 8) & 255)


@scalar
def results_of_row(codes, table, sum_planes, mode, bits, planes):
    """The maximum of a row, and whether its shift is in range; its results by their distance from the maximum."""
    maximum = row_maximum(codes)
    exponent, inverse = shift_and_inverse(distance_sum(codes, maximum, sum_planes), mode, bits)
    results(inverse, max(0, min(31, exponent)), table, bits, planes)
    return maximum, (0 <= exponent <= 31) | (mode == SATURATE)


@kernel
def softmax_bytes(codes, table, sum_planes, mode, out, status):
    """Results of 8 bits; ``status[0]`` becomes a row whose shift is out of range, the rest is then not computed."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum, is_defined = results_of_row(codes[row], table, sum_planes, mode, 8, planes)
        if not is_defined:
            status[0] = row
            return
        distance_bytes(codes[row], maximum, planes, out[row])


@kernel
def softmax_words(codes, table, sum_planes, mode, out, status):
    """Results of 16 bits."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum, is_defined = results_of_row(codes[row], table, sum_planes, mode, 16, planes)
        if not is_defined:
            status[0] = row
            return
        distance_words(codes[row], maximum, planes, out[row])


@kernel
def exponentials_int16(constants, exp_table, limits, mode, trap, table):
    """Exp of the differences 0, -1, ..., -65535 in Q0.15."""
    multiplier, shift, single = constants[MULTIPLIER], constants[SHIFT], constants[SINGLE]
    for distance in range(table.size):
        scaled = multiply(-distance, multiplier, shift, single, SHIFTED, limits, mode, trap, 0, distance)
        centred = saturate(step(scaled + 32767, CENTRED_16, limits, mode, trap, 0, distance), 16)
        table[distance] = interpolate_rounded(centred, exp_table)


@scalar
def weights(codes, table, out):
    """The exponentials of a row, and their sum."""
    maximum = codes[0]
    for i in range(codes.size):
        maximum = max(maximum, codes[i])
    highest = np.int64(maximum)
    total = np.int64(0)
    for i in range(codes.size):
        weight = table[highest - np.int64(codes[i])]
        out[i] = weight
        total += np.int64(weight)
    return total


@scalar
def scale_weights(factor, shift, out):
    """The exponentials times the reciprocal, rounded half up and limited to 0..32767."""
    half = np.int32(1 << (shift - 1))
    count = np.int32(shift)
    inverse = np.int32(factor)
    for i in range(out.size):
        product = np.int32(np.int32(np.int32(out[i]) * inverse) + half)
        out[i] = max(np.int32(0), min(HIGHEST, shift_right_32(product, count)))


@kernel
def softmax_int16(codes, table, reciprocal_table, mode, out, status):
    """Softmax of every row of int16 codes; results are at most 2**30 before their shift, so they stay in 32-bit lanes.

    ``status[0]`` becomes a row whose sum is not positive, the rest is then not computed.
    """
    for row in range(codes.shape[0]):
        total = weights(codes[row], table, out[row])
        total = saturate(total, 32) if mode == SATURATE else wrap(total, 32)
        if total <= 0:
            status[0] = row
            return
        zeros = leading_zeros(total)
        rounded = ((total << (zeros - 1)) + (1 << 13)) >> 14
        index = saturate(rounded - (1 << 15) - (1 << 16), 16)
        scale_weights(interpolate_rounded(index, reciprocal_table), 31 - zeros, out[row])
