"""LiteRT's optimised softmax of 8-bit codes, in exact fractions that are rounded to binary32 where it rounds.

Source: google-ai-edge/LiteRT, ``tflite/kernels/internal/optimized/optimized_ops.h`` (Softmax, QuantizeSoftmaxOutput).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from lowbit.nonlinear.litert import round_binary32
from lowbit.oracle.fixed_point.gemmlowp import saturate
from lowbit.oracle.nonlinear.steps import Steps


def softmax_int8(row: Sequence[int], table: Sequence[Fraction], bits: int, steps: Steps) -> list[int]:
    """The softmax of a row of int8 codes, to 8 or 16 bits; ``table`` has exp of the differences 0, -1, ..., -255.

    The sum is rounded after each addition, from the left; results are rounded with ties away from zero.
    """
    highest = max(row)
    total = Fraction(0)
    for code in row:
        total = round_binary32(total + table[highest - code])
    inverse = round_binary32(1 / round_binary32(total / (1 << bits)))
    lowest = -(1 << (bits - 1))
    result = []
    for steps.element, code in enumerate(row):
        units = round_binary32(table[highest - code] * inverse)
        rounded = math.floor(units + Fraction(1, 2))
        result.append(steps("result", saturate(rounded + lowest, bits)))
    return result
