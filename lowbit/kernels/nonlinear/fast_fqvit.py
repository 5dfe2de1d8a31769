"""FQ-ViT's log-int-softmax by tables, and its LayerNorm with power-of-two factors.

The LayerNorm is a declared exception, as the product defines binary64 steps: exact integer sums; the row's mean and
deviation and each element's multiplier, shift and bias in binary64, in the order of ``oracle/nonlinear/fqvit.py``,
which tests prove equal.
"""

import math

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.divide import divide_half_even, positive_quotient
from lowbit.kernels.nonlinear.fqvit import BITS, CLIP, rounded_log2
from lowbit.kernels.nonlinear.lookup import distance_bytes, row_maximum
from lowbit.kernels.nonlinear.steps import note, step

# Places of the intermediates, in the order of nonlinear/fqvit.py.
SHIFTED, SUM, SUM_OF_SQUARES, VARIANCE, MULTIPLIER, BIAS, PRODUCT, RESULT = range(8)
TOP_BIT, LARGEST_MULTIPLIER, LARGEST_SHIFT = 7, 255, 31
LARGEST_BIAS = 2.0**62
ENTRIES = 256


@kernel
def softmax_bytes(codes, table, constants, out):
    """Log-int-softmax of 8-bit codes to at most 8 bits: exponential and logarithm are tables of the distance.

    ``table`` holds the exponentials. Nothing can overflow 62 bits, which the array layer checks. Proved equal to
    ``fqvit.py``.
    """
    planes = np.empty((1, ENTRIES), np.uint8)
    beyond = np.int64(1) << constants[BITS]
    highest = beyond - constants[CLIP]
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        total = np.int64(0)
        lowest = maximum
        for i in range(codes.shape[1]):
            code = np.int64(codes[row, i])
            total += table[maximum - code]
            lowest = min(lowest, code)
        for distance in range(maximum - lowest + 1):
            logarithm = beyond
            exponential = table[distance]
            if exponential > 0:
                quotient = positive_quotient(total, exponential)
                twice = 2 * (total - quotient * exponential)
                quotient += (twice > exponential) | ((twice == exponential) & (quotient & 1))
                logarithm = rounded_log2(quotient)
            planes[0, distance] = np.uint8(min(logarithm, highest))
        distance_bytes(codes[row], maximum, planes, out[row])


@scalar
def multiplier_and_shift(slope):
    """The 8-bit multiplier and the shift of a non-negative slope."""
    if slope == 0.0:
        return 0, LARGEST_SHIFT
    shift = max(0, min(TOP_BIT - (math.frexp(slope)[1] - 1), LARGEST_SHIFT))
    scaled = math.floor(min(math.ldexp(slope, shift), float(LARGEST_MULTIPLIER)))
    return int(scaled), shift


@kernel
def layernorm(codes, gamma, beta, factors, result_scale, limits, mode, out, trap):
    """LayerNorm of every row of a block; a row without variance is noted and left at 0."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        squares = 0
        for i in range(length):
            value = step(codes[row, i] << factors[i], SHIFTED, limits, mode, trap, row, i)
            out[row, i] = value
            total = step(total + value, SUM, limits, mode, trap, row, i)
            squares = step(squares + value * value, SUM_OF_SQUARES, limits, mode, trap, row, i)
        variance = step(length * squares - total * total, VARIANCE, limits, mode, trap, row, -1)
        if variance == 0:
            note(trap, row, -1, VARIANCE, 0)
            out[row, :] = 0
            continue
        deviation = np.sqrt(np.float64(variance)) / length
        mean = np.float64(total) / length
        for i in range(length):
            slope = gamma[i] / deviation / result_scale
            multiplier, shift = multiplier_and_shift(abs(slope))
            multiplier = step(multiplier, MULTIPLIER, limits, mode, trap, row, i)
            offset = math.ldexp((beta[i] - mean / deviation * gamma[i]) / result_scale, shift)
            offset = max(-LARGEST_BIAS, min(offset, LARGEST_BIAS))
            bias = step(np.int64(np.rint(offset)), BIAS, limits, mode, trap, row, i)
            signed = -multiplier if slope < 0.0 else multiplier
            product = step(signed * out[row, i] + bias, PRODUCT, limits, mode, trap, row, i)
            out[row, i] = step(divide_half_even(product, np.int64(1) << shift), RESULT, limits, mode, trap, row, i)
