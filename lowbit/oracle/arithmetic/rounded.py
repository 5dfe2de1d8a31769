"""Floating-point operations one at a time, each exact and then rounded to nearest even into a format (IEEE 754-2019).

For definitions that say "in binary32" step by step. Operands and results are :class:`lowbit.exact.Exact`; NaNs lose
sign and payload.
"""

from __future__ import annotations

from fractions import Fraction

from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NAN, NEGATIVE_ZERO, NOT_A_NUMBER, ZERO, Exact, finite
from lowbit.format.registry import get_format
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.policy.cast import Policy

_NEAREST_EVEN = Policy()
_SPARE_BITS = 80
"""A quotient is cut off that many bits below its leading one, far below half a unit of any format here."""


def round_to(value: Fraction, fmt: str, *, negative_zero: bool = False) -> Exact:
    """A rational number rounded to nearest even; ``negative_zero`` is the sign of an exact zero."""
    if value == 0:
        return NEGATIVE_ZERO if negative_zero else ZERO
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - _SPARE_BITS
    scaled = magnitude / Fraction(2) ** exponent
    kept = scaled.numerator // scaled.denominator
    if kept != scaled:
        kept = 2 * kept + 1  # what is cut off leaves a one behind, so that nothing looks like a tie
        exponent -= 1
    return round_exact(finite(-kept if value < 0 else kept, exponent), fmt)


def round_exact(value: Exact, fmt: str) -> Exact:
    """An exact value rounded to nearest even; overflow gives an infinity."""
    target = get_format(fmt)
    result = decode(project(value, target, _NEAREST_EVEN).code, target)
    return NOT_A_NUMBER if result.kind == NAN else result


def multiply(left: Exact, right: Exact, fmt: str) -> Exact:
    """The product, rounded once."""
    if NAN in {left.kind, right.kind}:
        return NOT_A_NUMBER
    negative = left.negative != right.negative
    if left.kind != FINITE or right.kind != FINITE:
        if any(value.kind == FINITE and value.significand == 0 for value in (left, right)):
            return NOT_A_NUMBER
        return MINUS_INFINITY if negative else INFINITY
    significand = left.significand * right.significand
    if significand == 0:
        return NEGATIVE_ZERO if negative else ZERO
    return round_exact(finite(significand, left.exponent + right.exponent), fmt)


def multiply_add(left: Exact, right: Exact, addend: Exact, fmt: str) -> Exact:
    """``left * right + addend`` rounded once (fusedMultiplyAdd)."""
    if FINITE == left.kind == right.kind == addend.kind:
        total = left.fraction() * right.fraction() + addend.fraction()
        both_negative = addend.negative and left.negative != right.negative
        return round_to(total, fmt, negative_zero=both_negative)
    product = multiply(left, right, "float64")
    if NAN in {product.kind, addend.kind}:
        return NOT_A_NUMBER
    if product.kind == FINITE:
        return addend
    return product if addend.kind in {FINITE, product.kind} else NOT_A_NUMBER


def add(left: Exact, right: Exact, fmt: str) -> Exact:
    """The sum, rounded once."""
    return multiply_add(left, finite(1), right, fmt)


def divide(left: Exact, right: Exact, fmt: str) -> Exact:
    """The quotient, rounded once."""
    if NAN in {left.kind, right.kind}:
        return NOT_A_NUMBER
    negative = left.negative != right.negative
    if FINITE == left.kind == right.kind and right.significand != 0:
        return round_to(left.fraction() / right.fraction(), fmt, negative_zero=negative)
    vanishing = left.kind == FINITE and left.significand == 0
    if right.kind != FINITE:
        return NOT_A_NUMBER if left.kind != FINITE else (NEGATIVE_ZERO if negative else ZERO)
    return NOT_A_NUMBER if vanishing else (MINUS_INFINITY if negative else INFINITY)


def is_less(left: Exact, right: Exact) -> bool:
    """``left < right``; false where either is a NaN."""
    if NAN in {left.kind, right.kind}:
        return False
    return _rank(left) < _rank(right)


def _rank(value: Exact) -> tuple[int, Fraction]:
    """A key that sorts infinities outside all numbers."""
    if value.kind == FINITE:
        return 0, value.fraction()
    return (-1 if value.negative else 1), Fraction(0)


def absolute(value: Exact) -> Exact:
    """The magnitude."""
    if value.kind == FINITE:
        return Exact(FINITE, abs(value.significand), value.exponent, False)
    return INFINITY if value.kind != NAN else NOT_A_NUMBER


def nearest_integer(value: Exact) -> int | None:
    """To nearest, ties to even; None for what is not finite."""
    if value.kind != FINITE:
        return None
    return round(value.fraction())


__all__ = [
    "absolute",
    "add",
    "divide",
    "is_less",
    "multiply",
    "multiply_add",
    "nearest_integer",
    "round_exact",
    "round_to",
]
