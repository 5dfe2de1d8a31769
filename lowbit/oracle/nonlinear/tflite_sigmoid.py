"""Logistic and tanh of TensorFlow Lite's integer kernels, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/integer_ops/logistic.h`` and ``tanh.h``,
``tensorflow/lite/micro/kernels/logistic_common.cc`` and ``tanh.cc``; google-ai-edge/LiteRT,
``tflite/kernels/internal/optimized/optimized_ops.h`` (Logistic, Tanh16bitPrecision).
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.oracle.fixed_point.gemmlowp import (
    Multiplier,
    logistic,
    rounding_divide,
    saturate,
    saturating_shift_left,
    tanh,
)
from lowbit.oracle.nonlinear.constants import positive32
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite import input_radius, multiply, quantize_multiplier

INTEGER_BITS = 4
LAST_SEGMENT = 255
TWO_TO_15 = 1 << 15


@cache
def parameters_int8(scale: Any) -> tuple[Multiplier, int]:
    """How int8 inputs become Q4.27, and from which magnitude on the result is a limit."""
    multiplier = quantize_multiplier(positive32(scale) * (1 << (31 - INTEGER_BITS)))
    if multiplier.shift < 0:
        raise InputError(f"scale = {scale!r} is below 2**-28, where TFLite shifts by a negative count")
    return multiplier, input_radius(INTEGER_BITS, multiplier.shift)


def sigmoid_int8(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Logistic (result in 1/256 from -128) or tanh (in 1/128) of int8 codes; beyond the radius, its limit."""
    multiplier, radius = parameters_int8(call.scale)
    is_logistic = call.scheme.operation == "logistic"
    zero_point = int(call.options.get("zero_point", 0))
    results = []
    for steps.element, code in enumerate(row):
        value = steps("input", code - zero_point)
        if abs(value) >= radius:
            results.append(127 if value > -radius else -128)  # from scale 8 on the radius is 0: all are negative
            continue
        scaled = multiply(value, multiplier, call.variant, steps, "input")
        answer = steps("function", (logistic if is_logistic else tanh)(scaled, INTEGER_BITS))
        rounded = rounding_divide(answer, 31 - 8) - 128 if is_logistic else rounding_divide(answer, 31 - 7)
        results.append(steps("result", saturate(rounded, 8)))
    return results


class Scaling(NamedTuple):
    """codes * ``multiplier``, shifted right by ``shift``, are thirds of 2**-12; ``left`` where TFLite shifts left."""

    multiplier: int
    shift: int
    left: int | None


@cache
def scaling_int16(scale: Any, operation: str) -> Scaling:
    """Of int16 codes.

    A scale within a thousandth of 2**-12 (tanh: of 2**-11 as well), measured in its logarithm to base 2, is taken for
    that power of two; TFLite compares in binary32, here the comparison is exact.
    """
    exact = positive32(scale)
    for left in (0, 1) if operation == "tanh" else (0,):
        ratio = exact * 2 ** (12 - left)
        top, bottom = ratio.numerator**1000, ratio.denominator**1000
        if top < 2 * bottom and bottom < 2 * top:
            return Scaling(3 << left, 0, left)
    multiplier = exact * 3 * 4096
    shift = 0
    while 2 * multiplier <= TWO_TO_15 - 1 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    if multiplier >= TWO_TO_15:
        raise InputError(f"scale = {scale!r} makes a multiplier beyond 16 bits")
    return Scaling(int(multiplier), shift, None)


def sigmoid_int16(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Logistic or tanh of int16 codes in 1/32768, between two entries of sigmoid's table.

    Where LiteRT's optimised kernels shift left, at scale 2**-12 (tanh: 2**-11 too), they take gemmlowp's 16-bit
    functions of Q3.12 instead.
    """
    operation = call.scheme.operation
    scaling = scaling_int16(call.scale, operation)
    results = []
    for steps.element, code in enumerate(row):
        if call.scheme.id == "litert_int16" and scaling.left is not None:
            value = saturating_shift_left(code, scaling.left, 16)
            answer = (logistic if operation == "logistic" else tanh)(value, 3, 16)
        elif operation == "logistic":
            answer = _logistic(code, scaling, steps)
        else:
            answer = _tanh(code, scaling, steps)
        results.append(steps("result", answer))
    return results


def _logistic(code: int, scaling: Scaling, steps: Steps) -> int:
    """9 bits between two entries."""
    value, high, low = _place(code, scaling, 9, steps)
    answer = 0x7FFF << 10 if high >= LAST_SEGMENT else steps("interpolated", _between(high, low, 9))
    return (answer + (1 << 9) if value >= 0 else (1 << 25) - answer + (1 << 9) - 1) >> 10


def _tanh(code: int, scaling: Scaling, steps: Steps) -> int:
    """2 sigmoid(2x) - 1: 8 bits between two entries."""
    value, high, low = _place(code, scaling, 8, steps)
    answer = 0xFFFF << 8 if high >= LAST_SEGMENT else steps("interpolated", _between(high, low, 8))
    return (answer - (1 << 23) + (1 << 7) if value >= 0 else -answer + (1 << 23) + (1 << 7) - 1) >> 8


def _place(code: int, scaling: Scaling, bits: int, steps: Steps) -> tuple[int, int, int]:
    """The scaled input, and its magnitude as table index and fraction."""
    half = (1 << scaling.shift) >> 1
    value = steps("scaled input", (code * scaling.multiplier + half) >> scaling.shift)
    high, low = divmod(steps("magnitude", abs(value)), 1 << bits)
    return value, high, low


def _between(high: int, low: int, bits: int) -> int:
    table = stored_table("tflite_sigmoid")
    return (table[high] << bits) + low * (table[high + 1] - table[high])
