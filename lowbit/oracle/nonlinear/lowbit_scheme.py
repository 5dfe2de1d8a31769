"""lowbit's own softmax, GELU, LayerNorm and RMSNorm, in Python integers.

LayerNorm rounds nothing before the root, which is exact: with n codes x, y = n x - sum and V = n sum(x^2) - sum^2 are
integers, and (x - mean) / deviation = y / sqrt(V).

Source: derived in ``lowbit/nonlinear/lowbit_scheme.py``; the constants are stated again here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.fixed_point.division import divided_half_up
from lowbit.oracle.nonlinear.constants import binary64, each, positive32
from lowbit.oracle.nonlinear.steps import Steps

POLYNOMIAL = (7419134, -57311506, 257211667, -744187942)
"""Of q(f) with 30 fraction bits, from the cube downward: 2^-f is 1 + f q(f)."""
FRACTION_BITS = 16
EXP_BITS = 24
LARGEST_EXPONENT = 26
GELU_LIMIT = 8
GELU_SLOPE = (38624644, 1727101)
"""2 sqrt(2 / pi) log2(e), and 0.044715 times that, with 24 fraction bits."""
NORM_BITS = 20
SIGNIFICANT = 31


def power_of_half(exponent: int, steps: Steps) -> int:
    """2^-z with 24 fraction bits, for z >= 0 with 16 fraction bits."""
    whole, fraction = divmod(exponent, 1 << FRACTION_BITS)
    value = 0
    for coefficient in (*POLYNOMIAL, 1 << 30):  # Horner's scheme
        value = coefficient + divided_half_up(value * fraction, 1 << FRACTION_BITS)
    steps("polynomial", value)
    if whole > LARGEST_EXPONENT:
        return steps("exponential", 0)
    return steps("exponential", divided_half_up(value, 1 << (30 - EXP_BITS + whole)))


@cache
def multiplier_of(scale: Any, *, base_2: bool) -> tuple[int, int]:
    """The scale, times log2(e) if asked for, as the nearest multiplier of 31 bits over a power of two."""
    value = positive32(scale)
    if base_2:
        with localcontext() as context:
            context.prec = 40
            value *= binary64(Fraction(1 / Decimal(2).ln()))
    shift = 0
    while value * 2 ** (shift + 1) < 1 << SIGNIFICANT and shift < 64:
        shift += 1
    multiplier = round(value * 2**shift)
    if multiplier == 1 << SIGNIFICANT:
        multiplier, shift = multiplier >> 1, shift - 1
    if not 25 <= shift <= 56:
        raise InputError(f"scale = {scale!r} is out of range: 2^-25 to 32")
    return multiplier, shift


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Softmax, in units of 2^-(bits - 1)."""
    multiplier, shift = multiplier_of(call.scale, base_2=True)
    limit = -(-LARGEST_EXPONENT << shift) // multiplier + 1  # its exponential is 0, and that of all beyond
    fraction_bits = call.result_bits - 1
    maximum = max(row)

    def exponential_at(code: int) -> int:
        scaled = steps("scaled", min(steps("distance", maximum - code), limit) * multiplier)
        return power_of_half(steps("exponent", divided_half_up(scaled, 1 << (shift - FRACTION_BITS))), steps)

    exponentials, total = steps.summed(row, exponential_at)
    excess = total.bit_length() - SIGNIFICANT
    normalized = steps("normalized", total >> excess if excess > 0 else total << -excess)
    factor = steps("factor", (1 << 61) // normalized)
    # total is about normalized * 2^excess and factor is 2^61 / normalized.
    places = 61 + excess - fraction_bits
    results = []
    for steps.element, exponential in enumerate(exponentials):
        product = steps("product", exponential * factor)
        results.append(steps("result", min(divided_half_up(product, 1 << places), (1 << fraction_bits) - 1)))
    return results


def gelu(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """GELU of each code of at most 24 bits, in units of scale / 2^(bits - 1)."""
    multiplier, shift = multiplier_of(call.scale, base_2=False)
    limit = GELU_LIMIT << FRACTION_BITS
    linear, cubic = GELU_SLOPE
    results = []
    for steps.element, code in enumerate(row):
        scaled = steps("scaled", code * multiplier)
        value = divided_half_up(scaled, 1 << (shift - FRACTION_BITS))
        value = steps("value", max(-limit, min(value, limit)))
        square = steps("square", value**2 >> FRACTION_BITS)
        slope = steps("slope", linear + (cubic * square >> FRACTION_BITS))
        exponent = steps("exponent", abs(value) * slope >> EXP_BITS)
        total = steps("sum", (1 << EXP_BITS) + power_of_half(exponent, steps))
        above = (1 << 2 * EXP_BITS) // total
        sigmoid = steps("sigmoid", above if value >= 0 else (1 << EXP_BITS) - above)
        product = steps("product", code * sigmoid)
        results.append(steps("result", divided_half_up(product, 1 << (EXP_BITS - call.result_bits + 1))))
    return results


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """LayerNorm of codes of at most 16 bits, in units of gamma * 2^-20; a row of equal codes gives beta / gamma."""
    return _norm(row, call, steps, "centred")


def rmsnorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """RMSNorm likewise, of the codes themselves: its ``variance`` is n sum(x^2)."""
    return _norm(row, call, steps, "scaled")


def _norm(row: list[int], call: Parameters, steps: Steps, difference: str) -> list[int]:
    """Both; ``difference`` is what the one calls its n x - sum, and the other, without a sum, its n x."""
    biases = norm_biases(call.options, len(row))
    total = squares = 0
    for steps.element, code in enumerate(row):
        if difference == "centred":
            total = steps("sum", total + code)
        squares = steps("sum_of_squares", squares + code**2)
    steps.element = -1
    variance = steps("variance", len(row) * squares - total**2)
    halves = (2 * SIGNIFICANT - variance.bit_length()) // 2
    deviation = steps("deviation", math.isqrt(variance << 2 * halves) if variance else (1 << SIGNIFICANT) - 1)
    factor = steps("factor", (1 << 59) // deviation)
    places = 59 - NORM_BITS - halves
    results = []
    for steps.element, code in enumerate(row):
        product = steps("product", steps(difference, len(row) * code - total) * factor)
        normalized = steps("normalized", divided_half_up(product, 1 << places)) if variance else 0
        results.append(steps("result", normalized + biases[steps.element]))
    return results


def norm_biases(options: Mapping[str, Any], length: int) -> list[int]:
    """Beta / gamma in units of 2^-20: a binary64 division, and a half added in binary64 before it is rounded down."""
    if "beta" not in options:
        return [0] * length
    pairs = zip(each(options, "beta", length, 0), each(options, "gamma", length, 1), strict=True)
    half = Fraction(1, 2)
    return [math.floor(binary64(binary64(beta / gamma) * (1 << NORM_BITS) + half)) for beta, gamma in pairs]
