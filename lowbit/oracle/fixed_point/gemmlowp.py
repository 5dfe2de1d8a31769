"""gemmlowp's fixed-point arithmetic and its elementary functions, in Python integers.

A number is a raw integer of 32 or 16 bits in the format Q(i): i integer bits beside the sign, the rest fractional, so
raw / 2**(bits - 1 - i). Additions wrap to the width, as the machine's do; multiplications round and saturate.

Source: gemmlowp, ``fixedpoint/fixedpoint.h`` (functions of the same names), and TensorFlow Lite,
``tensorflow/lite/kernels/internal/common.h`` (GetReciprocal, GetInvSqrtQuantizedMultiplierExp).
"""

from __future__ import annotations

from typing import NamedTuple

EXP_MINUS_EIGHTH = 1895147668  # exp(-1/8) in Q0 of 32 bits, as are the next constants
ONE_THIRD = 715827883
EXP_MINUS_POWER_OF_TWO = {
    -2: 1672461947,  # exp(-1/4)
    -1: 1302514674,  # exp(-1/2)
    0: 790015084,
    1: 290630308,
    2: 39332535,
    3: 720401,
    4: 242,  # exp(-16)
}
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # in Q2, the start of Newton's division: 48/17 - 32/17 * d
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # in Q2
NEWTON_STEPS = 3
SQUARE_ROOT_OF_HALF = 1518500250  # in Q0
INVERSE_ROOT_STEPS = 5
INVERSE_ROOT_SHIFT = 11  # output shift of an input between 2**27 and 2**29


def highest(bits: int) -> int:
    """The largest signed number of a width."""
    return (1 << (bits - 1)) - 1


def wrap(value: int, bits: int) -> int:
    """The signed number that a register of a width holds."""
    return (value + (1 << (bits - 1))) % (1 << bits) - (1 << (bits - 1))


def saturate(value: int, bits: int) -> int:
    """The nearest signed number of a width."""
    return max(-highest(bits) - 1, min(highest(bits), value))


def doubling_high_multiply(a: int, b: int, bits: int) -> int:
    """SaturatingRoundingDoublingHighMul: a*b / 2**(bits-1), ties upward; only lowest * lowest saturates."""
    return saturate((2 * a * b + (1 << (bits - 1))) // (1 << bits), bits)


def rounding_divide(value: int, exponent: int) -> int:
    """RoundingDivideByPOT: value / 2**exponent to nearest, ties away from zero."""
    magnitude = (2 * abs(value) + (1 << exponent)) // (2 << exponent)
    return magnitude if value >= 0 else -magnitude


def rounding_half_sum(a: int, b: int) -> int:
    """RoundingHalfSum: (a + b) / 2, ties away from zero."""
    return rounding_divide(a + b, 1)


def saturating_shift_left(value: int, exponent: int, bits: int) -> int:
    """SaturatingRoundingMultiplyByPOT with an exponent that is not negative."""
    return saturate(value * (1 << exponent), bits)


def constant(value: int, bits: int) -> int:
    """A constant that is given with 32 bits, in a width (RescaleConstantInitializer)."""
    return rounding_divide(value, 32 - bits)


def exp_near_zero(a: int, bits: int) -> int:
    """exp(a) for a in [-1/4, 0), Q0 to Q0: four terms of Taylor's series around -1/8.

    Only the last addition of the 16-bit form saturates.
    """
    x = wrap(a + (1 << (bits - 4)), bits)  # + 1/8
    square = doubling_high_multiply(x, x, bits)
    cube = doubling_high_multiply(square, x, bits)
    fourth = doubling_high_multiply(square, square, bits)
    tail = doubling_high_multiply(wrap(rounding_divide(fourth, 2) + cube, bits), constant(ONE_THIRD, bits), bits)
    series = rounding_divide(wrap(tail + square, bits), 1)  # x**4/24 + x**3/6 + x**2/2
    scale = constant(EXP_MINUS_EIGHTH, bits)
    product = doubling_high_multiply(scale, wrap(x + series, bits), bits)
    return saturate(scale + product, bits) if bits == 16 else wrap(scale + product, bits)


def exp_on_negative_values(a: int, integer_bits: int, bits: int = 32) -> int:
    """exp(a) for a <= 0, Q(integer_bits) to Q0.

    a = m - 1/4 - (multiple of 1/4) with m in [0, 1/4): the series gives exp(m - 1/4), and one factor for each bit of
    the multiple follows.
    """
    fraction_bits = bits - 1 - integer_bits
    quarter = 1 << (fraction_bits - 2)
    low = (a & (quarter - 1)) - quarter
    result = exp_near_zero(saturating_shift_left(low, integer_bits, bits), bits)
    remainder = wrap(low - a, bits)
    for power, factor in EXP_MINUS_POWER_OF_TWO.items():
        if power < integer_bits and remainder >> (fraction_bits + power) & 1:
            result = doubling_high_multiply(result, constant(factor, bits), bits)
    if integer_bits > 5 and a < constant(-(1 << (36 - integer_bits)), bits):  # below -32
        result = 0
    return highest(bits) if a == 0 else result


def _inverse_half_denominator(a: int, bits: int) -> int:
    """2 / (1 + a) in Q2 by Newton's method, for a in Q0."""
    half = rounding_half_sum(a, highest(bits))
    one = 1 << (bits - 3)
    product = doubling_high_multiply(half, constant(MINUS_THIRTY_TWO_SEVENTEENTHS, bits), bits)
    x = wrap(constant(FORTY_EIGHT_SEVENTEENTHS, bits) + product, bits)
    for _ in range(NEWTON_STEPS):
        error = wrap(one - doubling_high_multiply(half, x, bits), bits)
        x = wrap(x + saturating_shift_left(doubling_high_multiply(x, error, bits), 2, bits), bits)
    return x


def one_over_one_plus_x(a: int, bits: int = 32) -> int:
    """1 / (1 + a) for a in [0, 1), Q0 to Q0."""
    return saturating_shift_left(_inverse_half_denominator(a, bits), 1, bits)


def one_minus_x_over_one_plus_x(a: int, bits: int = 32) -> int:
    """(1 - a) / (1 + a) for a in [0, 1), Q0 to Q0."""
    x = _inverse_half_denominator(a, bits)
    return saturating_shift_left(wrap(x - (1 << (bits - 3)), bits), 2, bits)


def logistic(a: int, integer_bits: int, bits: int = 32) -> int:
    """1 / (1 + exp(-a)), Q(integer_bits) to Q0."""
    if a == 0:
        return 1 << (bits - 2)
    positive = one_over_one_plus_x(exp_on_negative_values(-abs(a), integer_bits, bits), bits)
    return positive if a > 0 else highest(bits) - positive


def tanh(a: int, integer_bits: int, bits: int = 32) -> int:
    """tanh(a), Q(integer_bits) to Q0: the raw number read with one more integer bit is 2a."""
    if a == 0:
        return 0
    exponential = exp_on_negative_values(-abs(a), integer_bits + 1, bits)
    negated = one_minus_x_over_one_plus_x(exponential, bits)
    return negated if a > 0 else -negated


class Reciprocal(NamedTuple):
    """1 / x as ``value`` / 2**31 / 2**``bits_over_unit``."""

    value: int
    bits_over_unit: int


def leading_zeros(value: int) -> int:
    """Leading zeros of the 32 bits of a number; 32 for 0."""
    return 32 - (value % (1 << 32)).bit_length()


def reciprocal(value: int, integer_bits: int) -> Reciprocal:
    """GetReciprocal: 1 / x for x > 0 in Q(integer_bits) of 32 bits."""
    headroom = leading_zeros(value)
    shifted = wrap((value << headroom) - (1 << 31), 32)
    return Reciprocal(one_over_one_plus_x(shifted), integer_bits - headroom)


class Multiplier(NamedTuple):
    """A real factor as ``value`` * 2**(``shift`` - 31)."""

    value: int
    shift: int


def inverse_square_root(value: int, reverse_shift: int = -1) -> Multiplier:
    """GetInvSqrtQuantizedMultiplierExp: 1 / sqrt(value) for a value >= 0, and 0 as if it were 1.

    ``reverse_shift`` is -1 where the shift of the answer counts to the left, 1 where it counts to the right.
    """
    if value <= 1:
        return Multiplier(highest(32), 0)
    shift = INVERSE_ROOT_SHIFT
    while value >= 1 << 29:
        value //= 4
        shift += 1
    pairs = (leading_zeros(value) - 1) // 2 - 1
    shift -= pairs
    value <<= 2 * pairs
    x = _newton_inverse_root(value >> 1)
    x = doubling_high_multiply(x, SQUARE_ROOT_OF_HALF, 32)
    if shift < 0:
        x, shift = wrap(x << -shift, 32), 0
    return Multiplier(x, shift * reverse_shift)


def _newton_inverse_root(a: int) -> int:
    """1 / sqrt(a) in Q3, for a in Q3: x = 3/2 x - a/2 x**3."""
    half = rounding_divide(a, 1)
    x = 1 << 28
    for _ in range(INVERSE_ROOT_STEPS):
        square = doubling_high_multiply(x, x, 32)
        cube = saturating_shift_left(doubling_high_multiply(square, x, 32), 6, 32)
        step = doubling_high_multiply((1 << 28) + (1 << 27), x, 32) - doubling_high_multiply(half, cube, 32)
        x = saturating_shift_left(wrap(step, 32), 3, 32)
    return x
