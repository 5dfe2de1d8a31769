"""TensorFlow Lite's quantised multipliers, derived in fractions, and its multiplication by one in both builds.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/quantization_util.cc`` (QuantizeMultiplier,
CalculateInputRadius) and ``common.cc`` (MultiplyByQuantizedMultiplier).
"""

from __future__ import annotations

from fractions import Fraction

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.gemmlowp import Multiplier, doubling_high_multiply, rounding_divide
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.oracle.requantize.multipliers import pair_of


def quantize_multiplier(factor: Fraction) -> Multiplier:
    """The positive factor with a value in [2**30, 2**31), ties away from zero; 0 below 2**-32."""
    value, right = pair_of(factor, "quantize_multiplier")
    return Multiplier(value, 31 - right)


def given_multiplier(call: Parameters) -> Multiplier:
    """``multiplier`` and ``shift`` as the caller gives them."""
    return Multiplier(int(call.options["multiplier"]), int(call.options["shift"]))


def input_radius(integer_bits: int, shift: int) -> int:
    """The magnitude from which on inputs leave Q(integer_bits) of 32 bits: (2^i - 1) 2^(31 - i) / 2^shift."""
    return int(Fraction((1 << integer_bits) - 1) * (1 << (31 - integer_bits)) / Fraction(2) ** shift)


def multiply(value: int, multiplier: Multiplier, variant: str, steps: Steps, noun: str) -> int:
    """The value times a multiplier, rounded twice or once, with its registers watched.

    The double-rounding build first shifts left in 32 bits (``shifted <noun>``), multiplies with ties upward, then
    shifts right with ties away from zero. The single-rounding build rounds a 64-bit product, ties upward.
    """
    shift = multiplier.shift
    if variant == "single_rounding":
        product = steps(f"shifted {noun}", value * multiplier.value)
        return steps(f"scaled {noun}", (product + (1 << (30 - shift))) >> (31 - shift))
    shifted = steps(f"shifted {noun}", value << max(shift, 0))
    high = doubling_high_multiply(shifted, multiplier.value, 32)
    return steps(f"scaled {noun}", rounding_divide(high, max(-shift, 0)))
