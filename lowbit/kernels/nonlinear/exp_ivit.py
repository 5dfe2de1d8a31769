"""I-ViT's ShiftExp in int64: the twin of ``oracle/nonlinear/exp_ivit.py``."""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.nonlinear.steps import step, truncating_divide

# Places of the constants.
UNIT, SHIFT, KEEP_HALF, TRUNCATE, NUMERATOR, CLAMP, RESULT_SHIFT = range(7)

LARGEST_POWER = 62
"""Shifts are cut where the result would leave 63 bits; its low 32 bits are zero there and beyond."""


@scalar
def shift_exp(code, constants, first, limit, limits, mode, trap, row, element):
    """Exp of one code; ``first`` is the place of the first of its four intermediates, ``limit`` a clamp (0: none)."""
    unit = constants[UNIT]
    shift = constants[SHIFT]
    scaled = step(code + (code >> 1) - (code >> 4), first, limits, mode, trap, row, element)
    scaled = max(scaled, shift * unit)
    quotient = truncating_divide(scaled, unit) if constants[TRUNCATE] else scaled // unit
    quotient = step(quotient, first + 1, limits, mode, trap, row, element)
    remainder = step(scaled - unit * quotient, first + 2, limits, mode, trap, row, element)
    if constants[KEEP_HALF]:
        base = remainder - 2 * unit
        value = (base << min(shift - quotient, LARGEST_POWER - bit_length(base))) >> 1
    else:
        base = (remainder >> 1) - unit
        value = base << min(shift - quotient, LARGEST_POWER - bit_length(base))
    if limit:
        value = min(value, limit)
    return step(value, first + 3, limits, mode, trap, row, element)


@scalar
def reciprocal(total, constants, place, limits, mode, trap, row):
    """The numerator over a sum that is not zero."""
    numerator = constants[NUMERATOR]
    quotient = truncating_divide(numerator, total) if constants[TRUNCATE] else numerator // total
    return step(quotient, place, limits, mode, trap, row, np.int64(-1))


@kernel
def exponential(codes, constants, limits, mode, out, trap):
    """Exp of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[row, i] = shift_exp(codes[row, i], constants, 0, 0, limits, mode, trap, row, i)
