"""lowbit's own softmax, GELU, LayerNorm and RMSNorm in int64: the twin of ``oracle/nonlinear/lowbit_scheme.py``."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import floor_square_root, shift_half_up
from lowbit.kernels.nonlinear.steps import maximum_of, step

# Places of the constants: the multiplier, its shift, the farthest distance (GELU: where values are clamped), bits of
# the result, and the polynomials.
MULTIPLIER, SHIFT, FARTHEST, BITS, COEFFICIENT_0, COEFFICIENT_1, COEFFICIENT_2, COEFFICIENT_3, LINEAR, CUBIC = range(10)

# Places of the intermediates, in the order of nonlinear/lowbit_scheme.py.
DISTANCE, SCALED, EXPONENT, POLYNOMIAL, EXPONENTIAL, SUM, NORMALIZED, FACTOR, PRODUCT, RESULT = range(10)
GELU_SCALED, VALUE, SQUARE, SLOPE, GELU_EXPONENT, GELU_POLYNOMIAL, _, GELU_SUM, SIGMOID, GELU_PRODUCT, GELU_RESULT = (
    range(11)
)
NORM_SUM, SUM_OF_SQUARES, VARIANCE, DEVIATION, NORM_FACTOR, CENTRED, NORM_PRODUCT, NORM_NORMALIZED, NORM_RESULT = range(
    9
)

FRACTION, EXP_BITS, POLYNOMIAL_BITS, LARGEST_EXPONENT = 16, 24, 30, 26
NORMAL_BITS, RECIPROCAL_BITS = 31, 61
FACTOR_BITS = 24
ROOT_BITS, NORM_RECIPROCAL_BITS, NORM_FRACTION = 62, 59, 20


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


@scalar
def exponential(distance, constants, limits, mode, trap, row, element):
    """The exponential of minus a distance from the maximum."""
    distance = min(step(distance, DISTANCE, limits, mode, trap, row, element), constants[FARTHEST])
    scaled = step(distance * constants[MULTIPLIER], SCALED, limits, mode, trap, row, element)
    exponent = shift_half_up(scaled, constants[SHIFT] - FRACTION)
    exponent = step(exponent, EXPONENT, limits, mode, trap, row, element)
    return power_of_half(exponent, constants, POLYNOMIAL, limits, mode, trap, row, element)


@kernel
def exponentials(differences, constants, limits, mode, out, trap):
    """The exponentials of differences from the maximum, for tables."""
    for row in range(differences.shape[0]):
        for i in range(differences.shape[1]):
            out[row, i] = exponential(-differences[row, i], constants, limits, mode, trap, row, i)


@scalar
def reciprocal(total, limits, mode, trap, row):
    """The reciprocal of the sum normalised to 31 bits, and how many bits that took."""
    excess = bit_length(total) - NORMAL_BITS
    normalized = total >> excess if excess > 0 else total << -excess
    normalized = step(normalized, NORMALIZED, limits, mode, trap, row, -1)
    return step((1 << RECIPROCAL_BITS) // normalized, FACTOR, limits, mode, trap, row, -1), excess


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block."""
    length = codes.shape[1]
    largest = (1 << (constants[BITS] - 1)) - 1
    for row in range(codes.shape[0]):
        maximum = maximum_of(codes, row)
        total = 0
        for i in range(length):
            out[row, i] = exponential(maximum - codes[row, i], constants, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM, limits, mode, trap, row, i)
        factor, excess = reciprocal(total, limits, mode, trap, row)
        places = RECIPROCAL_BITS + excess - (constants[BITS] - 1)
        for i in range(length):
            product = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i)
            result = min(shift_half_up(product, places), largest)
            out[row, i] = step(result, RESULT, limits, mode, trap, row, i)


@kernel
def gelu(codes, constants, limits, mode, out, trap):
    """GELU of every code of a block of rows."""
    limit = constants[FARTHEST]
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            code = codes[row, i]
            scaled = step(code * constants[MULTIPLIER], GELU_SCALED, limits, mode, trap, row, i)
            value = shift_half_up(scaled, constants[SHIFT] - FRACTION)
            value = step(max(-limit, min(value, limit)), VALUE, limits, mode, trap, row, i)
            square = step((value * value) >> FRACTION, SQUARE, limits, mode, trap, row, i)
            slope = constants[LINEAR] + ((constants[CUBIC] * square) >> FRACTION)
            slope = step(slope, SLOPE, limits, mode, trap, row, i)
            exponent = step((abs(value) * slope) >> FACTOR_BITS, GELU_EXPONENT, limits, mode, trap, row, i)
            power = power_of_half(exponent, constants, GELU_POLYNOMIAL, limits, mode, trap, row, i)
            total = step((1 << EXP_BITS) + power, GELU_SUM, limits, mode, trap, row, i)
            above = (1 << 2 * EXP_BITS) // total
            sigmoid = above if value >= 0 else (1 << EXP_BITS) - above
            sigmoid = step(sigmoid, SIGMOID, limits, mode, trap, row, i)
            product = step(code * sigmoid, GELU_PRODUCT, limits, mode, trap, row, i)
            result = shift_half_up(product, EXP_BITS - constants[BITS] + 1)
            out[row, i] = step(result, GELU_RESULT, limits, mode, trap, row, i)


@kernel
def norm(codes, centred, bias, limits, mode, out, trap):
    """LayerNorm (``centred`` is 1) or RMSNorm (0) of every row of a block; RMSNorm's intermediates lack the sum."""
    length = codes.shape[1]
    less = 1 - centred
    for row in range(codes.shape[0]):
        total = 0
        squares = 0
        for i in range(length):
            code = codes[row, i]
            if centred:
                total = step(total + code, NORM_SUM, limits, mode, trap, row, i)
            squares = step(squares + code * code, SUM_OF_SQUARES - less, limits, mode, trap, row, i)
        variance = step(length * squares - total * total, VARIANCE - less, limits, mode, trap, row, -1)
        halves = (ROOT_BITS - bit_length(variance)) >> 1
        root = floor_square_root(variance << (2 * halves)) if variance else (1 << 31) - 1
        root = step(root, DEVIATION - less, limits, mode, trap, row, -1)
        factor = step((1 << NORM_RECIPROCAL_BITS) // root, NORM_FACTOR - less, limits, mode, trap, row, -1)
        places = NORM_RECIPROCAL_BITS - NORM_FRACTION - halves
        for i in range(length):
            difference = step(length * codes[row, i] - total, CENTRED - less, limits, mode, trap, row, i)
            product = step(difference * factor, NORM_PRODUCT - less, limits, mode, trap, row, i)
            normalized = 0
            if variance:
                place = NORM_NORMALIZED - less
                normalized = step(shift_half_up(product, places), place, limits, mode, trap, row, i)
            out[row, i] = step(normalized + bias[i], NORM_RESULT - less, limits, mode, trap, row, i)
