"""The softmax of TensorFlow Lite's reference kernels and of CMSIS-NN, a row at a time, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/softmax.h`` (Softmax, SoftmaxInt16) and
``quantization_util.cc`` (PreprocessSoftmaxScaling); ``tensorflow/lite/micro/kernels/softmax_common.cc``;
ARM-software/CMSIS-NN, ``Source/SoftmaxFunctions/arm_softmax_s16.c``.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from typing import Any

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.oracle.fixed_point.gemmlowp import (
    Multiplier,
    doubling_high_multiply,
    exp_on_negative_values,
    leading_zeros,
    reciprocal,
    rounding_divide,
    saturate,
)
from lowbit.oracle.fixed_point.table import interpolate_rounded
from lowbit.oracle.nonlinear.constants import binary64, positive32
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite import given_multiplier, input_radius, multiply, quantize_multiplier

EXP_INTEGER_BITS = 5
SUM_INTEGER_BITS = 12
LARGEST_FACTOR = {"double_rounding": (1 << 31) - 1, "single_rounding": (1 << 30) - 1}


@cache
def parameters_int8(scale: Any, beta: Any, variant: str) -> tuple[Multiplier, int]:
    """The multiplier of differences from the maximum, beta * scale in Q5.26, and the lowest difference that counts."""
    product = positive32(scale) * positive32(beta, "beta")
    factor = min(product * (1 << (31 - EXP_INTEGER_BITS)), Fraction(LARGEST_FACTOR[variant]))
    if factor <= 1:
        raise InputError(f"beta * scale = {float(product):g} is not above 2**-26: TFLITE_CHECK_GT stops the product")
    multiplier = quantize_multiplier(factor)
    return multiplier, -input_radius(EXP_INTEGER_BITS, multiplier.shift)


def softmax_int8(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """The softmax of a row of int8 codes, to 8 or 16 bits.

    Raises InputError: the sum is so large that the product ends its process, and ``steps`` wraps.
    """
    multiplier, lowest_difference = parameters_int8(call.scale, call.options.get("beta", 1), call.variant)
    bits = call.result_bits
    highest = max(row)
    exponentials: list[int | None] = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - highest)
        if difference < lowest_difference:
            exponentials.append(None)
            continue
        scaled = multiply(difference, multiplier, call.variant, steps, "difference")
        exponential = steps("exponential", exp_on_negative_values(scaled, EXP_INTEGER_BITS))
        exponentials.append(exponential)
        total = steps("sum", total + rounding_divide(exponential, SUM_INTEGER_BITS))
    steps.element = -1
    inverse, bits_over_unit = reciprocal(total, SUM_INTEGER_BITS)
    steps("reciprocal", inverse)
    exponent = bits_over_unit + 31 - bits
    if steps.overflow == "wrap" and not 0 <= exponent <= 31:
        raise InputError(
            f"row {steps.row}: TFLite ends its process here: the shift by {exponent} is outside 0..31 (TFLITE_CHECK)",
            hint="the row has too many codes near its maximum; overflow='saturate' computes on",
        )
    exponent = steps("exponent", exponent)
    lowest = -(1 << (bits - 1))
    results = []
    for steps.element, exponential_or_none in enumerate(exponentials):
        code = lowest
        if exponential_or_none is not None:
            probability = steps("probability", doubling_high_multiply(inverse, exponential_or_none, 32))
            code = saturate(rounding_divide(probability, exponent) + lowest, bits)
        results.append(steps("result", code))
    return results


@cache
def multiplier_int16(scale: Any, beta: Any, scheme: str) -> Multiplier:
    """The multiplier of differences from the maximum, in steps of 10/65535; LiteRT keeps beta * scale in binary32."""
    product = positive32(scale) * positive32(beta, "beta")
    if scheme == "litert_int16":
        product = positive32(product, "beta * scale")
    multiplier = quantize_multiplier(binary64(product / binary64(Fraction(10, 65535))))
    if multiplier.shift > 30:
        raise InputError(f"beta * scale = {float(product):g} needs a left shift of {multiplier.shift}, beyond 30")
    return multiplier


def softmax_int16(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """The softmax of a row of int16 codes: exp and reciprocal by interpolation between 513 table entries.

    TFLite Micro's and LiteRT's differ in the multiplier and in two entries of the reciprocal's table. CMSIS-NN's sums
    have 32 bits, its 16-bit table index is not clamped, and there is no final clamp: when the sum, normalised, is
    within 2**13 of 2**31, adding the half wraps, the table is read at its first entry, and all results are twice too
    large. Such is 2**18 - 1.
    """
    scheme = call.scheme.id
    if "multiplier" in call.options:
        multiplier = given_multiplier(call)
    else:
        multiplier = multiplier_int16(call.scale, call.options.get("beta", 1), scheme)
    exponentials, total = _exponentials_int16(row, multiplier, call.variant, steps)
    if total <= 0:
        raise InputError(
            f"row {steps.row}: the int32 sum of the exponentials wrapped to {total}: the next shift count is negative",
            hint="rows of at most 65,536 codes keep it positive; overflow='saturate' computes on",
        )
    zeros = leading_zeros(total)
    rounded = steps("rounded sum", (total << (zeros - 1)) + (1 << 13)) >> 14
    index = steps("reciprocal index", rounded - (1 << 15) - (1 << 16))
    index = index if scheme == "cmsis_int16" else saturate(index, 16)
    table = stored_table("litert_softmax_reciprocal" if scheme == "litert_int16" else "tflite_softmax_reciprocal")
    inverse = steps("reciprocal", interpolate_rounded(index, table))
    results = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * inverse)
        if scheme == "cmsis_int16":
            result = ((product >> (30 - zeros)) + 1) >> 1
        else:
            result = max(0, min(32767, (product + (1 << (30 - zeros))) >> (31 - zeros)))
        results.append(steps("result", result))
    return results


def _exponentials_int16(row: list[int], multiplier: Multiplier, variant: str, steps: Steps) -> tuple[list[int], int]:
    highest = max(row)
    table = stored_table("tflite_softmax_exp")
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - highest)
        scaled = multiply(difference, multiplier, variant, steps, "difference")
        centred = saturate(steps("centred difference", scaled + 32767), 16)
        exponentials.append(steps("exponential", interpolate_rounded(centred, table)))
        total = steps("sum", total + exponentials[-1])
    steps.element = -1
    return exponentials, total
