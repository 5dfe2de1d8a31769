"""TFLite's L2 and layer normalisation in int64: the twin of ``oracle/nonlinear/tflite_norm.py``."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.fixed_point.gemmlowp import inverse_square_root, saturate
from lowbit.kernels.nonlinear.steps import step, truncating_divide
from lowbit.kernels.nonlinear.tflite import MULTIPLIER, SHIFT, SINGLE, multiply

OUTPUT_SHIFT = 12

# Places of further parameters.
ZERO_POINT, VARIANCE_LIMIT = 3, 4

# Places of the intermediates, in the order of nonlinear/tflite.py.
INPUT, SQUARE, SUM, INVERSE, SHIFTED, SCALED, RESULT = range(7)
TOTAL, SQUARES, MEAN, WIDE, VARIANCE, ROOT, CENTRED, SHIFTED_CENTRED, NORMALISED = range(9)
WEIGHTED, TAKEN, SHIFTED_WEIGHTED, SCALED_WEIGHTED, NORM_RESULT = range(9, 14)


@kernel
def l2norm(codes, constants, limits, mode, out, trap):
    """Rows of int8 codes, each divided by the root of the sum of its squares."""
    zero_point, single = constants[ZERO_POINT], constants[SINGLE]
    for row in range(codes.shape[0]):
        total = 0
        for i in range(codes.shape[1]):
            value = step(codes[row, i] - zero_point, INPUT, limits, mode, trap, row, i)
            square = step(value * value, SQUARE, limits, mode, trap, row, i)
            total = step(total + square, SUM, limits, mode, trap, row, i)
        inverse, right = inverse_square_root(total)
        inverse = step(inverse, INVERSE, limits, mode, trap, row, -1)
        for i in range(codes.shape[1]):
            value = codes[row, i] - zero_point
            scaled = multiply(value, inverse, 7 - right, single, SHIFTED, limits, mode, trap, row, i)
            out[row, i] = step(saturate(scaled, 8), RESULT, limits, mode, trap, row, i)


@kernel
def layernorm(codes, constants, weights, biases, limits, mode, out, trap):
    """Rows of int16 codes, each less its mean and divided by its deviation, times weights, plus biases."""
    length = codes.shape[1]
    multiplier, shift, single = constants[MULTIPLIER], constants[SHIFT] + OUTPUT_SHIFT, constants[SINGLE]
    for row in range(codes.shape[0]):
        total, squares = 0, 0
        for i in range(length):
            total += codes[row, i]
            squares += codes[row, i] * codes[row, i]
        mean = step(truncating_divide(total << 10, length), MEAN, limits, mode, trap, row, -1)
        wide = step(squares * ((1 << 20) // length) - mean * mean, WIDE, limits, mode, trap, row, -1)
        variance = step(truncating_divide(wide, 1 << 20), VARIANCE, limits, mode, trap, row, -1)
        if variance < 1:
            variance = constants[VARIANCE_LIMIT]
        inverse, right = inverse_square_root(variance)
        inverse = step(inverse, ROOT, limits, mode, trap, row, -1)
        for i in range(length):
            centred = step((codes[row, i] << 10) - mean, CENTRED, limits, mode, trap, row, i)
            normalised = multiply(centred, inverse, -right, single, SHIFTED_CENTRED, limits, mode, trap, row, i)
            weighted = step(normalised * weights[i] + biases[i], WEIGHTED, limits, mode, trap, row, i)
            taken = truncating_divide(weighted + (512 if weighted > 0 else -512), 1024)
            taken = step(taken, TAKEN, limits, mode, trap, row, i)
            scaled = multiply(taken, multiplier, shift, single, SHIFTED_WEIGHTED, limits, mode, trap, row, i)
            out[row, i] = step(saturate(scaled, 16), NORM_RESULT, limits, mode, trap, row, i)
