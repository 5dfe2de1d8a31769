"""Sums, products and quotients in binary64 that keep what a later rounding needs: rounding to odd.

A number rounded to odd in binary64 rounds on into a format of at most 51 bits as the exact one would (Boldo and
Melquiond, "Emulation of FMA and correctly rounded sums", IEEE Transactions on Computers 57(4), 2008). Every operation
here is one of IEEE 754 in round to nearest even, so the bits are the same everywhere.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from lowbit.ops.types import Array

Doubles = npt.NDArray[np.float64]

BINARY64_BITS = 53
BINARY32_BITS = 24
NEAR = 8
"""Units of binary64 by which a product of a rounded sum and a number of 24 bits errs at most, and some more."""
COARSE = (1 << (BINARY64_BITS - BINARY32_BITS - 1)) - 1
"""The low bits of a binary64 significand that numbers of 25 bits do not have: where no rounding on changes."""
ODD_BITS = 51
"""What is rounded to odd in binary64 can be rounded on to that many bits."""

SMALLEST = 2.0**-1000
"""Below it a quotient may have fewer bits."""

UNIT_BITS = 24
"""Every binary16 number is a multiple of 2^-24."""

LIMB_BITS = 21
"""Binary16 numbers in units of 2^-24 have at most 41 bits: two limbs."""

BLOCK = 512
"""So many products of limbs sum exactly in binary64: 42 bits each and 9 for the count."""


def to_odd(rounded: Doubles, error: Doubles) -> Doubles:
    """``rounded + error`` to odd, where ``rounded`` is that sum to nearest and ``error`` has at least its sign."""
    result, remainder = np.atleast_1d(rounded).copy(), np.atleast_1d(error)
    wrong = (result.view(np.int64) & 1 == 0) & (remainder != 0) & np.isfinite(result) & np.isfinite(remainder)
    result[wrong] = np.nextafter(result[wrong], np.where(remainder[wrong] > 0, np.inf, -np.inf))
    return result.reshape(np.shape(rounded))


def binary32_to_odd(values: Doubles) -> npt.NDArray[np.float32]:
    """binary64 numbers as binary32 to odd, so that rounding on into 16 bits rounds once."""
    narrow = values.astype(np.float32)
    beside = np.nextafter(narrow, np.where(values > narrow, np.float32(np.inf), np.float32(-np.inf)))
    even = (narrow.view(np.int32) & 1) == 0
    inexact = np.isfinite(narrow) & (narrow.astype(np.float64) != values)
    return np.asarray(np.where(inexact & even, beside, narrow))


def add_to_odd(left: Doubles, right: Doubles) -> Doubles:
    """``left + right`` to odd (Knuth's TwoSum)."""
    total = left + right
    part = total - left
    return to_odd(total, (left - (total - part)) + (right - part))


def fused_multiply_add(left: Array, right: Array, addend: Array) -> npt.NDArray[np.float32]:
    """binary32 ``left * right + addend``, rounded once: the product of two binary32 numbers is exact in binary64."""
    product = left.astype(np.float64) * right.astype(np.float64)
    return add_to_odd(product, np.broadcast_to(addend, product.shape).astype(np.float64)).astype(np.float32)


def divide_to_odd(left: Array, right: Array, precision: int = ODD_BITS) -> Doubles:
    """``left / right`` to odd; what is beyond 2^±1000 becomes that, so that a number stays a number.

    Where the quotient is then rounded to ``precision`` bits, one to nearest does as well unless it could be a tie.
    """
    left, right = np.broadcast_arrays(left, right)
    with np.errstate(all="ignore"):
        plain = np.asarray(left / right)
    if precision == ODD_BITS:
        return _divide_to_odd(left, right, plain)
    low = (1 << (BINARY64_BITS - 1 - precision)) - 1
    tied = (np.atleast_1d(plain).view(np.int64) & low == 0).reshape(plain.shape) | (np.abs(plain) < SMALLEST)
    if tied.any():
        plain[tied] = _divide_to_odd(left[tied], right[tied], plain[tied])
    return plain


def _divide_to_odd(left: Doubles, right: Doubles, plain: Doubles) -> Doubles:
    with np.errstate(all="ignore"):
        (top, top_exponent), (bottom, bottom_exponent) = np.frexp(left), np.frexp(right)
        quotient = top / bottom
        high, low = _halves(quotient)
        bottom_high, bottom_low = _halves(bottom)
        product = quotient * bottom
        error = ((high * bottom_high - product) + high * bottom_low + low * bottom_high) + low * bottom_low
        remainder = (top - product) - error
        odd = to_odd(quotient, np.where(bottom < 0, -remainder, remainder))
        scaled = np.ldexp(odd, np.clip(top_exponent - bottom_exponent, -1000, 1000))
    ordinary = np.isfinite(left) & np.isfinite(right) & (left != 0) & (right != 0)
    return np.where(ordinary, scaled, plain)


def _halves(number: Doubles) -> tuple[Doubles, Doubles]:
    """Veltkamp's splitting: two numbers of 26 bits, whose products are exact."""
    wide = number * ((1 << 27) + 1)
    high = wide - (wide - number)
    return high, number - high


def divide_sum(numerator: Doubles, addend: Doubles, divisor: int) -> Doubles:
    """``numerator / divisor + addend`` to odd, for a divisor of at most 14 bits and an addend of at most 11."""
    scaled = np.broadcast_to(addend, numerator.shape) * divisor
    total = numerator + scaled
    part = total - numerator
    error = (numerator - (total - part)) + (scaled - part)
    quotient = total / divisor
    upper, lower = _halves(quotient)
    remainder = ((total - upper * divisor) - lower * divisor) + error
    return to_odd(quotient, remainder) + 0.0  # a zero is positive


def add_products(value: Array, left: Array, right: Array) -> npt.NDArray[np.float16]:
    """``value + left @ right.T`` for binary16 matrices, exact and rounded once to binary16.

    ``value`` is (m, n), ``left`` (m, k), ``right`` (n, k). Where an operand is infinite or NaN the result is what
    IEEE 754 makes of it, which no order of the sum changes.
    """
    wide = [array.astype(np.float64) for array in (value, left, right)]
    finite = [np.where(np.isfinite(array), array, 0.0) for array in wide]
    result = _sum_products(*finite).astype(np.float16)
    rows = np.isfinite(wide[1]).all(axis=1)
    columns = np.isfinite(wide[2]).all(axis=1)
    special: npt.NDArray[np.bool_] = ~(np.isfinite(wide[0]) & np.logical_and.outer(rows, columns))
    if special.any():
        plain = wide[0] + np.einsum("mk,nk->mn", wide[1], wide[2])
        result[special] = plain.astype(np.float16)[special]
    return result


def _limbs(values: Doubles) -> tuple[Doubles, Doubles, npt.NDArray[np.int64]]:
    """A binary16 number in units of 2^-24, and its upper and lower limb."""
    whole = (values * float(1 << UNIT_BITS)).astype(np.int64)
    upper = whole >> LIMB_BITS
    return upper.astype(np.float64), (whole - (upper << LIMB_BITS)).astype(np.float64), whole


def _sum_products(value: Doubles, left: Doubles, right: Doubles) -> Doubles:
    """The exact sum, to odd, in binary64."""
    mask = (1 << LIMB_BITS) - 1
    whole = _limbs(value)[2]
    shift = 2 * LIMB_BITS - UNIT_BITS  # value * 2^24, in units of 2^-48, cut at 2^42
    high = whole >> shift
    low = (whole - (high << shift)) << UNIT_BITS
    middle = np.zeros_like(high)
    for start in range(0, left.shape[1], BLOCK):
        a1, a0, _ = _limbs(left[:, start : start + BLOCK])
        b1, b0, _ = _limbs(right[:, start : start + BLOCK])
        high += (a1 @ b1.T).astype(np.int64)
        middle += (a1 @ b0.T).astype(np.int64) + (a0 @ b1.T).astype(np.int64)
        low += (a0 @ b0.T).astype(np.int64)
    middle += low >> LIMB_BITS
    high += middle >> LIMB_BITS
    rest = ((middle & mask) << LIMB_BITS) | (low & mask)
    small = np.abs(high) < 1 << 12
    exact = np.where(small, (high << (2 * LIMB_BITS)) + rest, 0)
    jammed = ((exact >> 4) | ((exact & 15) != 0)) << 4  # beyond 53 bits: what is cut off leaves a one behind
    exact = np.where(np.abs(exact) < 1 << 52, exact, jammed)
    large = (high | (rest != 0)).astype(np.float64) * float(1 << (2 * LIMB_BITS))
    return np.where(small, exact.astype(np.float64), large) * 2.0 ** (-2 * UNIT_BITS)


def fraction_to_odd(number: Fraction) -> float:
    """A fraction in binary64 to odd."""
    shift = 2 * BINARY64_BITS + number.denominator.bit_length()
    quotient, rest = divmod(abs(number.numerator) << shift, number.denominator)
    surplus = max(quotient.bit_length() - BINARY64_BITS, 0)
    kept = quotient >> surplus
    kept |= bool(rest) or kept << surplus != quotient
    size = math.ldexp(kept, surplus - shift)
    return -size if number < 0 else size


def odd_but_near(result: Doubles, inexact: npt.NDArray[np.bool_]) -> list[tuple[int, ...]]:
    """Make inexact results odd, but for a few: the places of those so near a boundary that they may be beyond it."""
    words = result.view(np.int64)
    low = words & COARSE
    near = inexact & ((low <= NEAR) | (low >= COARSE + 1 - NEAR))
    words[inexact] |= 1
    return list(map(tuple, np.argwhere(near).tolist()))


def product_over(values: Doubles, factor: Array, divisor: Array) -> Doubles:
    """``values * factor / divisor`` in binary64, so that it can be rounded on to at most 24 bits.

    The rounded product and quotient tell on which side of a boundary of such a rounding the exact one is, but close to
    one; there it is made of fractions.
    """
    values, factors, divisors = np.broadcast_arrays(values, factor, divisor)
    result = np.asarray(values * factors / divisors)
    for place in odd_but_near(result, np.isfinite(result) & (result != 0)):
        top, times, bottom = (Fraction(float(array[place])) for array in (values, factors, divisors))
        result[place] = fraction_to_odd(top * times / bottom)
    return result
