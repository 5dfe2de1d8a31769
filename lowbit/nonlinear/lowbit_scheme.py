"""lowbit's own integer softmax, GELU, LayerNorm and RMSNorm, scheme id ``lowbit``.

The same place in a network as I-ViT's, with the three weak points replaced: the exponential is 2^-z with a polynomial
of degree 4 instead of 1 + r / 2, the reciprocal is taken of a normalised sum and so always has 31 significant bits, and
the square root is exact. docs/explanation/nonlinearities.md states the errors, measured over every input.

Source: derived here. 2^-f = 1 + f q(f) with q of degree 3, the minimax fit on [0, 1]: error 2.1e-6, in units of 2^-30.
GELU is the form with tanh, x sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3)) (Hendrycks and Gimpel, arXiv 1606.08415).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Example, LastRounding, Parameters, Scheme
from lowbit.nonlinear.widths import Intermediate, signed, unsigned

FRACTION = 16
"""Fraction bits of z, the exponent."""
COEFFICIENTS = (-744187942, 257211667, -57311506, 7419134)
"""Of q, from the constant upward, times 2^30."""
LARGEST_EXPONENT = 26
"""2^-26 rounds to 0 with 24 fraction bits."""
NORMAL_BITS = 31
"""A sum is shifted to that many bits before its reciprocal is taken."""
RECIPROCAL = 1 << 61
"""Divided by a normalised sum: at most 2^31, so a product with an exponential has 57 bits."""
MULTIPLIER_BITS = 31
SHIFTS = (25, 56)
"""Of multipliers: for larger scales the exponent, for smaller ones the product would need more bits."""

LONGEST = 1 << 20
SOFTMAX_BITS = 16
GELU_BITS = 8
GELU_CODE_BITS = 24
GELU_LIMIT = 8
"""Beyond, GELU is 0 or x."""
GELU_LINEAR = 38624644
"""2 sqrt(2 / pi) log2(e), times 2^24."""
GELU_CUBIC = 1727101
"""0.044715 times that."""

NORM_LONGEST = 1 << 16
RMS_LONGEST = 1 << 15
NORM_CODE_BITS = 16
NORM_FRACTION = 20
"""Fraction bits of a normalised value."""
NORM_RECIPROCAL = 1 << 59


class Multiplier(NamedTuple):
    """A positive real number as ``multiplier / 2^shift``, the multiplier of 31 bits."""

    multiplier: int
    shift: int


def as_multiplier(value: Fraction, scale: float) -> Multiplier:
    """The nearest number of 31 significant bits."""
    exponent = math.frexp(float(value))[1]
    shift = MULTIPLIER_BITS - exponent
    multiplier = round(value * Fraction(2) ** shift)
    if multiplier == 1 << MULTIPLIER_BITS:
        multiplier, shift = multiplier >> 1, shift - 1
    if not SHIFTS[0] <= shift <= SHIFTS[1]:
        raise InputError(f"scale = {scale!r} is out of range", hint="the scheme takes scales from 2^-25 to 32")
    return Multiplier(multiplier, shift)


def exp_multiplier(scale: float) -> Multiplier:
    """Scale * log2(e)."""
    return as_multiplier(Fraction(scale) * Fraction(math.log2(math.e)), scale)


def gelu_multiplier(scale: float) -> Multiplier:
    """The scale itself."""
    return as_multiplier(Fraction(scale), scale)


def farthest(multiplier: Multiplier) -> int:
    """A distance from the maximum whose exponential is 0; larger ones need not be told apart."""
    return -(-LARGEST_EXPONENT << multiplier.shift) // multiplier.multiplier + 1


def _softmax_steps(call: Parameters) -> tuple[Intermediate, ...]:
    """Nothing can overflow for rows of up to 2^20 codes."""
    return (
        *unsigned(33, "distance", note="int32 codes"),
        *unsigned(62, "scaled", note="distance * multiplier, the distance limited first"),
        *unsigned(23, "exponent", note="z, 16 fraction bits, below 26 + 2 * 46.2"),
        *unsigned(31, "polynomial", note="2^-f, 30 fraction bits"),
        *unsigned(25, "exponential", note="24 fraction bits"),
        *unsigned(45, "sum", note="25 bits and log2 of the length"),
        *unsigned(31, "normalized"),
        *unsigned(32, "factor", note="2^61 / normalized"),
        *unsigned(57, "product"),
        *signed(call.result_bits, "result", note="clamped; the result's width is an argument"),
    )


def _gelu_steps(call: Parameters) -> tuple[Intermediate, ...]:
    """Nothing can overflow for codes of up to 24 bits."""
    return (
        *signed(55, "scaled", note="code * multiplier"),
        *signed(21, "value", note="16 fraction bits, clamped to +-8"),
        *unsigned(23, "square"),
        *unsigned(28, "slope", note="24 fraction bits"),
        *unsigned(23, "exponent", note="16 fraction bits"),
        *unsigned(31, "polynomial", note="2^-f, 30 fraction bits"),
        *unsigned(25, "exponential", note="24 fraction bits"),
        *unsigned(26, "sum", note="1 + exponential"),
        *unsigned(25, "sigmoid", note="24 fraction bits"),
        *signed(49, "product"),
        *signed(GELU_CODE_BITS + call.result_bits, "result", note="rounded to bits - 1 fraction bits"),
    )


def _layernorm_steps(_: Parameters) -> tuple[Intermediate, ...]:
    """Nothing can overflow for rows of up to 2^16 codes of 16 bits, but for a large beta / gamma."""
    return (
        *signed(32, "sum"),
        *unsigned(47, "sum_of_squares", note="2^16 squares of -2^15 are 2^46"),
        *unsigned(62, "variance", note="length * sum_of_squares - sum^2"),
        *unsigned(31, "deviation", note="the exact root of the variance shifted to 61 or 62 bits"),
        *unsigned(30, "factor", note="2^59 / deviation"),
        *signed(34, "centred", note="length * code - sum"),
        *signed(64, "product"),
        *signed(30, "normalized", note="20 fraction bits; at most sqrt(length)"),
        *signed(32, "result", note="plus beta / gamma"),
    )


def _rmsnorm_steps(_: Parameters) -> tuple[Intermediate, ...]:
    """LayerNorm's without a mean, for rows of up to 2^15 codes of 16 bits."""
    return (
        *unsigned(46, "sum_of_squares", note="2^15 squares of -2^15 are 2^45"),
        *unsigned(61, "variance", note="length * sum_of_squares"),
        *unsigned(31, "deviation", note="the exact root of the variance shifted to 61 or 62 bits"),
        *unsigned(30, "factor", note="2^59 / deviation"),
        *signed(32, "scaled", note="length * code"),
        *signed(62, "product"),
        *signed(30, "normalized", note="20 fraction bits; at most sqrt(length)"),
        *signed(32, "result", note="plus beta / gamma"),
    )


def _last_rounding(call: Parameters) -> LastRounding:
    fraction_bits = call.result_bits - 1

    def shift(last: Mapping[str, int]) -> int:
        return 61 + last["sum"].bit_length() - NORMAL_BITS - fraction_bits

    return LastRounding("product", "result", shift, 0, (0, (1 << fraction_bits) - 1))


SCHEMES = (
    Scheme(
        "softmax",
        "lowbit",
        "this library's own: 2^-z by a polynomial of fourth order, a reciprocal of 31 bits",
        _softmax_steps,
        home="lowbit_scheme:softmax",
        evidence="",
        own_bits=SOFTMAX_BITS,
        bits=range(2, 25),
        last_rounding=_last_rounding,
    ),
    Scheme(
        "gelu",
        "lowbit",
        "this library's own: the form with tanh, one rounding at the end",
        _gelu_steps,
        home="lowbit_scheme:gelu",
        evidence="",
        own_bits=GELU_BITS,
        bits=range(2, GELU_BITS + 1),
    ),
    Scheme(
        "layernorm",
        "lowbit",
        "this library's own: exact sums and an exact root",
        _layernorm_steps,
        home="lowbit_scheme:layernorm",
        evidence="",
        options=("gamma", "beta"),
        takes_scale=False,
        own_bits=32,
        mean="times_length",
        examples=(Example({}),),
    ),
    Scheme(
        "rmsnorm",
        "lowbit",
        "this library's own: its LayerNorm without a mean",
        _rmsnorm_steps,
        home="lowbit_scheme:rmsnorm",
        evidence="",
        options=("gamma", "beta"),
        takes_scale=False,
        own_bits=32,
        examples=(Example({}),),
    ),
)
