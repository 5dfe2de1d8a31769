"""2^-z for lowbit's own scheme, in Python integers.

Source: derived in ``lowbit/nonlinear/lowbit_scheme.py``.
"""

from __future__ import annotations

from lowbit.nonlinear.lowbit_scheme import COEFFICIENTS, EXP_BITS, FRACTION, LARGEST_EXPONENT, POLYNOMIAL_BITS
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.oracle.nonlinear.steps import Steps


def power_of_half(exponent: int, steps: Steps) -> int:
    """2^-z with 24 fraction bits, for z >= 0 with 16 fraction bits."""
    whole, fraction = divmod(exponent, 1 << FRACTION)
    value = 0
    for coefficient in reversed(COEFFICIENTS):
        value = coefficient + divided_half_up(value * fraction, 1 << FRACTION)
    polynomial = (1 << POLYNOMIAL_BITS) + divided_half_up(value * fraction, 1 << FRACTION)
    steps("polynomial", polynomial)
    if whole > LARGEST_EXPONENT:
        return steps("exponential", 0)
    return steps("exponential", divided_half_up(polynomial, 1 << (POLYNOMIAL_BITS - EXP_BITS + whole)))
