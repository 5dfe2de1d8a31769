"""I-BERT's i-GELU in int64: the twin of ``oracle/nonlinear/gelu_ibert.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.nonlinear.steps import step

# Places of the constants and of the intermediates, in the order of nonlinear/ibert.py.
LINEAR, CONSTANT, SHIFT, UNIT = range(4)
MAGNITUDE, SQUARE, POLYNOMIAL, ERF, SUM, RESULT = range(6)


@kernel
def gelu(codes, constants, limits, mode, out, trap):
    """GELU of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            code = codes[row, i]
            magnitude = step(min(abs(code), -constants[LINEAR]), MAGNITUDE, limits, mode, trap, row, i)
            root = magnitude + constants[LINEAR]
            square = step(root * root, SQUARE, limits, mode, trap, row, i)
            polynomial = step(square + constants[CONSTANT], POLYNOMIAL, limits, mode, trap, row, i)
            sign = (code > 0) - (code < 0)
            erf = step((sign * polynomial) >> constants[SHIFT], ERF, limits, mode, trap, row, i)
            total = step(erf + constants[UNIT], SUM, limits, mode, trap, row, i)
            out[row, i] = step(code * total, RESULT, limits, mode, trap, row, i)
