"""LiteRT's integer softmax, logistic and tanh, and the tables of 256 entries that it builds for int8 codes.

It builds them in binary32. Here every such operation is an exact fraction rounded to nearest even, and exp and tanh are
correctly rounded decimals of 40 digits: no host's libm takes part. LiteRT calls the host's, whose last bit reaches an
entry only at a tie.

Source: google-ai-edge/LiteRT, ``tflite/kernels/activations.cc``, LUTPopulateInt8 in
``tflite/kernels/internal/common.h``, PopulateSoftmaxLookupTable in
``tflite/kernels/internal/optimized/optimized_ops.h``.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from fractions import Fraction

from lowbit.exact import nearest_binary32
from lowbit.nonlinear.scheme import Example, Scheme
from lowbit.nonlinear.tflite import RELATIVES, sigmoid_int16, softmax_int16
from lowbit.nonlinear.widths import Intermediate

DIGITS = 40
BEYOND_EXP = 104
"""exp(-x) is below the smallest binary32 number, and 1 + exp(x) is exp(x), long before."""
RESULT_STEPS = {"logistic": (256, -128), "tanh": (128, 0)}
"""Codes in one unit of the result, and its zero point."""


def _exp(value: Fraction) -> Fraction:
    with localcontext() as context:
        context.prec = DIGITS
        return Fraction((Decimal(value.numerator) / Decimal(value.denominator)).exp())


def logistic(value: Fraction) -> Fraction:
    """1 / (1 + exp(-value)) in binary32, one rounding an operation."""
    if value < -BEYOND_EXP:
        return Fraction(0)
    if value > BEYOND_EXP:
        return Fraction(1)
    return nearest_binary32(1 / nearest_binary32(1 + nearest_binary32(_exp(-value))))


def tanh(value: Fraction) -> Fraction:
    """The hyperbolic tangent, correctly rounded to binary32."""
    if abs(value) > BEYOND_EXP:
        return Fraction(1 if value > 0 else -1)
    if abs(value) < Fraction(1, 1 << 13):  # x - x^3 / 3: the next term is below a quarter of a last place
        return nearest_binary32(value - value**3 / 3)
    doubled = _exp(2 * value)
    return nearest_binary32((doubled - 1) / (doubled + 1))


def sigmoid_table(operation: str, scale: float, zero_point: int) -> list[int]:
    """The entries for the codes -128 to 127; ``scale`` is a binary32 number, ``operation`` logistic or tanh."""
    function = logistic if operation == "logistic" else tanh
    steps, result_zero_point = RESULT_STEPS[operation]
    entries = []
    for code in range(-128, 128):
        answer = function(nearest_binary32(Fraction(scale) * (code - zero_point))) * steps
        rounded = math.floor(abs(answer) + Fraction(1, 2))  # C's round: ties away from zero
        entries.append(max(-128, min(127, (rounded if answer >= 0 else -rounded) + result_zero_point)))
    return entries


def softmax_table(scale: float, beta: float) -> list[Fraction]:
    """Exp of the differences 0, -1, ..., -255 in binary32, as LiteRT's optimised softmax of 8-bit codes has them."""
    product = nearest_binary32(Fraction(scale) * Fraction(beta))
    exponents = (nearest_binary32(product * distance) for distance in range(256))
    return [nearest_binary32(_exp(-value)) if value < BEYOND_EXP else Fraction(0) for value in exponents]


SCHEMES = (
    Scheme(
        "softmax",
        "litert_int8",
        "LiteRT's optimised kernel of int8 codes, to 8 or 16 ``bits``: exponentials and sums in binary32",
        lambda call: (Intermediate("result", call.result_bits, note="clamped"),),
        home="litert:softmax",
        options=("beta",),
        own_bits=8,
        bits=(8, 16),
        audited=False,
        relatives=RELATIVES,
        evidence="run",
        examples=(Example({"scale": 0.05}), Example({"scale": 0.05}, bits=16)),
    ),
    softmax_int16("litert_int16", "LiteRT's kernel of int16 codes: TFLite's, with two other table entries"),
    *(
        Scheme(
            operation,
            "litert_int8",
            "LiteRT's table of 256 entries, built in binary32 for the scale and ``zero_point``",
            lambda call: (Intermediate("result", call.result_bits),),
            home="litert:sigmoid",
            options=("zero_point",),
            own_bits=8,
            audited=False,
            relatives=RELATIVES,
            evidence="run",
            examples=(Example({"scale": 0.05, "zero_point": 3}),),
        )
        for operation in ("logistic", "tanh")
    ),
    *(
        sigmoid_int16(
            operation,
            "litert_int16",
            "LiteRT's optimised kernel, which at some power-of-two scales takes gemmlowp's functions",
            audited=False,
        )
        for operation in ("logistic", "tanh")
    ),
)
