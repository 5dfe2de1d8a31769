"""TFLite's softmax over rows of int16 codes: the exponential is a table of the distance from the row's maximum.

Results are at most 2**30 before their shift, so they stay in 32-bit lanes. Proved equal to ``tflite_softmax.py``. It
cannot trap: the array layer takes the plain kernel for that, and for CMSIS-NN's narrower arithmetic.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.fixed_point.gemmlowp import leading_zeros, saturate, wrap
from lowbit.kernels.fixed_point.table import interpolate_rounded
from lowbit.kernels.lib.bits import shift_right_32
from lowbit.kernels.nonlinear.steps import SATURATE, step
from lowbit.kernels.nonlinear.tflite_multiply import MULTIPLIER, SHIFT, SINGLE, multiply_by_quantized_multiplier
from lowbit.kernels.nonlinear.tflite_softmax import CENTRED_16, SHIFTED

HIGHEST = np.int32(32767)


@kernel
def exponentials(constants, exp_table, limits, mode, trap, table):
    """Exp of the differences 0, -1, ..., -65535 in Q0.15."""
    for distance in range(table.size):
        scaled = multiply_by_quantized_multiplier(
            -distance, constants[MULTIPLIER], constants[SHIFT], constants[SINGLE],
            SHIFTED, limits, mode, trap, 0, distance,
        )  # fmt: skip
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
def softmax_words(codes, table, reciprocal_table, mode, out, status):
    """Softmax of every row; ``status[0]`` becomes a row whose sum is not positive, the rest is then not computed."""
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
