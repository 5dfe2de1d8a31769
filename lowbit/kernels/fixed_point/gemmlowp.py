"""gemmlowp's fixed-point arithmetic and elementary functions as compiled scalars on int64, and a loop over each.

A number is a raw integer of ``bits`` (32 or 16) in Q(i): i integer bits beside the sign, the rest fractional. Sums
wrap to the width as the product's do.

Source: gemmlowp, ``fixedpoint/fixedpoint.h``; TensorFlow Lite, ``tensorflow/lite/kernels/internal/common.h``.
"""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length

EXP_MINUS_EIGHTH = 1895147668  # exp(-1/8) in Q0 of 32 bits, as are the next constants
ONE_THIRD = 715827883
EXP_MINUS_QUARTER = 1672461947
EXP_MINUS_HALF = 1302514674
EXP_MINUS_1 = 790015084
EXP_MINUS_2 = 290630308
EXP_MINUS_4 = 39332535
EXP_MINUS_8 = 720401
EXP_MINUS_16 = 242
FORTY_EIGHT_SEVENTEENTHS = 1515870810  # in Q2
MINUS_THIRTY_TWO_SEVENTEENTHS = -1010580540  # in Q2
SQUARE_ROOT_OF_HALF = 1518500250  # in Q0


@scalar
def wrap(value, bits):
    """The signed number that a register of a width holds."""
    half = 1 << (bits - 1)
    return ((value + half) & ((half << 1) - 1)) - half


@scalar
def saturate(value, bits):
    """The nearest signed number of a width."""
    half = 1 << (bits - 1)
    return max(-half, min(half - 1, value))


@scalar
def doubling_high_multiply(a, b, bits):
    """a*b / 2**(bits-1), ties upward; lowest * lowest saturates."""
    return min((a * b + (1 << (bits - 2))) >> (bits - 1), (1 << (bits - 1)) - 1)


@scalar
def rounding_divide(value, exponent):
    """A quotient by 2**exponent to nearest, ties away from zero: below zero, one less is added, so that a tie falls."""
    half = (1 << exponent) >> 1
    return (value + half - ((value < 0) & (half > 0))) >> exponent


@scalar
def rounding_half_sum(a, b):
    """(a + b) / 2, ties away from zero."""
    return rounding_divide(a + b, 1)


@scalar
def saturating_shift_left(value, exponent, bits):
    """A product with 2**exponent, saturated."""
    return saturate(value << exponent, bits)


@scalar
def constant(value, bits):
    """A constant that is given with 32 bits, in a width."""
    return rounding_divide(value, 32 - bits)


@scalar
def exp_near_zero(a, bits):
    """exp(a) for a in [-1/4, 0), Q0 to Q0: Taylor's series around -1/8."""
    x = wrap(a + (1 << (bits - 4)), bits)
    square = doubling_high_multiply(x, x, bits)
    cube = doubling_high_multiply(square, x, bits)
    fourth = doubling_high_multiply(square, square, bits)
    tail = doubling_high_multiply(wrap(rounding_divide(fourth, 2) + cube, bits), constant(ONE_THIRD, bits), bits)
    series = rounding_divide(wrap(tail + square, bits), 1)
    scale = constant(EXP_MINUS_EIGHTH, bits)
    total = scale + doubling_high_multiply(scale, wrap(x + series, bits), bits)
    return saturate(total, bits) if bits == 16 else wrap(total, bits)


@scalar
def _times_if_set(result, remainder, place, power, integer_bits, factor, bits):
    """One stage of the barrel: times the factor where the format has the bit and the remainder has it set."""
    selected = (power < integer_bits) & (((remainder >> min(place, 62)) & 1) != 0)
    return doubling_high_multiply(result, constant(factor, bits), bits) if selected else result


@scalar
def exp_on_negative_values(a, integer_bits, bits):
    """exp(a) for a <= 0, Q(integer_bits) to Q0."""
    fraction = bits - 1 - integer_bits
    quarter = 1 << (fraction - 2)
    low = (a & (quarter - 1)) - quarter
    result = exp_near_zero(saturating_shift_left(low, integer_bits, bits), bits)
    remainder = wrap(low - a, bits)
    result = _times_if_set(result, remainder, fraction - 2, -2, integer_bits, EXP_MINUS_QUARTER, bits)
    result = _times_if_set(result, remainder, fraction - 1, -1, integer_bits, EXP_MINUS_HALF, bits)
    result = _times_if_set(result, remainder, fraction, 0, integer_bits, EXP_MINUS_1, bits)
    result = _times_if_set(result, remainder, fraction + 1, 1, integer_bits, EXP_MINUS_2, bits)
    result = _times_if_set(result, remainder, fraction + 2, 2, integer_bits, EXP_MINUS_4, bits)
    result = _times_if_set(result, remainder, fraction + 3, 3, integer_bits, EXP_MINUS_8, bits)
    result = _times_if_set(result, remainder, fraction + 4, 4, integer_bits, EXP_MINUS_16, bits)
    if integer_bits > 5 and a < constant(-(1 << (36 - integer_bits)), bits):
        result = 0
    return (1 << (bits - 1)) - 1 if a == 0 else result


@scalar
def inverse_half_denominator(a, bits):
    """2 / (1 + a) in Q2 by Newton's method, for a in Q0."""
    half = rounding_half_sum(a, (1 << (bits - 1)) - 1)
    one = 1 << (bits - 3)
    product = doubling_high_multiply(half, constant(MINUS_THIRTY_TWO_SEVENTEENTHS, bits), bits)
    x = wrap(constant(FORTY_EIGHT_SEVENTEENTHS, bits) + product, bits)
    for _ in range(3):
        error = wrap(one - doubling_high_multiply(half, x, bits), bits)
        x = wrap(x + saturating_shift_left(doubling_high_multiply(x, error, bits), 2, bits), bits)
    return x


@scalar
def one_over_one_plus_x(a, bits):
    """1 / (1 + a) for a in [0, 1), Q0 to Q0."""
    return saturating_shift_left(inverse_half_denominator(a, bits), 1, bits)


@scalar
def one_minus_x_over_one_plus_x(a, bits):
    """(1 - a) / (1 + a) for a in [0, 1), Q0 to Q0."""
    x = inverse_half_denominator(a, bits)
    return saturating_shift_left(wrap(x - (1 << (bits - 3)), bits), 2, bits)


@scalar
def logistic(a, integer_bits, bits):
    """1 / (1 + exp(-a)), Q(integer_bits) to Q0."""
    if a == 0:
        return 1 << (bits - 2)
    positive = one_over_one_plus_x(exp_on_negative_values(-abs(a), integer_bits, bits), bits)
    return positive if a > 0 else (1 << (bits - 1)) - 1 - positive


@scalar
def tanh(a, integer_bits, bits):
    """tanh(a), Q(integer_bits) to Q0: the raw number read with one more integer bit is 2a."""
    if a == 0:
        return 0
    negated = one_minus_x_over_one_plus_x(exp_on_negative_values(-abs(a), integer_bits + 1, bits), bits)
    return negated if a > 0 else -negated


@scalar
def leading_zeros(value):
    """Leading zeros of the 32 bits of a number; 32 for 0."""
    return 32 - bit_length(value & ((1 << 32) - 1))


@scalar
def reciprocal(value):
    """1 / x of a number of 32 bits, normalised: Q0, to be shifted right by its integer bits less its leading zeros."""
    shifted = ((value & ((1 << 32) - 1)) << leading_zeros(value)) - (1 << 31)
    return one_over_one_plus_x(wrap(shifted, 32), 32)


@scalar
def inverse_square_root(value):
    """1 / sqrt(value) as a multiplier of 32 bits and a right shift: multiplier / 2**(31 + shift)."""
    if value <= 1:
        return (1 << 31) - 1, 0
    shift = 11
    while value >= 1 << 29:
        value >>= 2
        shift += 1
    pairs = ((leading_zeros(value) - 1) >> 1) - 1
    shift -= pairs
    half = rounding_divide((value << (2 * pairs)) >> 1, 1)
    x = 1 << 28
    for _ in range(5):
        square = doubling_high_multiply(x, x, 32)
        cube = saturating_shift_left(doubling_high_multiply(square, x, 32), 6, 32)
        step = doubling_high_multiply((1 << 28) + (1 << 27), x, 32) - doubling_high_multiply(half, cube, 32)
        x = saturating_shift_left(wrap(step, 32), 3, 32)
    x = doubling_high_multiply(x, SQUARE_ROOT_OF_HALF, 32)
    if shift < 0:
        return wrap(x << -shift, 32), 0
    return x, shift


@kernel
def exp_each(values, integer_bits, bits, out):
    """The exponential of numbers at most 0."""
    for i in range(values.size):
        out[i] = exp_on_negative_values(values[i], integer_bits, bits)


@kernel
def one_over_one_plus_x_each(values, bits, out):
    """1 / (1 + x) of numbers in [0, 1)."""
    for i in range(values.size):
        out[i] = one_over_one_plus_x(values[i], bits)


@kernel
def logistic_each(values, integer_bits, bits, out):
    """The logistic function of any numbers."""
    for i in range(values.size):
        out[i] = logistic(values[i], integer_bits, bits)


@kernel
def tanh_each(values, integer_bits, bits, out):
    """The hyperbolic tangent of any numbers."""
    for i in range(values.size):
        out[i] = tanh(values[i], integer_bits, bits)


@kernel
def reciprocal_each(values, integer_bits, out, exponents):
    """Reciprocals of numbers above 0, and how many bits each number has above 1."""
    for i in range(values.size):
        out[i] = reciprocal(values[i])
        exponents[i] = integer_bits - leading_zeros(values[i])


@kernel
def inverse_square_root_each(values, out, shifts):
    """Inverse square roots of numbers from 0, and their right shifts."""
    for i in range(values.size):
        out[i], shifts[i] = inverse_square_root(values[i])
