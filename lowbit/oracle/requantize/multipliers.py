"""Multipliers and shifts as each product derives them from scales, in exact fractions.

``lowbit/policy/multiplier.py`` and ``quantized_add.py`` derive the same for callers, in floats and integers: neither
imports the other's. A floating-point step of a product is one exact operation and one rounding here.

Source: ``QuantizeMultiplier`` in tensorflow/lite/kernels/internal/quantization_util.cc; ``CalculateOpDataAdd`` in
tensorflow/lite/micro/kernels/add_common.cc; ``batch_frexp`` and ``fixedpoint_fn`` in HAWQ's quant_utils.py;
``computeMultiplierAndShift`` in MLIR's Tosa/Utils/QuantUtils.cpp; XNNPACK src/microparams-init.c; QNNPACK
src/qnnpack/requantization.h; FBGEMM src/QuantUtils.cc.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from lowbit.errors import InputError
from lowbit.exact import FINITE
from lowbit.oracle.arithmetic.rounded import round_to
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.policy.requantize import RequantizeScheme

BINARY32_SMALLEST_NORMAL = Fraction(1, 1 << 126)
QUANTIZE_MULTIPLIER_LOWEST, LARGEST_LEFT_SHIFT = -31, 30
TOSA_LONGEST_SHIFT, TOSA_DROPPED = 62, 31
TFLITE_ADD_SHIFT = {8: 20, 16: 15}
SHARED_BITS = {"xnnpack_add": 20, "qnnpack_add": 21}


class Pair(NamedTuple):
    """The scale is ``multiplier * 2**-right``."""

    multiplier: int
    right: int


def binary32(value: Fraction) -> Fraction:
    """The nearest binary32 number, ties to even.

    Raises InputError: it is 0 or infinite.
    """
    rounded = round_to(value, "float32")
    if rounded.kind != FINITE or not rounded.significand:
        raise InputError(f"{float(value)!r} is zero or infinite in binary32")
    return rounded.fraction()


def binary64(value: Fraction) -> Fraction:
    """The nearest binary64 number, ties to even."""
    return round_to(value, "float64").fraction()


def half_to_one(scale: Fraction) -> tuple[Fraction, int]:
    """The q of [1/2, 1) and the exponent e with scale = q * 2^e: C's frexp."""
    exponent = scale.numerator.bit_length() - scale.denominator.bit_length()
    fraction = scale / Fraction(2) ** exponent  # above 1/2 and below 2
    return (fraction / 2, exponent + 1) if fraction >= 1 else (fraction, exponent)


def nearest(scale: Fraction, bits: int) -> Pair:
    """A multiplier of that many bits, ties away; 2^bits is halved."""
    fraction, exponent = half_to_one(scale)
    multiplier = divided_half_up(fraction.numerator << bits, fraction.denominator)
    return Pair(multiplier // 2, bits - exponent - 1) if multiplier == 1 << bits else Pair(multiplier, bits - exponent)


def pair_of(scale: Fraction, derivation: str) -> Pair:
    """The pair of a rule of ``lowbit.policy.requantize.DERIVATIONS``.

    Raises InputError: the rule cannot express the scale.
    """
    if derivation.startswith("quantize_multiplier"):
        pair = nearest(scale, 31)
        left = 31 - pair.right
        if left < QUANTIZE_MULTIPLIER_LOWEST:
            return Pair(0, 31)
        limited = derivation.endswith("_limited") and left > LARGEST_LEFT_SHIFT
        return Pair((1 << 31) - 1, 31 - LARGEST_LEFT_SHIFT) if limited else pair
    if derivation.startswith("tosa"):
        pair = nearest(scale, 31 if derivation == "tosa_32" else 15)
        beyond = max(pair.right - TOSA_LONGEST_SHIFT, 0)
        return Pair(pair.multiplier >> min(beyond, TOSA_DROPPED), pair.right - beyond)
    if derivation in ("binary32", "binary64"):
        precision = 24 if derivation == "binary32" else 53
        fraction, exponent = half_to_one(binary32(scale) if derivation == "binary32" else scale)
        return Pair(int(fraction * (1 << precision)), precision - exponent)
    if derivation.startswith("binary32_"):
        number, bits = binary32(scale), int(derivation.removeprefix("binary32_"))
        if number < BINARY32_SMALLEST_NORMAL:
            raise InputError(f"{float(scale)!r} is subnormal in binary32")
        pair = nearest(number, min(bits, 24))
        return Pair(pair.multiplier << max(bits - 24, 0), pair.right + max(bits - 24, 0))
    return nearest(scale, 15 if derivation == "nearest_15" else 31)


def multiplier_of(scale: float, scheme: RequantizeScheme) -> tuple[int, int]:
    """Multiplier and shift of a positive scale in the scheme's own convention.

    Raises InputError: the scheme cannot express the scale.
    """
    multiplier, right = pair_of(Fraction(scale), scheme.derivation)
    if scheme.takes_scale:
        return multiplier, right
    shift = scheme.point - right if scheme.shift == "left" else right - scheme.point
    low, high = scheme.shift_range
    if not low <= shift <= high:
        raise InputError(f"a shift of {shift} is outside {low} to {high}")
    return multiplier, shift


def scale_of(input_scale: float, weight_scale: float, output_scale: float, scheme: RequantizeScheme) -> Fraction:
    """The factor from an accumulator to a code, in the precision of the scheme's ``scale_product``."""
    left, right, below = (binary32(Fraction(scale)) for scale in (input_scale, weight_scale, output_scale))
    if scheme.scale_product == "float64":
        return binary64(left * right / below)
    quotient = binary32(left * right) / below
    return binary64(quotient) if scheme.scale_product == "float32_product" else binary32(quotient)


def pairs_of_tflite_addition(
    a: float, b: float, result: float, bits: int, scheme: RequantizeScheme
) -> tuple[int, tuple[tuple[int, int], ...]]:
    """The left shift of both operands, and the multipliers of a, b and the sum."""
    left = TFLITE_ADD_SHIFT[bits]
    first, second, third = (binary32(Fraction(scale)) for scale in (a, b, result))
    twice = 2 * max(first, second)
    factors = first / twice, second / twice, twice / ((1 << left) * third)
    return left, tuple(multiplier_of(float(binary64(factor)), scheme) for factor in factors)


def pairs_of_hawq_addition(a: float, b: float, result: float, scheme: RequantizeScheme) -> tuple[tuple[int, int], ...]:
    """The multipliers of a and b, straight to the result."""
    first, second, third = (binary32(Fraction(scale)) for scale in (a, b, result))
    return tuple(multiplier_of(float(binary64(scale / third)), scheme) for scale in (first, second))


def multipliers_of_shared_addition(name: str, a: float, b: float, result: float) -> tuple[int, int, int]:
    """The multipliers of a and b, and the shift that they share: the larger has a given number of bits."""
    first, second, third = (binary32(Fraction(scale)) for scale in (a, b, result))
    ratios = binary32(first / third), binary32(second / third)
    shift = SHARED_BITS[name] - (half_to_one(max(ratios))[1] - 1)
    scaled = [round(ratio * Fraction(2) ** shift) for ratio in ratios]  # lrintf: ties to even
    return scaled[0], scaled[1], shift
