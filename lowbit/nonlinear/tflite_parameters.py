"""TensorFlow Lite's quantisation parameters of the nonlinear operators, as the array layer derives them.

TFLite derives them from binary32 scales in binary64. Here a scale is a binary32 number, as a .tflite file holds it;
every step is exact, or one binary64 operation that the comments name.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/quantization_util.cc`` (QuantizeMultiplier,
PreprocessSoftmaxScaling, CalculateInputRadius, CheckedLog2), ``tensorflow/lite/micro/kernels/softmax_common.cc``,
``logistic_common.cc`` and ``tanh.cc``.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.nonlinear.binary32 import scale32

SOFTMAX_INTEGER_BITS = 5
SIGMOID_INTEGER_BITS = 4
LARGEST_MULTIPLIER = {"double_rounding": (1 << 31) - 1, "single_rounding": (1 << 30) - 1}
INT16_EXP_STEP = 10.0 / 65535.0
HIGHEST_INT16 = 32767


class QuantizedMultiplier(NamedTuple):
    """A real factor as ``multiplier`` * 2**(``shift`` - 31)."""

    multiplier: int
    shift: int


class SoftmaxParameters(NamedTuple):
    """How int8 differences from the maximum become exponents in Q5.26, and which are too low to count."""

    multiplier: int
    shift: int
    lowest_difference: int


class SigmoidParameters(NamedTuple):
    """How int8 inputs become Q4.27, and from which magnitude on the result is a limit."""

    multiplier: int
    shift: int
    radius: int


def quantize_multiplier(factor: float) -> QuantizedMultiplier:
    """QuantizeMultiplier: the factor as a 31-bit multiplier in [2**30, 2**31) and a shift, ties away from zero.

    Factors below 2**-32 become 0, as in the product. No upper limit: softmax uses a shift of 31, which requantisation
    (``lowbit.policy.multiplier``) refuses.
    """
    significand, shift = math.frexp(factor)
    multiplier = math.floor(significand * (1 << 31) + 0.5)  # exact: 53 bits, 22 of them below the point
    if multiplier == 1 << 31:
        multiplier, shift = 1 << 30, shift + 1
    return QuantizedMultiplier(0, 0) if shift < -31 else QuantizedMultiplier(multiplier, shift)


def softmax_parameters(scale: float, beta: float, variant: str = "double_rounding") -> SoftmaxParameters:
    """Of the softmax of int8 codes: beta * scale * 2**26, limited, and the differences that exp() sees.

    Raises InputError: beta * scale <= 2**-26: the product refuses it (TFLITE_CHECK_GT(double_multiplier, 1)).
    """
    factor = scale * beta * (1 << (31 - SOFTMAX_INTEGER_BITS))  # exact: two 24-bit significands
    factor = min(factor, LARGEST_MULTIPLIER[variant])
    if factor <= 1:
        raise InputError(
            f"beta * scale = {scale * beta:g} is not above 2**-26, and TFLite stops there",
            hint="a row then spans less than 255 * 2**-26: every softmax is flat",
        )
    multiplier, shift = quantize_multiplier(factor)
    return SoftmaxParameters(multiplier, shift, -input_radius(SOFTMAX_INTEGER_BITS, shift))


def input_radius(integer_bits: int, shift: int) -> int:
    """CalculateInputRadius of 31 bits: inputs from this magnitude on leave Q(integer_bits)."""
    return (((1 << integer_bits) - 1) << (31 - integer_bits)) >> shift


def softmax_reciprocal_table(scheme: str) -> str:
    """The stored table of 1 / (1 + x): LiteRT builds it in binary64, where two entries differ from TFLite Micro's."""
    return "litert_softmax_reciprocal" if scheme == "litert_int16" else "tflite_softmax_reciprocal"


def softmax_int16_multiplier(scale: float, beta: float, scheme: str) -> QuantizedMultiplier:
    """Of the softmax of int16 codes: differences in steps of 10/65535. LiteRT multiplies scale by beta in binary32.

    Raises InputError: beta * scale is so large that the left shift is beyond 30.
    """
    product = scale32(scale * beta, "scale * beta") if scheme == "litert_int16" else scale * beta
    parameters = quantize_multiplier(product / INT16_EXP_STEP)
    if parameters.shift > 30:
        raise InputError(f"beta * scale = {scale * beta:g} needs a left shift of {parameters.shift}, beyond 30")
    return parameters


def sigmoid_parameters(scale: float) -> SigmoidParameters:
    """Of logistic and tanh of int8 codes.

    Raises InputError: the scale is below 2**-28: the product shifts by a negative count.
    """
    multiplier, shift = quantize_multiplier(scale * (1 << (31 - SIGMOID_INTEGER_BITS)))
    if shift < 0:
        raise InputError(f"scale = {scale:g} is below 2**-28, where TFLite shifts by a negative count")
    return SigmoidParameters(multiplier, shift, input_radius(SIGMOID_INTEGER_BITS, shift))


def sigmoid_int16_parameters(scale: float, function: str) -> QuantizedMultiplier:
    """Of logistic and tanh of int16 codes: codes * ``multiplier``, shifted right by ``shift``, are thirds of 2**-12.

    A scale within a thousandth of 2**-12 (tanh: of 2**-11 as well), measured in its logarithm to base 2, is taken for
    that power of two and needs no shift; TFLite compares in binary32, here the comparison is exact.

    Raises InputError: the multiplier is beyond 16 bits: the product's debug build stops.
    """
    left = sigmoid_int16_left_shift(scale, function)
    if left is not None:
        return QuantizedMultiplier(3 << left, 0)
    multiplier = scale * 4096 * 3  # exact: 24 bits times a small integer
    shift = 0
    while multiplier <= HIGHEST_INT16 / 2 and shift <= 30:
        shift += 1
        multiplier *= 2
    if multiplier >= HIGHEST_INT16 + 1:
        raise InputError(
            f"scale = {scale:g} makes a multiplier of {math.floor(multiplier)}, beyond 16 bits",
            hint="TFLite's int16 logistic and tanh take scales below 8/3",
        )
    return QuantizedMultiplier(math.floor(multiplier), shift)


def sigmoid_int16_left_shift(scale: float, function: str) -> int | None:
    """The left shift that makes Q3.12 of the codes, if the scale is one for which TFLite shifts."""
    power = _near_power_of_two(Fraction(scale))
    left = None if power is None else power + 12
    return left if left == 0 or (left == 1 and function == "tanh") else None


def _near_power_of_two(scale: Fraction) -> int | None:
    """CheckedLog2: the k with |log2(scale) - k| < 1/1000, if there is one."""
    nearest = math.frexp(float(scale))[1]
    for power in (nearest - 1, nearest):
        ratio = (scale / Fraction(2) ** power) ** 1000
        if Fraction(1, 2) < ratio < 2:
            return power
    return None
