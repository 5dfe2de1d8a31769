"""2^-z of lowbit's own scheme in int64: the twin of ``oracle/nonlinear/exp_lowbit.py``."""

from __future__ import annotations

from lowbit.kernels._jit import scalar
from lowbit.kernels.lib.divide import shift_half_up
from lowbit.kernels.nonlinear.steps import step

# Places of the constants: the multiplier, its shift, the farthest distance, bits of the result, and the polynomial.
MULTIPLIER, SHIFT, FARTHEST, BITS, COEFFICIENT_0, COEFFICIENT_1, COEFFICIENT_2, COEFFICIENT_3, LINEAR, CUBIC = range(10)

FRACTION, EXP_BITS, POLYNOMIAL_BITS, LARGEST_EXPONENT = 16, 24, 30, 26


@scalar
def power_of_half(exponent, constants, place, limits, mode, trap, row, element):
    """2^-z with 24 fraction bits, for z >= 0 with 16; ``place`` is the polynomial's, the exponential's is next."""
    whole = exponent >> FRACTION
    fraction = exponent & ((1 << FRACTION) - 1)
    value = constants[COEFFICIENT_3]
    value = constants[COEFFICIENT_2] + shift_half_up(value * fraction, FRACTION)
    value = constants[COEFFICIENT_1] + shift_half_up(value * fraction, FRACTION)
    value = constants[COEFFICIENT_0] + shift_half_up(value * fraction, FRACTION)
    polynomial = (1 << POLYNOMIAL_BITS) + shift_half_up(value * fraction, FRACTION)
    step(polynomial, place, limits, mode, trap, row, element)
    count = POLYNOMIAL_BITS - EXP_BITS + min(whole, LARGEST_EXPONENT)
    result = shift_half_up(polynomial, count) if whole <= LARGEST_EXPONENT else 0
    return step(result, place + 1, limits, mode, trap, row, element)
