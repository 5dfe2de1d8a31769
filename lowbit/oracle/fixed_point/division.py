"""Integer divisions and roots by their definitions, for the oracles of the nonlinearities."""

from __future__ import annotations

import math
from fractions import Fraction


def divided_half_even(numerator: int, denominator: int) -> int:
    """The quotient to nearest, ties to even."""
    return round(Fraction(numerator, denominator))


def divided_half_up(numerator: int, denominator: int) -> int:
    """The quotient to nearest, ties toward plus infinity."""
    return math.floor(Fraction(numerator, denominator) + Fraction(1, 2))


def divided_toward_zero(numerator: int, denominator: int) -> int:
    """The quotient as C computes it."""
    return math.trunc(Fraction(numerator, denominator))
