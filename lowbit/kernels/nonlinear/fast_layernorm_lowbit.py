"""LayerNorm of lowbit's own scheme over rows of 8- or 16-bit codes, where no intermediate can overflow.

Proved equal to ``layernorm_lowbit.py``.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import floor_square_root, positive_quotient
from lowbit.kernels.nonlinear.layernorm_lowbit import FRACTION, RECIPROCAL_BITS, ROOT_BITS
from lowbit.kernels.nonlinear.simd_norm import sums


@scalar
def write_row(codes, slope, offset, places, bias, out):
    """``(code * slope + offset) >> places``, plus the bias."""
    for i in range(codes.size):
        normalized = (np.int64(codes[i]) * slope + offset) >> places
        out[i] = np.int32(normalized + np.int64(bias[i]))


@kernel
def layernorm_rows(codes, bias, out):
    """Rows of up to 2^15 codes; ``(length * code - sum) * factor`` is taken apart into a slope and an offset.

    The terms may leave 63 bits, their sum does not, and 64-bit arithmetic wraps.
    """
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total, squares = sums(codes[row])
        variance = length * squares - total * total
        if variance == 0:
            out[row, :] = bias
            continue
        halves = (ROOT_BITS - bit_length(variance)) >> 1
        factor = positive_quotient(1 << RECIPROCAL_BITS, floor_square_root(variance << (2 * halves)))
        places = RECIPROCAL_BITS - FRACTION - halves
        offset = (np.int64(1) << (places - 1)) - total * factor
        write_row(codes[row], length * factor, offset, places, bias, out[row])
