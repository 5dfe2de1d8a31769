"""Logistic and tanh of TensorFlow Lite's integer kernels, a code at a time, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h`` and ``tanh.h``.
"""

from __future__ import annotations

from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import SIGMOID_INTEGER_BITS, QuantizedMultiplier, SigmoidParameters
from lowbit.oracle.fixed_point.gemmlowp import logistic, rounding_divide, saturate, saturating_shift_left, tanh
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite_multiply import multiply_by_quantized_multiplier

LAST_SEGMENT = 255


def sigmoid_int8(
    code: int, operation: str, zero_point: int, parameters: SigmoidParameters, variant: str, steps: Steps
) -> int:
    """Logistic (result in 1/256 from -128) or tanh (in 1/128) of an int8 code; beyond the radius, its limit."""
    value = steps("input", code - zero_point)
    if value <= -parameters.radius:
        return -128
    if value >= parameters.radius:
        return 127
    scaled = multiply_by_quantized_multiplier(value, parameters.multiplier, parameters.shift, variant, steps, "input")
    function = logistic if operation == "logistic" else tanh
    answer = steps("function", function(scaled, SIGMOID_INTEGER_BITS))
    if operation == "logistic":
        return steps("result", saturate(rounding_divide(answer, 31 - 8) - 128, 8))
    return steps("result", saturate(rounding_divide(answer, 31 - 7), 8))


def logistic_int16(code: int, parameters: QuantizedMultiplier, steps: Steps) -> int:
    """Logistic of an int16 code in 1/32768: 9 bits between two entries of sigmoid's table."""
    value, high, low = _place(code, parameters, 9, steps)
    answer = 0x7FFF << 10 if high >= LAST_SEGMENT else steps("interpolated", _between(high, low, 9))
    rounded = answer + (1 << 9) if value >= 0 else (1 << 25) - answer + (1 << 9) - 1
    return steps("result", rounded >> 10)


def tanh_int16(code: int, parameters: QuantizedMultiplier, steps: Steps) -> int:
    """Tanh of an int16 code in 1/32768, as 2 sigmoid(2x) - 1: 8 bits between two entries of sigmoid's table."""
    value, high, low = _place(code, parameters, 8, steps)
    answer = 0xFFFF << 8 if high >= LAST_SEGMENT else steps("interpolated", _between(high, low, 8))
    rounded = answer - (1 << 23) + (1 << 7) if value >= 0 else -answer + (1 << 23) + (1 << 7) - 1
    return steps("result", rounded >> 8)


def _place(code: int, parameters: QuantizedMultiplier, bits: int, steps: Steps) -> tuple[int, int, int]:
    """The scaled input, and its magnitude as table index and fraction."""
    half = (1 << parameters.shift) >> 1
    value = steps("scaled input", (code * parameters.multiplier + half) >> parameters.shift)
    high, low = divmod(steps("magnitude", abs(value)), 1 << bits)
    return value, high, low


def _between(high: int, low: int, bits: int) -> int:
    table = stored_table("tflite_sigmoid")
    return (table[high] << bits) + low * (table[high + 1] - table[high])


def sigmoid_int16_optimised(code: int, operation: str, left_shift: int) -> int:
    """What LiteRT's optimised kernels compute at scale 2**-12 (tanh: 2**-11 too): gemmlowp's 16-bit functions of Q3.12.

    Source: google-ai-edge/LiteRT, ``tflite/kernels/internal/optimized/optimized_ops.h`` (Logistic, Tanh16bitPrecision).
    """
    if operation == "logistic":
        return logistic(code, 3, 16)
    return tanh(saturating_shift_left(code, left_shift, 16), 3, 16)
