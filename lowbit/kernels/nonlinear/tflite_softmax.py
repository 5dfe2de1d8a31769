"""TFLite's and CMSIS-NN's integer softmax in int64: the twin of ``oracle/nonlinear/tflite_softmax.py``."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.fixed_point.gemmlowp import (
    doubling_high_multiply,
    exp_on_negative_values,
    leading_zeros,
    reciprocal,
    rounding_divide,
    saturate,
)
from lowbit.kernels.fixed_point.table import interpolate_rounded
from lowbit.kernels.nonlinear.steps import SATURATE, maximum_of, note, step
from lowbit.kernels.nonlinear.tflite import MULTIPLIER, SHIFT, SINGLE, multiply

# Places of further parameters.
LOWEST_DIFFERENCE, BITS, CMSIS = 3, 4, 5

# Places of the intermediates, in the order of nonlinear/tflite.py.
DIFFERENCE, SHIFTED, SCALED, EXPONENTIAL, SUM, RECIPROCAL, EXPONENT, PROBABILITY, RESULT = range(9)
CENTRED_16, EXPONENTIAL_16, SUM_16, ROUNDED_16, INDEX_16, RECIPROCAL_16, PRODUCT_16, RESULT_16 = range(3, 11)

LEFT_OUT = -1  # stands for the exponential of a code that is too far below the maximum


@kernel
def softmax_int8(codes, constants, limits, mode, out, trap):
    """Softmax of every row of int8 codes; a row that TFLite ends its process at is noted."""
    multiplier, shift, single, bits = constants[MULTIPLIER], constants[SHIFT], constants[SINGLE], constants[BITS]
    lowest = -(1 << (bits - 1))
    for row in range(codes.shape[0]):
        highest = maximum_of(codes, row)
        total = 0
        for i in range(codes.shape[1]):
            difference = step(codes[row, i] - highest, DIFFERENCE, limits, mode, trap, row, i)
            out[row, i] = LEFT_OUT
            if difference >= constants[LOWEST_DIFFERENCE]:
                scaled = multiply(difference, multiplier, shift, single, SHIFTED, limits, mode, trap, row, i)
                out[row, i] = step(exp_on_negative_values(scaled, 5, 32), EXPONENTIAL, limits, mode, trap, row, i)
                total = step(total + rounding_divide(out[row, i], 12), SUM, limits, mode, trap, row, i)
        inverse = step(reciprocal(total), RECIPROCAL, limits, mode, trap, row, -1)
        exponent = 12 - leading_zeros(total) + 31 - bits
        if exponent < 0 or exponent > 31:
            if mode != SATURATE:
                note(trap, row, -1, EXPONENT, exponent)
            exponent = max(0, min(31, exponent))
        for i in range(codes.shape[1]):
            code = lowest
            if out[row, i] != LEFT_OUT:
                product = doubling_high_multiply(inverse, out[row, i], 32)
                probability = step(product, PROBABILITY, limits, mode, trap, row, i)
                code = saturate(rounding_divide(probability, exponent) + lowest, bits)
            out[row, i] = step(code, RESULT, limits, mode, trap, row, i)


@kernel
def softmax_int16(codes, constants, exp_table, reciprocal_table, limits, mode, out, trap):
    """Softmax of every row of int16 codes, as TFLite or CMSIS-NN computes it; a sum that is not positive is noted."""
    multiplier, shift, single = constants[MULTIPLIER], constants[SHIFT], constants[SINGLE]
    cmsis = constants[CMSIS] != 0
    for row in range(codes.shape[0]):
        highest = maximum_of(codes, row)
        total = 0
        for i in range(codes.shape[1]):
            difference = step(codes[row, i] - highest, DIFFERENCE, limits, mode, trap, row, i)
            scaled = multiply(difference, multiplier, shift, single, SHIFTED, limits, mode, trap, row, i)
            centred = saturate(step(scaled + 32767, CENTRED_16, limits, mode, trap, row, i), 16)
            out[row, i] = step(interpolate_rounded(centred, exp_table), EXPONENTIAL_16, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM_16, limits, mode, trap, row, i)
        if total <= 0:
            note(trap, row, -1, SUM_16, total)
            out[row, :] = 0
            continue
        zeros = leading_zeros(total)
        rounded = step((total << (zeros - 1)) + (1 << 13), ROUNDED_16, limits, mode, trap, row, -1) >> 14
        index = step(rounded - (1 << 15) - (1 << 16), INDEX_16, limits, mode, trap, row, -1)
        inverse = interpolate_rounded(saturate(index, 16), reciprocal_table)
        inverse = step(inverse, RECIPROCAL_16, limits, mode, trap, row, -1)
        for i in range(codes.shape[1]):
            product = step(out[row, i] * inverse, PRODUCT_16, limits, mode, trap, row, i)
            if cmsis:
                code = ((product >> (30 - zeros)) + 1) >> 1
            else:
                code = max(0, min(32767, (product + (1 << (30 - zeros))) >> (31 - zeros)))
            out[row, i] = step(code, RESULT_16, limits, mode, trap, row, i)
