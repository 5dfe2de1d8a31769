"""TFLite's softmax over rows of int8 codes: the exponential is a table of the distance from the row's maximum.

A row costs one pass for the maximum, one for the sum, one reciprocal, 256 products, and one pass for the results.
Proved equal to ``tflite_softmax.py``. It cannot trap: the array layer takes the plain kernel for that.
"""

from __future__ import annotations

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
from lowbit.kernels.nonlinear.lookup import distance_bytes, distance_sum, distance_words, row_maximum
from lowbit.kernels.nonlinear.steps import SATURATE
from lowbit.kernels.nonlinear.tflite_multiply import MULTIPLIER, SHIFT, SINGLE
from lowbit.kernels.nonlinear.tflite_softmax import LOWEST_DIFFERENCE

ENTRIES = 256


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


@kernel
def softmax_bytes(codes, table, sum_planes, mode, out, status):
    """Results of 8 bits; ``status[0]`` becomes a row whose shift is out of range, the rest is then not computed."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        exponent, inverse = shift_and_inverse(distance_sum(codes[row], maximum, sum_planes), mode, 8)
        if (exponent < 0 or exponent > 31) and mode != SATURATE:
            status[0] = row
            return
        results(inverse, max(0, min(31, exponent)), table, 8, planes)
        distance_bytes(codes[row], maximum, planes, out[row])


@kernel
def softmax_words(codes, table, sum_planes, mode, out, status):
    """Results of 16 bits."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        exponent, inverse = shift_and_inverse(distance_sum(codes[row], maximum, sum_planes), mode, 16)
        if (exponent < 0 or exponent > 31) and mode != SATURATE:
            status[0] = row
            return
        results(inverse, max(0, min(31, exponent)), table, 16, planes)
        distance_words(codes[row], maximum, planes, out[row])
