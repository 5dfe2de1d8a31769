"""I-BERT's i-exp in int64: the twin of ``oracle/nonlinear/exp_ibert.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.nonlinear.steps import step

# Places of the constants. CODE is 1 for the code's polynomial and shift, 0 for the paper's.
UNIT, LINEAR, CONSTANT, SHIFT, CODE, MULTIPLIER, RIGHT, NUMERATOR, RESULT_BITS = range(9)

LONGEST_SHIFT = 62
"""A right shift by more gives the same: 0 or -1."""


@scalar
def polynomial_exp(code, constants, first, limits, mode, trap, row, element):
    """The exponential of one code that is not positive; ``first`` is the place of its first intermediate."""
    unit = constants[UNIT]
    if constants[CODE]:
        code = max(code, constants[SHIFT] * unit)
    quotient = step(code // unit, first, limits, mode, trap, row, element)
    remainder = step(code - unit * quotient, first + 1, limits, mode, trap, row, element)
    if constants[CODE]:
        polynomial = remainder * (remainder + constants[LINEAR]) + constants[CONSTANT]
        polynomial = step(polynomial, first + 2, limits, mode, trap, row, element)
        value = max(0, polynomial << (constants[SHIFT] - quotient))
    else:
        root = remainder + constants[LINEAR]
        polynomial = step(root * root + constants[CONSTANT], first + 2, limits, mode, trap, row, element)
        value = polynomial >> min(quotient, LONGEST_SHIFT)
    return step(value, first + 3, limits, mode, trap, row, element)


@kernel
def exponential(codes, constants, limits, mode, out, trap):
    """The exponential of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[row, i] = polynomial_exp(codes[row, i], constants, 0, limits, mode, trap, row, i)
