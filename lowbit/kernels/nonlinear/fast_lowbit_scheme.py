"""lowbit's own softmax of 8-bit codes, LayerNorm and RMSNorm of 8- or 16-bit codes, where no intermediate can overflow.

Softmax's exponential is a table of the distance from the row's maximum. Proved equal to ``lowbit_scheme.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import floor_square_root, positive_quotient, shift_half_up
from lowbit.kernels.nonlinear.lookup import distance_sum, distance_words, row_maximum
from lowbit.kernels.nonlinear.lowbit_scheme import (
    BITS,
    NORM_FRACTION,
    NORM_RECIPROCAL_BITS,
    RECIPROCAL_BITS,
    ROOT_BITS,
    reciprocal,
)
from lowbit.kernels.nonlinear.simd_norm import sums

ENTRIES = 256


@kernel
def softmax_words(codes, table, table_planes, constants, limits, out, trap):
    """Results of 16 bits."""
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


@scalar
def write_row(codes, slope, offset, places, bias, out):
    """``(code * slope + offset) >> places``, plus the bias."""
    for i in range(codes.size):
        normalized = (np.int64(codes[i]) * slope + offset) >> places
        out[i] = np.int32(normalized + np.int64(bias[i]))


@kernel
def norm_rows(codes, centred, bias, out):
    """LayerNorm (``centred`` is 1) or RMSNorm (0) of rows of up to 2^15 codes.

    ``(length * code - sum) * factor`` is taken apart into a slope and an offset. The terms may leave
    63 bits, their sum does not, and 64-bit arithmetic wraps.
    """
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total, squares = sums(codes[row])
        total *= centred
        variance = length * squares - total * total
        if variance == 0:
            for i in range(length):  # Numba's assignment of a slice formats a message of its lengths in floats
                out[row, i] = bias[i]
            continue
        halves = (ROOT_BITS - bit_length(variance)) >> 1
        factor = positive_quotient(1 << NORM_RECIPROCAL_BITS, floor_square_root(variance << (2 * halves)))
        places = NORM_RECIPROCAL_BITS - NORM_FRACTION - halves
        offset = (np.int64(1) << (places - 1)) - total * factor
        write_row(codes[row], length * factor, offset, places, bias, out[row])
