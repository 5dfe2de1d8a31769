"""The softmax of TensorFlow Lite's reference kernels and of CMSIS-NN, a row at a time, in Python integers.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/reference/softmax.h`` (Softmax, SoftmaxInt16);
ARM-software/CMSIS-NN, ``Source/SoftmaxFunctions/arm_softmax_s16.c``.
"""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.errors import InputError
from lowbit.nonlinear.stored_tables import stored_table
from lowbit.nonlinear.tflite import (
    SOFTMAX_INTEGER_BITS,
    QuantizedMultiplier,
    SoftmaxParameters,
    softmax_reciprocal_table,
)
from lowbit.oracle.fixed_point.gemmlowp import (
    doubling_high_multiply,
    exp_on_negative_values,
    leading_zeros,
    reciprocal,
    rounding_divide,
    saturate,
)
from lowbit.oracle.fixed_point.table import interpolate_rounded
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.nonlinear.tflite_multiply import multiply_by_quantized_multiplier

SUM_INTEGER_BITS = 12


def softmax_int8(row: Sequence[int], parameters: SoftmaxParameters, variant: str, bits: int, steps: Steps) -> list[int]:
    """The softmax of a row of int8 codes, to 8 or 16 bits.

    Raises
    ------
    InputError
        The sum is so large that the product ends its process, and ``steps`` wraps.
    """
    highest = max(row)
    exponentials: list[int | None] = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - highest)
        if difference < parameters.lowest_difference:
            exponentials.append(None)
            continue
        scaled = multiply_by_quantized_multiplier(
            difference, parameters.multiplier, parameters.shift, variant, steps, "difference"
        )
        exponential = steps("exponential", exp_on_negative_values(scaled, SOFTMAX_INTEGER_BITS))
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
    result = []
    for steps.element, exponential_or_none in enumerate(exponentials):
        code = lowest
        if exponential_or_none is not None:
            probability = steps("probability", doubling_high_multiply(inverse, exponential_or_none, 32))
            code = saturate(rounding_divide(probability, exponent) + lowest, bits)
        result.append(steps("result", code))
    return result


def softmax_int16(row: Sequence[int], parameters: QuantizedMultiplier, variant: str, steps: Steps) -> list[int]:
    """The softmax of a row of int16 codes: exp and reciprocal by interpolation between 513 table entries.

    TFLite Micro's and LiteRT's differ in the multiplier and in two entries of the reciprocal's table.
    """
    exponentials, total = _exponentials_int16(row, parameters, variant, steps)
    zeros = _normalising_shift(total, steps)
    rounded = steps("rounded sum", (total << (zeros - 1)) + (1 << 13)) >> 14
    index = saturate(steps("reciprocal index", rounded - (1 << 15) - (1 << 16)), 16)
    inverse = steps(
        "reciprocal", interpolate_rounded(index, stored_table(softmax_reciprocal_table(steps.widths.scheme)))
    )
    shift = 31 - zeros
    result = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * inverse)
        result.append(steps("result", max(0, min(32767, (product + (1 << (shift - 1))) >> shift))))
    return result


def softmax_int16_cmsis(row: Sequence[int], parameters: QuantizedMultiplier, variant: str, steps: Steps) -> list[int]:
    """The same in CMSIS-NN's C: 32-bit sums, a 16-bit table index that is not clamped, and no final clamp.

    When the sum, normalised, is within 2**13 of 2**31, adding the half wraps, the table is read at its first entry,
    and all results are twice too large. Such is 2**18 - 1.
    """
    exponentials, total = _exponentials_int16(row, parameters, variant, steps)
    zeros = _normalising_shift(total, steps)
    rounded = steps("rounded sum", (total << (zeros - 1)) + (1 << 13)) >> 14
    index = steps("reciprocal index", rounded - (1 << 15) - (1 << 16))
    inverse = steps("reciprocal", interpolate_rounded(index, stored_table("tflite_softmax_reciprocal")))
    result = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * inverse)
        result.append(steps("result", ((product >> (30 - zeros)) + 1) >> 1))
    return result


def _exponentials_int16(
    row: Sequence[int], parameters: QuantizedMultiplier, variant: str, steps: Steps
) -> tuple[list[int], int]:
    highest = max(row)
    exponentials = []
    total = 0
    for steps.element, code in enumerate(row):
        difference = steps("difference", code - highest)
        scaled = multiply_by_quantized_multiplier(
            difference, parameters.multiplier, parameters.shift, variant, steps, "difference"
        )
        centred = saturate(steps("centred difference", scaled + 32767), 16)
        exponential = steps("exponential", interpolate_rounded(centred, stored_table("tflite_softmax_exp")))
        exponentials.append(exponential)
        total = steps("sum", total + exponential)
    steps.element = -1
    return exponentials, total


def _normalising_shift(total: int, steps: Steps) -> int:
    """Leading zeros of the sum; a sum that is not positive has none to shift by."""
    if total <= 0:
        raise InputError(
            f"row {steps.row}: the int32 sum of the exponentials wrapped to {total}: the next shift count is negative",
            hint="rows of at most 65,536 codes keep it positive; overflow='saturate' computes on",
        )
    return leading_zeros(total)
