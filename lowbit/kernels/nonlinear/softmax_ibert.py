"""I-BERT's i-softmax in int64: the twin of ``oracle/nonlinear/softmax_ibert.py``."""

from __future__ import annotations

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.nonlinear.exp_ibert import CODE, MULTIPLIER, NUMERATOR, RESULT_BITS, RIGHT, polynomial_exp
from lowbit.kernels.nonlinear.steps import note, step

# Places of the intermediates, in the order of nonlinear/ibert.py: the code's, then where the paper's differ.
DIFFERENCE, EXP, REQUANTIZED, SUM, FACTOR, PRODUCT, RESULT = 0, 1, 5, 6, 7, 8, 9
PAPER_SUM, PAPER_PRODUCT, PAPER_RESULT = 5, 6, 7

LIMB = 31


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
    value = polynomial_exp(difference, constants, EXP, limits, mode, trap, row, element)
    if constants[CODE]:
        value = requantize_half_even(value, constants[MULTIPLIER], constants[RIGHT])
        value = step(value, REQUANTIZED, limits, mode, trap, row, element)
    return value


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """Softmax of every row of a block; a row whose sum wraps to 0 is noted and left at 0."""
    length = codes.shape[1]
    is_code = constants[CODE]
    sum_place = SUM if is_code else PAPER_SUM
    bits = constants[RESULT_BITS]
    for row in range(codes.shape[0]):
        maximum = codes[row, 0]
        for i in range(1, length):
            maximum = max(maximum, codes[row, i])
        total = 0
        for i in range(length):
            difference = step(codes[row, i] - maximum, DIFFERENCE, limits, mode, trap, row, i)
            out[row, i] = weight(difference, constants, limits, mode, trap, row, i)
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
                result = step(out[row, i] << bits, PAPER_PRODUCT, limits, mode, trap, row, i) // total
                out[row, i] = step(result, PAPER_RESULT, limits, mode, trap, row, i)


@kernel
def exp_table(constants, limits, mode, out):
    """The weights of the differences 0, -1, ..., -255, for rows of 8-bit codes."""
    trap = out[:4].copy()
    for distance in range(out.size):
        difference = step(-distance, DIFFERENCE, limits, mode, trap, 0, distance)
        out[distance] = weight(difference, constants, limits, mode, trap, 0, distance)
