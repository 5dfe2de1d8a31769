"""GELU of lowbit's own scheme in int64: the twin of ``oracle/nonlinear/gelu_lowbit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.divide import shift_half_up
from lowbit.kernels.nonlinear.exp_lowbit import (
    BITS,
    CUBIC,
    EXP_BITS,
    FARTHEST,
    FRACTION,
    LINEAR,
    MULTIPLIER,
    SHIFT,
    power_of_half,
)
from lowbit.kernels.nonlinear.steps import step

# Places of the intermediates, in the order of nonlinear/lowbit_scheme.py.
SCALED, VALUE, SQUARE, SLOPE, EXPONENT, POLYNOMIAL, EXPONENTIAL, SUM, SIGMOID, PRODUCT, RESULT = range(11)
FACTOR_BITS = 24


@kernel
def gelu(codes, constants, limits, mode, out, trap):
    """GELU of every code of a block of rows; the constant FARTHEST is where values are clamped."""
    limit = constants[FARTHEST]
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            code = codes[row, i]
            scaled = step(code * constants[MULTIPLIER], SCALED, limits, mode, trap, row, i)
            value = shift_half_up(scaled, constants[SHIFT] - FRACTION)
            value = step(max(-limit, min(value, limit)), VALUE, limits, mode, trap, row, i)
            square = step((value * value) >> FRACTION, SQUARE, limits, mode, trap, row, i)
            slope = constants[LINEAR] + ((constants[CUBIC] * square) >> FRACTION)
            slope = step(slope, SLOPE, limits, mode, trap, row, i)
            exponent = step((abs(value) * slope) >> FACTOR_BITS, EXPONENT, limits, mode, trap, row, i)
            power = power_of_half(exponent, constants, POLYNOMIAL, limits, mode, trap, row, i)
            total = step((1 << EXP_BITS) + power, SUM, limits, mode, trap, row, i)
            above = (1 << 2 * EXP_BITS) // total
            sigmoid = above if value >= 0 else (1 << EXP_BITS) - above
            product = step(
                code * step(sigmoid, SIGMOID, limits, mode, trap, row, i), PRODUCT, limits, mode, trap, row, i
            )
            result = shift_half_up(product, EXP_BITS - constants[BITS] + 1)
            out[row, i] = step(result, RESULT, limits, mode, trap, row, i)
