"""I-ViT's Shiftmax in int64: the twin of ``oracle/nonlinear/softmax_ivit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear.exp_ivit import CLAMP, RESULT_SHIFT, reciprocal, shift_exp
from lowbit.kernels.nonlinear.steps import note, step

# Places of the intermediates, in the order of nonlinear/ivit.py.
DIFFERENCE, SCALED, QUOTIENT, REMAINDER, EXPONENTIAL, SUM, CLAMPED, FACTOR, PRODUCT, RESULT = range(10)


@kernel
def shiftmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block; a row whose sum wraps to 0 is noted and left at 0."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        maximum = codes[row, 0]
        for i in range(1, length):
            maximum = max(maximum, codes[row, i])
        total = 0
        for i in range(length):
            difference = step(codes[row, i] - maximum, DIFFERENCE, limits, mode, trap, row, i)
            out[row, i] = shift_exp(difference, constants, SCALED, 0, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM, limits, mode, trap, row, i)
        if constants[CLAMP]:
            total = step(min(total, constants[CLAMP]), CLAMPED, limits, mode, trap, row, -1)
        if total == 0:
            note(trap, row, -1, SUM, 0)
            out[row, :] = 0
            continue
        factor = reciprocal(total, constants, FACTOR, limits, mode, trap, row)
        for i in range(length):
            product = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i)
            out[row, i] = step(product >> constants[RESULT_SHIFT], RESULT, limits, mode, trap, row, i)


@kernel
def shiftmax_table(constants, limits, mode, out):
    """Exp of the differences 0, -1, ..., -255, for rows of 8-bit codes."""
    trap = out[:4].copy()
    for distance in range(out.size):
        difference = step(-distance, DIFFERENCE, limits, mode, trap, 0, distance)
        out[distance] = shift_exp(difference, constants, SCALED, 0, limits, mode, trap, 0, distance)
