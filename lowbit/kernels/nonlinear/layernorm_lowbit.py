"""LayerNorm of lowbit's own scheme in int64: the twin of ``oracle/nonlinear/layernorm_lowbit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import floor_square_root, shift_half_up
from lowbit.kernels.nonlinear.steps import step

# Places of the intermediates, in the order of nonlinear/lowbit_scheme.py.
SUM, SUM_OF_SQUARES, VARIANCE, DEVIATION, FACTOR, CENTRED, PRODUCT, NORMALIZED, RESULT = range(9)
ROOT_BITS, RECIPROCAL_BITS, FRACTION = 62, 59, 20


@kernel
def layernorm(codes, bias, limits, mode, out, trap):
    """LayerNorm of every row of a block."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        squares = 0
        for i in range(length):
            code = codes[row, i]
            total = step(total + code, SUM, limits, mode, trap, row, i)
            squares = step(squares + code * code, SUM_OF_SQUARES, limits, mode, trap, row, i)
        variance = step(length * squares - total * total, VARIANCE, limits, mode, trap, row, -1)
        halves = (ROOT_BITS - bit_length(variance)) >> 1
        root = floor_square_root(variance << (2 * halves)) if variance else (1 << 31) - 1
        root = step(root, DEVIATION, limits, mode, trap, row, -1)
        factor = step((1 << RECIPROCAL_BITS) // root, FACTOR, limits, mode, trap, row, -1)
        places = RECIPROCAL_BITS - FRACTION - halves
        for i in range(length):
            centred = step(length * codes[row, i] - total, CENTRED, limits, mode, trap, row, i)
            product = step(centred * factor, PRODUCT, limits, mode, trap, row, i)
            normalized = 0
            if variance:
                normalized = step(shift_half_up(product, places), NORMALIZED, limits, mode, trap, row, i)
            out[row, i] = step(normalized + bias[i], RESULT, limits, mode, trap, row, i)
