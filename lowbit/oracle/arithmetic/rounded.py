"""Floating-point operations one at a time, each exact and then rounded to nearest even into a format (IEEE 754-2019).

For definitions that say "in binary32" step by step. Operands and results are :class:`lowbit.exact.Exact`; NaNs lose
sign and payload.
"""

from __future__ import annotations

from fractions import Fraction

from lowbit.exact import FINITE, INFINITY, NAN, NEGATIVE_ZERO, NOT_A_NUMBER, ZERO, Exact, finite
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.policy.cast import Policy

_NEAREST_EVEN = Policy()


def round_to(value: Fraction, fmt: str, *, negative_zero: bool = False) -> Exact:
    """A rational number rounded to nearest even; ``negative_zero`` is the sign of an exact zero."""
    if value == 0:
        return NEGATIVE_ZERO if negative_zero else ZERO
    return round_exact(exact.to_odd(value), fmt)


def round_exact(value: Exact, fmt: str) -> Exact:
    """An exact value rounded to nearest even; overflow gives an infinity."""
    target = scalar_format(fmt)
    result = decode(project(value, target, _NEAREST_EVEN).code, target)
    return NOT_A_NUMBER if result.kind == NAN else result


def multiply(left: Exact, right: Exact, fmt: str) -> Exact:
    """The product, rounded once."""
    return round_exact(exact.multiply(left, right), fmt)


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
    return round_exact(exact.divide(left, right), fmt)


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
