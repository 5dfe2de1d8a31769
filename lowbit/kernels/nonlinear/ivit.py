"""I-ViT's ShiftExp, Shiftmax, ShiftGELU and I-LayerNorm in int64: the twin of ``oracle/nonlinear/ivit.py``."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even
from lowbit.kernels.nonlinear.steps import LEFT, ROW, maximum_of, note, step, truncating_divide

# Places of the constants. PAPER says whether GELU's input is multiplied by 1.6875, and Shiftmax's products are clamped.
UNIT, SHIFT, KEEP_HALF, TRUNCATE, NUMERATOR, CLAMP, RESULT_SHIFT, PAPER = range(8)
# Of LayerNorm's; FIRST is where Newton's iteration starts, 0 for 2^(bits / 2).
NORM_NUMERATOR, FIRST, ITERATIONS, NORM_TRUNCATE = range(4)

# Places of the intermediates, in the order of nonlinear/ivit.py; an exponential has four, a reciprocal three.
DIFFERENCE, EXPONENTIAL, SUM, PRODUCT, RESULT = 0, 1, 5, 8, 9
GELU_INPUT, OF_MAXIMUM, GELU_DIFFERENCE, GELU_EXPONENTIAL, GELU_SUM, GELU_PRODUCT, SIGMOID, GELU_RESULT = (
    *(0, 1, 5, 6),
    *(10, 13, 14, 15),
)
NORM_SUM, CENTRED, SQUARE, SUM_OF_SQUARES, DEVIATION, FACTOR, NORM_PRODUCT, NORM_RESULT = range(8)

LARGEST_POWER = 62
"""Shifts are cut where the result would leave 63 bits; its low 32 bits are zero there and beyond."""


@scalar
def shift_exp(code, constants, first, limit, limits, mode, trap, row, element):
    """Exp of one code; ``first`` is the place of the first of its four intermediates, ``limit`` a clamp (0: none)."""
    unit = constants[UNIT]
    shift = constants[SHIFT]
    scaled = step(code + (code >> 1) - (code >> 4), first, limits, mode, trap, row, element)
    scaled = max(scaled, shift * unit)
    quotient = truncating_divide(scaled, unit) if constants[TRUNCATE] else scaled // unit
    quotient = step(quotient, first + 1, limits, mode, trap, row, element)
    remainder = step(scaled - unit * quotient, first + 2, limits, mode, trap, row, element)
    base = remainder - 2 * unit if constants[KEEP_HALF] else (remainder >> 1) - unit
    places = min(shift - quotient, LARGEST_POWER - bit_length(base))
    value = (base << places) >> constants[KEEP_HALF]
    if limit:
        value = min(value, limit)
    untrapped = trap[ROW] < 0
    fitted = step(value, first + 3, limits, mode, trap, row, element)
    if untrapped and trap[ROW] >= 0:
        trap[LEFT] = shift - quotient - places
    return fitted


@scalar
def factor_of(total, constants, place, limits, mode, trap, row, element):
    """The numerator over a sum, whose place is given; 0, and a note, where the sum has wrapped to 0."""
    if constants[CLAMP]:
        total = step(min(total, constants[CLAMP]), place + 1, limits, mode, trap, row, element)
    if total == 0:
        note(trap, row, element, place, 0)
        return 0
    numerator = constants[NUMERATOR]
    quotient = truncating_divide(numerator, total) if constants[TRUNCATE] else numerator // total
    return step(quotient, place + 2, limits, mode, trap, row, element)


@kernel
def exponential(codes, constants, limits, mode, out, trap):
    """Exp of every code of a block of rows."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[row, i] = shift_exp(codes[row, i], constants, 0, 0, limits, mode, trap, row, i)


@scalar
def product_of(exponential, factor, constants, limits, mode, trap, row, element):
    """IntDiv's product; in the paper 2^31, a probability of exactly 1, becomes the largest int32."""
    product = exponential * factor
    if constants[PAPER]:
        product = min(product, constants[NUMERATOR] - 1)
    return step(product, PRODUCT, limits, mode, trap, row, element)


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block; a row whose sum wraps to 0 is noted and left at 0."""
    for row in range(codes.shape[0]):
        maximum = maximum_of(codes, row)
        total = 0
        for i in range(codes.shape[1]):
            difference = step(codes[row, i] - maximum, DIFFERENCE, limits, mode, trap, row, i)
            out[row, i] = shift_exp(difference, constants, EXPONENTIAL, 0, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM, limits, mode, trap, row, i)
        factor = factor_of(total, constants, SUM, limits, mode, trap, row, -1)
        for i in range(codes.shape[1]):
            product = product_of(out[row, i], factor, constants, limits, mode, trap, row, i)
            out[row, i] = step(product >> constants[RESULT_SHIFT], RESULT, limits, mode, trap, row, i)


@scalar
def gelu_input(code, constants, limits, mode, trap, row, element):
    """1.6875 x by shifts and adds in the paper, x in the codes, which scale the scale by 1.702."""
    factored = code + (code >> 1) + (code >> 3) + (code >> 4) if constants[PAPER] else code
    return step(factored, GELU_INPUT, limits, mode, trap, row, element)


@scalar
def sigmoid(value, maximum, of_maximum, constants, limits, mode, trap, row, element):
    """The sigmoid of one scaled input; 0, with a note, where the sum has wrapped to 0."""
    difference = step(value - maximum, GELU_DIFFERENCE, limits, mode, trap, row, element)
    exponential = shift_exp(difference, constants, GELU_EXPONENTIAL, 0, limits, mode, trap, row, element)
    total = step(exponential + of_maximum, GELU_SUM, limits, mode, trap, row, element)
    factor = factor_of(total, constants, GELU_SUM, limits, mode, trap, row, element)
    product = step(exponential * factor, GELU_PRODUCT, limits, mode, trap, row, element)
    return step(product >> constants[RESULT_SHIFT], SIGMOID, limits, mode, trap, row, element)


@kernel
def gelu(codes, constants, limits, mode, out, trap):
    """GELU of every row of a block."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            out[row, i] = gelu_input(codes[row, i], constants, limits, mode, trap, row, i)
        maximum = maximum_of(out, row)
        of_maximum = shift_exp(-maximum, constants, OF_MAXIMUM, constants[CLAMP], limits, mode, trap, row, -1)
        for i in range(codes.shape[1]):
            weight = sigmoid(out[row, i], maximum, of_maximum, constants, limits, mode, trap, row, i)
            out[row, i] = step(codes[row, i] * weight, GELU_RESULT, limits, mode, trap, row, i)


@kernel
def gelu_table(constants, limits, mode, out, trap):
    """The sigmoid for every maximum and code of 8 bits: ``out[maximum & 255, code & 255]``, 0 above the maximum."""
    for maximum in range(-128, 128):
        top = gelu_input(maximum, constants, limits, mode, trap, 0, 0)
        of_maximum = shift_exp(-top, constants, OF_MAXIMUM, constants[CLAMP], limits, mode, trap, 0, 0)
        for code in range(-128, 128):
            weight = 0
            if code <= maximum:
                value = gelu_input(code, constants, limits, mode, trap, 0, 0)
                weight = sigmoid(value, top, of_maximum, constants, limits, mode, trap, 0, 0)
            out[maximum & 255, code & 255] = weight


@kernel
def layernorm(codes, bias, constants, limits, mode, out, trap):
    """LayerNorm of every row of a block: Newton's iteration toward the root, a fixed number of steps."""
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        for i in range(length):
            total = step(total + codes[row, i], NORM_SUM, limits, mode, trap, row, i)
        mean = truncating_divide(total, length) if constants[NORM_TRUNCATE] else divide_half_even(total, length)
        squares = 0
        for i in range(length):
            centred = step(codes[row, i] - mean, CENTRED, limits, mode, trap, row, i)
            square = step(centred * centred, SQUARE, limits, mode, trap, row, i)
            squares = step(squares + square, SUM_OF_SQUARES, limits, mode, trap, row, i)
            out[row, i] = centred
        root = constants[FIRST] or 1 << (bit_length(squares) >> 1)
        for _ in range(constants[ITERATIONS]):
            root = step(max((root + squares // root) >> 1, 1), DEVIATION, limits, mode, trap, row, -1)
        factor = step(constants[NORM_NUMERATOR] // root, FACTOR, limits, mode, trap, row, -1)
        for i in range(length):
            product = step(out[row, i] * factor, NORM_PRODUCT, limits, mode, trap, row, i)
            halved = truncating_divide(product, 2) if constants[NORM_TRUNCATE] else product >> 1
            out[row, i] = step(halved + bias[i], NORM_RESULT, limits, mode, trap, row, i)
