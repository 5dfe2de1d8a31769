"""I-BERT's i-exp, i-softmax, i-GELU, I-LayerNorm and i-sqrt in int64: the twin of the oracle's file of this name."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even, floor_square_root
from lowbit.kernels.nonlinear.steps import maximum_of, note, step

# Places of the constants. CODE is 1 for the code's polynomial and shift, 0 for the paper's.
UNIT, LINEAR, CONSTANT, SHIFT, CODE, MULTIPLIER, RIGHT, NUMERATOR, RESULT_BITS = range(9)
GELU_LINEAR, GELU_CONSTANT, GELU_SHIFT, ONE = range(4)
NORM_NUMERATOR, NORM_SHIFT = range(2)

# Places of the intermediates, in the order of nonlinear/ibert.py: softmax's in the code, then where the paper's differ.
DIFFERENCE, EXP, REQUANTIZED, SUM, FACTOR, PRODUCT, RESULT = 0, 1, 5, 6, 7, 8, 9
PAPER_SUM, PAPER_PRODUCT, PAPER_RESULT = 5, 6, 7
MAGNITUDE, GELU_SQUARE, POLYNOMIAL, ERF, GELU_SUM, GELU_RESULT = range(6)
NORM_SUM, CENTRED, SHIFTED, SQUARE, SUM_OF_SQUARES, DEVIATION, NORM_FACTOR, NORM_PRODUCT, NORM_RESULT = range(9)

LONGEST_SHIFT = 62
"""A right shift by more gives the same: 0 or -1."""
LIMB = 31


@scalar
def polynomial_exp(code, constants, first, limits, mode, trap, row, element):
    """The exponential of one code that is not positive; ``first`` is the place of its first intermediate."""
    unit = constants[UNIT]
    if constants[CODE]:
        code = max(code, constants[SHIFT] * unit)
    quotient = step(code // unit, first, limits, mode, trap, row, element)
    remainder = step(code - unit * quotient, first + 1, limits, mode, trap, row, element)
    if constants[CODE]:
        polynomial = remainder * (remainder + constants[LINEAR]) + constants[CONSTANT]
        polynomial = step(polynomial, first + 2, limits, mode, trap, row, element)
        value = max(0, polynomial << (constants[SHIFT] - quotient))
    else:
        root = remainder + constants[LINEAR]
        polynomial = step(root * root + constants[CONSTANT], first + 2, limits, mode, trap, row, element)
        value = polynomial >> min(quotient, LONGEST_SHIFT)
    return step(value, first + 3, limits, mode, trap, row, element)


@kernel
def exponential(codes, constants, limits, mode, out, trap):
    """The exponential of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[row, i] = polynomial_exp(codes[row, i], constants, 0, limits, mode, trap, row, i)


@scalar
def requantize_half_even(value, multiplier, right):
    """Value * multiplier / 2^right to nearest even; value below 2^62, multiplier below 2^31, right above 31.

    The product has up to 93 bits: ``high`` * 2^31 + ``low``.
    """
    low_product = (value & ((1 << LIMB) - 1)) * multiplier
    high = (value >> LIMB) * multiplier + (low_product >> LIMB)
    low = low_product & ((1 << LIMB) - 1)
    count = right - LIMB
    quotient = high >> count
    rest = high - (quotient << count)
    half = 1 << (count - 1)
    above = (rest > half) | ((rest == half) & (low > 0))
    tie = (rest == half) & (low == 0)
    return quotient + (above | (tie & (quotient & 1)))


@scalar
def weight(difference, constants, limits, mode, trap, row, element):
    """The exponential of a difference as it is summed: requantised to 16 bits in the code."""
    difference = step(difference, DIFFERENCE, limits, mode, trap, row, element)
    value = polynomial_exp(difference, constants, EXP, limits, mode, trap, row, element)
    if constants[CODE]:
        value = requantize_half_even(value, constants[MULTIPLIER], constants[RIGHT])
        value = step(value, REQUANTIZED, limits, mode, trap, row, element)
    return value


@kernel
def weights(differences, constants, limits, mode, out, trap):
    """What differences from the maximum add to i-softmax's sum, for tables."""
    for row in range(differences.shape[0]):
        for i in range(differences.shape[1]):
            out[row, i] = weight(differences[row, i], constants, limits, mode, trap, row, i)


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block; a row whose sum wraps to 0 is noted and left at 0."""
    length = codes.shape[1]
    is_code = constants[CODE]
    sum_place = SUM if is_code else PAPER_SUM
    bits = constants[RESULT_BITS]
    for row in range(codes.shape[0]):
        maximum = maximum_of(codes, row)
        total = 0
        for i in range(length):
            out[row, i] = weight(codes[row, i] - maximum, constants, limits, mode, trap, row, i)
            total = step(total + out[row, i], sum_place, limits, mode, trap, row, i)
        if total == 0:
            note(trap, row, -1, sum_place, 0)
            out[row, :] = 0
            continue
        factor = 0
        if is_code:
            factor = step(constants[NUMERATOR] // total, FACTOR, limits, mode, trap, row, -1)
        for i in range(length):
            if is_code:
                result = step(out[row, i] * factor, PRODUCT, limits, mode, trap, row, i) >> (32 - bits)
                out[row, i] = step(result, RESULT, limits, mode, trap, row, i)
            else:
                quotient = step(out[row, i] << bits, PAPER_PRODUCT, limits, mode, trap, row, i) // total
                result = min(quotient, (1 << bits) - 1)
                out[row, i] = step(result, PAPER_RESULT, limits, mode, trap, row, i)


@kernel
def gelu(codes, constants, limits, mode, out, trap):
    """GELU of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            code = codes[row, i]
            magnitude = step(min(abs(code), -constants[GELU_LINEAR]), MAGNITUDE, limits, mode, trap, row, i)
            root = magnitude + constants[GELU_LINEAR]
            square = step(root * root, GELU_SQUARE, limits, mode, trap, row, i)
            polynomial = step(square + constants[GELU_CONSTANT], POLYNOMIAL, limits, mode, trap, row, i)
            sign = (code > 0) - (code < 0)
            erf = step((sign * polynomial) >> constants[GELU_SHIFT], ERF, limits, mode, trap, row, i)
            total = step(erf + constants[ONE], GELU_SUM, limits, mode, trap, row, i)
            out[row, i] = step(code * total, GELU_RESULT, limits, mode, trap, row, i)


@kernel
def layernorm(codes, bias, constants, limits, mode, out, trap):
    """LayerNorm of every row of a block."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        for i in range(length):
            total = step(total + codes[row, i], NORM_SUM, limits, mode, trap, row, i)
        mean = divide_half_even(total, length)
        squares = 0
        for i in range(length):
            out[row, i] = step(codes[row, i] - mean, CENTRED, limits, mode, trap, row, i)
            shifted = step(out[row, i] >> constants[NORM_SHIFT], SHIFTED, limits, mode, trap, row, i)
            square = step(shifted * shifted, SQUARE, limits, mode, trap, row, i)
            squares = step(squares + square, SUM_OF_SQUARES, limits, mode, trap, row, i)
        root = max(floor_square_root(squares) << constants[NORM_SHIFT], 1)
        root = step(root, DEVIATION, limits, mode, trap, row, -1)
        factor = step(constants[NORM_NUMERATOR] // root, NORM_FACTOR, limits, mode, trap, row, -1)
        for i in range(length):
            product = step(out[row, i] * factor, NORM_PRODUCT, limits, mode, trap, row, i)
            out[row, i] = step((product >> 1) + bias[i], NORM_RESULT, limits, mode, trap, row, i)


@kernel
def integer_sqrt(values, limits, mode, out, trap):
    """i-sqrt of every non-negative value of a block of rows."""
    for row in range(values.shape[0]):
        for i in range(values.shape[1]):
            value = values[row, i]
            if value == 0:
                out[row, i] = 0
                continue
            root = 1 << ((bit_length(value) + 1) >> 1)
            while True:
                better = step((root + value // root) >> 1, 0, limits, mode, trap, row, i)
                if better >= root:
                    break
                root = better
            out[row, i] = step(root, 1, limits, mode, trap, row, i)
