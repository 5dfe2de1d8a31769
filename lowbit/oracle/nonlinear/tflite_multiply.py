"""TFLite's MultiplyByQuantizedMultiplier in both builds, with its registers watched.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/common.cc``.
"""

from __future__ import annotations

from lowbit.oracle.fixed_point.gemmlowp import doubling_high_multiply, rounding_divide
from lowbit.oracle.nonlinear.steps import Steps


def multiply_by_quantized_multiplier(
    value: int, multiplier: int, shift: int, variant: str, steps: Steps, noun: str
) -> int:
    """The value times multiplier * 2**(shift - 31), rounded twice or once.

    The double-rounding build first shifts left in 32 bits (``shifted <noun>``), multiplies with ties upward, then
    shifts right with ties away from zero. The single-rounding build rounds a 64-bit product, ties upward.
    """
    if variant == "single_rounding":
        product = steps(f"shifted {noun}", value * multiplier)
        return steps(f"scaled {noun}", (product + (1 << (30 - shift))) >> (31 - shift))
    shifted = steps(f"shifted {noun}", value << max(shift, 0))
    return steps(f"scaled {noun}", rounding_divide(doubling_high_multiply(shifted, multiplier, 32), max(-shift, 0)))
