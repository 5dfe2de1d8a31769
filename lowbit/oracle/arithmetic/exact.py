"""Products, quotients and sums of exact values, special values as in IEEE 754; a NaN loses sign and payload."""

from __future__ import annotations

from fractions import Fraction

from lowbit.exact import (
    FINITE,
    INFINITY,
    MINUS_INFINITY,
    NAN,
    NEGATIVE_INFINITY,
    NEGATIVE_ZERO,
    NOT_A_NUMBER,
    ZERO,
    Exact,
    finite,
    from_fraction,
)

_SPARE_BITS = 80
"""A quotient is cut off that many bits below its leading one, far below half a unit of any format here."""


def multiply(left: Exact, right: Exact) -> Exact:
    """The product."""
    if NAN in {left.kind, right.kind}:
        return NOT_A_NUMBER
    negative = is_negative(left) != is_negative(right)
    if left.kind == right.kind == FINITE:
        return Exact(FINITE, left.significand * right.significand, left.exponent + right.exponent, negative)
    return NOT_A_NUMBER if is_zero(left) or is_zero(right) else _infinity(negative)


def divide(left: Exact, right: Exact) -> Exact:
    """The quotient to odd: see :func:`to_odd`."""
    if NAN in {left.kind, right.kind} or FINITE not in {left.kind, right.kind}:
        return NOT_A_NUMBER
    negative = is_negative(left) != is_negative(right)
    if right.kind != FINITE or (is_zero(left) and not is_zero(right)):
        return NEGATIVE_ZERO if negative else ZERO
    if left.kind != FINITE or is_zero(right):
        return NOT_A_NUMBER if is_zero(left) else _infinity(negative)
    return to_odd(left.fraction() / right.fraction())


def add(left: Exact, right: Exact) -> Exact:
    """The sum; that of opposite numbers is +0."""
    if NAN in {left.kind, right.kind}:
        return NOT_A_NUMBER
    if left.kind == right.kind == FINITE:
        total = left.fraction() + right.fraction()
        return from_fraction(total) if total else NEGATIVE_ZERO if left.negative and right.negative else ZERO
    if FINITE not in {left.kind, right.kind}:
        return left if left.kind == right.kind else NOT_A_NUMBER
    return right if left.kind == FINITE else left


def negated(value: Exact) -> Exact:
    """The value with the other sign."""
    if value.kind != FINITE:
        return value if value.kind == NAN else _infinity(not is_negative(value))
    return Exact(FINITE, -value.significand, value.exponent, not value.negative)


def to_odd(value: Fraction) -> Exact:
    """A rational number cut off far behind every boundary of a format; what is cut off leaves a one behind.

    So it is on the same side of every boundary, and rounds as the number itself would.
    """
    if value == 0:
        return ZERO
    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length() - _SPARE_BITS
    scaled = magnitude / Fraction(2) ** exponent
    kept = scaled.numerator // scaled.denominator
    if kept != scaled:
        kept = 2 * kept + 1  # so that nothing looks like a tie
        exponent -= 1
    return finite(-kept if value < 0 else kept, exponent)


def is_zero(value: Exact) -> bool:
    """Whether the value is +0 or -0."""
    return value.kind == FINITE and value.significand == 0


def is_negative(value: Exact) -> bool:
    """Whether the value has a minus sign; NaNs have none here."""
    return value.kind == NEGATIVE_INFINITY or (value.kind == FINITE and value.negative)


def _infinity(negative: bool) -> Exact:
    return MINUS_INFINITY if negative else INFINITY
