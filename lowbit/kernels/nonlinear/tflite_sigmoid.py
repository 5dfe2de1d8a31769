"""TFLite's integer logistic and tanh in int64: the twin of ``oracle/nonlinear/tflite_sigmoid.py``."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.fixed_point.gemmlowp import logistic, rounding_divide, saturate, saturating_shift_left, tanh
from lowbit.kernels.nonlinear.steps import step
from lowbit.kernels.nonlinear.tflite import MULTIPLIER, SHIFT, SINGLE, multiply

# Places of further parameters.
RADIUS, ZERO_POINT, IS_TANH = 3, 4, 5

# Places of the intermediates, in the order of nonlinear/tflite.py.
INPUT, SHIFTED, SCALED, FUNCTION, RESULT = range(5)
SCALED_16, MAGNITUDE_16, INTERPOLATED_16, RESULT_16 = range(4)


@kernel
def sigmoid_int8(codes, constants, limits, mode, out, trap):
    """Logistic or tanh of int8 codes."""
    multiplier, shift, single = constants[MULTIPLIER], constants[SHIFT], constants[SINGLE]
    radius, is_tanh = constants[RADIUS], constants[IS_TANH] != 0
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            value = step(codes[row, i] - constants[ZERO_POINT], INPUT, limits, mode, trap, row, i)
            if value <= -radius:
                out[row, i] = -128
            elif value >= radius:
                out[row, i] = 127
            else:
                scaled = multiply(value, multiplier, shift, single, SHIFTED, limits, mode, trap, row, i)
                answer = tanh(scaled, 4, 32) if is_tanh else logistic(scaled, 4, 32)
                answer = step(answer, FUNCTION, limits, mode, trap, row, i)
                code = rounding_divide(answer, 24) if is_tanh else rounding_divide(answer, 23) - 128
                out[row, i] = step(saturate(code, 8), RESULT, limits, mode, trap, row, i)


@kernel
def sigmoid_int16(codes, constants, table, limits, mode, out, trap):
    """Logistic or tanh of int16 codes, between two entries of sigmoid's table."""
    is_tanh = constants[IS_TANH] != 0
    multiplier, shift = constants[MULTIPLIER], constants[SHIFT]
    bits = 8 if is_tanh else 9
    half = (1 << shift) >> 1
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            value = (codes[row, i] * multiplier + half) >> shift
            value = step(value, SCALED_16, limits, mode, trap, row, i)
            magnitude = step(abs(value), MAGNITUDE_16, limits, mode, trap, row, i)
            index = magnitude >> bits
            if index >= 255:
                answer = (0xFFFF << 8) if is_tanh else (0x7FFF << 10)
            else:
                fraction = magnitude & ((1 << bits) - 1)
                answer = (table[index] << bits) + fraction * (table[index + 1] - table[index])
                answer = step(answer, INTERPOLATED_16, limits, mode, trap, row, i)
            if is_tanh:
                rounded = answer - (1 << 23) + (1 << 7) if value >= 0 else -answer + (1 << 23) + (1 << 7) - 1
                code = rounded >> 8
            else:
                rounded = answer + (1 << 9) if value >= 0 else (1 << 25) - answer + (1 << 9) - 1
                code = rounded >> 10
            out[row, i] = step(code, RESULT_16, limits, mode, trap, row, i)


@kernel
def sigmoid_int16_optimised(codes, left_shift, is_tanh, out):
    """Logistic or tanh of int16 codes in Q3.12 by gemmlowp's 16-bit functions."""
    for row in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            if is_tanh:
                out[row, i] = tanh(saturating_shift_left(codes[row, i], left_shift, 16), 3, 16)
            else:
                out[row, i] = logistic(codes[row, i], 3, 16)
