"""LiteRT's optimised softmax, logistic and tanh of 8-bit codes, in exact fractions rounded to binary32 where it rounds.

Source: google-ai-edge/LiteRT, ``tflite/kernels/internal/optimized/optimized_ops.h`` (Softmax, QuantizeSoftmaxOutput,
PopulateSoftmaxLookupTable), ``tflite/kernels/activations.cc``, ``tflite/kernels/internal/common.h`` (LUTPopulateInt8).
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cache
from typing import Any

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.gemmlowp import saturate
from lowbit.oracle.nonlinear.constants import binary32, positive32
from lowbit.oracle.nonlinear.steps import Steps

BITS = 260
"""Of exponentials: 150 for the smallest binary32 number, the rest so that no rounding can go wrong."""
TERMS = 20
HALVINGS = 20
BEYOND = 104
"""exp(-x) is below half the smallest binary32 number from here on."""
BEYOND_EXP = 88
"""exp(x) is beyond binary32 soon after, and 1 + exp(-x) is 1 long before."""


def exp(value: Fraction) -> Fraction:
    """Exp of a number from -104 to 104: Taylor's series of value / 2^20, squared 20 times, in fixed point."""
    reduced = round(abs(value) * (1 << (BITS - HALVINGS)))
    term = total = 1 << BITS
    for place in range(1, TERMS):
        term = (term * reduced >> BITS) // place
        total += term
    for _ in range(HALVINGS):
        total = total * total >> BITS
    power = Fraction(total, 1 << BITS)
    return power if value >= 0 else 1 / power


@cache
def exponentials(scale: Any, beta: Any) -> tuple[Fraction, ...]:
    """Exp of the differences 0, -1, ..., -255 in binary32."""
    product = binary32(min(positive32(scale) * positive32(beta, "beta"), Fraction(1 << 100)))
    exponents = (binary32(product * distance) for distance in range(256))
    return tuple(binary32(exp(-value)) if value < BEYOND else Fraction(0) for value in exponents)


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """The softmax of a row of int8 codes, to 8 or 16 bits.

    The sum is rounded after each addition, from the left; results are rounded with ties away from zero.
    """
    table, bits = exponentials(call.scale, call.options.get("beta", 1)), call.result_bits
    highest = max(row)
    total = Fraction(0)
    for code in row:
        total = binary32(total + table[highest - code])
    inverse = binary32(1 / binary32(total / (1 << bits)))
    lowest = -(1 << (bits - 1))
    results = []
    for steps.element, code in enumerate(row):
        units = binary32(table[highest - code] * inverse)
        results.append(steps("result", saturate(math.floor(units + Fraction(1, 2)) + lowest, bits)))
    return results


def logistic(value: Fraction) -> Fraction:
    """1 / (1 + exp(-value)) in binary32, one rounding an operation."""
    if abs(value) > BEYOND_EXP:
        return Fraction(int(value > 0))
    return binary32(1 / binary32(1 + binary32(exp(-binary32(value)))))


def tanh(value: Fraction) -> Fraction:
    """The hyperbolic tangent, rounded once: (e^x - e^-x) / (e^x + e^-x)."""
    if abs(value) > BEYOND // 2:
        return Fraction(1 if value > 0 else -1)
    up, down = exp(binary32(value)), exp(-binary32(value))
    return binary32((up - down) / (up + down))


@cache
def entry(operation: str, scale: Any, centred: int) -> int:
    """A table's entry for a code less its zero point: C's round of the function's value in units of the result."""
    value = positive32(scale) * centred
    units = logistic(value) * 256 if operation == "logistic" else tanh(value) * 128
    rounded = math.floor(abs(units) + Fraction(1, 2))
    return saturate(rounded - 128 if operation == "logistic" else rounded * (1 if units >= 0 else -1), 8)


def sigmoid(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Logistic or tanh of int8 codes, by a table that LiteRT builds in binary32."""
    zero_point = int(call.options.get("zero_point", 0))
    return steps.each(row, lambda code: steps("result", entry(call.scheme.operation, call.scale, code - zero_point)))
