"""I-BERT's I-LayerNorm and i-sqrt in int64: the twin of ``oracle/nonlinear/layernorm_ibert.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even, floor_square_root
from lowbit.kernels.nonlinear.steps import step

# Places of the constants, and of the intermediates in the order of nonlinear/ibert.py.
NUMERATOR, SHIFT = range(2)
SUM, CENTRED, SHIFTED, SQUARE, SUM_OF_SQUARES, DEVIATION, FACTOR, PRODUCT, RESULT = range(9)


@kernel
def layernorm(codes, bias, constants, limits, mode, out, trap):
    """LayerNorm of every row of a block."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        for i in range(length):
            total = step(total + codes[row, i], SUM, limits, mode, trap, row, i)
        mean = divide_half_even(total, length)
        squares = 0
        for i in range(length):
            out[row, i] = step(codes[row, i] - mean, CENTRED, limits, mode, trap, row, i)
            shifted = step(out[row, i] >> constants[SHIFT], SHIFTED, limits, mode, trap, row, i)
            square = step(shifted * shifted, SQUARE, limits, mode, trap, row, i)
            squares = step(squares + square, SUM_OF_SQUARES, limits, mode, trap, row, i)
        root = max(floor_square_root(squares) << constants[SHIFT], 1)
        root = step(root, DEVIATION, limits, mode, trap, row, -1)
        factor = step(constants[NUMERATOR] // root, FACTOR, limits, mode, trap, row, -1)
        for i in range(length):
            product = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i)
            out[row, i] = step((product >> 1) + bias[i], RESULT, limits, mode, trap, row, i)


@kernel
def integer_sqrt(values, limits, mode, out, trap):
    """i-sqrt of every non-negative value of a block of rows."""
    for row in range(values.shape[0]):
        for i in range(values.shape[1]):
            value = values[row, i]
            if value == 0:
                out[row, i] = 0
                continue
            root = 1 << ((bit_length(value) + 1) >> 1)
            while True:
                better = step((root + value // root) >> 1, 0, limits, mode, trap, row, i)
                if better >= root:
                    break
                root = better
            out[row, i] = step(root, 1, limits, mode, trap, row, i)
