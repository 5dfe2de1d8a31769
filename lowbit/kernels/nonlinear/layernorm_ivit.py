"""I-ViT's I-LayerNorm in int64: the twin of ``oracle/nonlinear/layernorm_ivit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even
from lowbit.kernels.nonlinear.steps import step, truncating_divide

# Places of the constants. FIRST is where Newton's iteration starts, 0 for 2^(bits / 2).
NUMERATOR, FIRST, ITERATIONS, TRUNCATE = range(4)

# Places of the intermediates, in the order of nonlinear/ivit.py.
SUM, CENTRED, SQUARE, SUM_OF_SQUARES, DEVIATION, FACTOR, PRODUCT, RESULT = range(8)


@scalar
def deviation(squares, constants, limits, mode, trap, row):
    """Newton's iteration toward the square root, a fixed number of steps."""
    root = constants[FIRST] or 1 << (bit_length(squares) >> 1)
    for _ in range(constants[ITERATIONS]):
        root = step(max((root + squares // root) >> 1, 1), DEVIATION, limits, mode, trap, row, -1)
    return root


@kernel
def layernorm(codes, bias, constants, limits, mode, out, trap):
    """LayerNorm of every row of a block."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        for i in range(length):
            total = step(total + codes[row, i], SUM, limits, mode, trap, row, i)
        mean = truncating_divide(total, length) if constants[TRUNCATE] else divide_half_even(total, length)
        squares = 0
        for i in range(length):
            centred = step(codes[row, i] - mean, CENTRED, limits, mode, trap, row, i)
            square = step(centred * centred, SQUARE, limits, mode, trap, row, i)
            squares = step(squares + square, SUM_OF_SQUARES, limits, mode, trap, row, i)
            out[row, i] = centred
        root = deviation(squares, constants, limits, mode, trap, row)
        factor = step(constants[NUMERATOR] // root, FACTOR, limits, mode, trap, row, -1)
        for i in range(length):
            product = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i)
            halved = truncating_divide(product, 2) if constants[TRUNCATE] else product >> 1
            out[row, i] = step(halved + bias[i], RESULT, limits, mode, trap, row, i)
