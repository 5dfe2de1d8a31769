"""Softmax, LayerNorm and RMSNorm as exact functions of the codes, rounded once, by enclosures in Python integers.

An enclosure is refined until the rounding is decided. It always is: by the theorem of Lindemann and Weierstrass a
quotient of sums of exponentials of rational numbers is irrational unless all exponents are equal.
"""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, isqrt

from lowbit.nonlinear.scheme import Parameters
from lowbit.oracle.cast.rounding import Gap, rounds_up
from lowbit.oracle.nonlinear.constants import each, positive32
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.policy.cast import Policy

FIRST_PRECISION = 96
NORM_FRACTIONS = {8: 4, 16: 10, 32: 20}


def rounded_halves(halves: int, inexact: bool, call: Parameters) -> int:
    """The integer for so many halves, or for a number between them and the next, by the call's rounding."""
    policy, negative = Policy(rounding=call.options.get("rounding", "nearest_even")), halves < 0
    quarters = 2 * halves + inexact  # any number between the halves rounds as the one in their middle
    magnitude = abs(quarters)
    lower, rest = divmod(magnitude, 4)
    if rest:
        lower += rounds_up(Gap(rest, 4, lower % 2 == 1, negative), policy, 0)[0]
    return -lower if negative else lower


@lru_cache(maxsize=1 << 16)
def exponential(exponent: Fraction, precision: int) -> tuple[int, int]:
    """Two integers between which exp(-exponent) * 2^precision lies, for an exponent that is not negative.

    The series of exp(-x / 2^k) alternates, so two sums of it enclose it; its square, k times, is the exponential.
    """
    if exponent > precision:
        return 0, 1
    squarings = ceil(exponent).bit_length() + 4
    bits = precision + 2 * squarings + 16
    numerator, denominator = (exponent / 2**squarings).as_integer_ratio()
    low = high = term = 1 << 2 * bits
    order = 0
    while term > 1 << bits:
        order += 1
        term = -(-term * numerator // (denominator * order))
        low, high = (high - term, high) if order % 2 else (low, low + term)
    # Terms are rounded up, each by less than two units; then half of the bits go.
    below, above = (low - 2 * order) >> bits, -(-(high + 2 * order) >> bits)
    for _ in range(squarings):
        below, above = below * below >> bits, -(-above * above >> bits)
    return below >> bits - precision, -(-above >> bits - precision)


def softmax(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """Softmax, in units of 2^-(bits - 1)."""
    scale, units = positive32(call.scale), 1 << (call.result_bits - 1)
    counts = Counter(max(row) - code for code in row)
    results = {distance: _share(distance, counts, scale, units, call) for distance in counts}
    return steps.each(row, lambda code: steps("result", min(results[max(row) - code], units - 1)))


def _share(own: int, counts: Counter[int], scale: Fraction, units: int, call: Parameters) -> int:
    if len(counts) == 1:
        halves, rest = divmod(2 * units, counts[0])
        return rounded_halves(halves, rest > 0, call)
    precision = FIRST_PRECISION
    while True:
        low, high = exponential(scale * own, precision)
        bounds = [(count, exponential(scale * distance, precision)) for distance, count in counts.items()]
        least, most = (sum(count * ends[end] for count, ends in bounds) for end in (0, 1))
        first, last = 2 * units * low // most, 2 * units * high // least
        if own == 0:
            last = min(last, ceil(Fraction(2 * units, counts[0])) - 1)  # 1 / count is what it falls short of
        if rounded_halves(first, True, call) == rounded_halves(last, True, call):
            return rounded_halves(first, True, call)
        precision *= 2


def layernorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """LayerNorm: (code - mean) / deviation * gamma + beta."""
    mean = Fraction(sum(row), len(row))
    return _norm([code - mean for code in row], call, steps)


def rmsnorm(row: list[int], call: Parameters, steps: Steps) -> list[int]:
    """RMSNorm: code / root of the mean square * gamma + beta."""
    return _norm([Fraction(code) for code in row], call, steps)


def _norm(row: list[Fraction], call: Parameters, steps: Steps) -> list[int]:
    units, half = 1 << NORM_FRACTIONS[call.result_bits], 1 << (call.result_bits - 1)
    mean_square = sum((value * value for value in row), Fraction(0)) / len(row)
    results = []
    gammas, betas = (each(call.options, name, len(row), default) for name, default in (("gamma", 1), ("beta", 0)))
    for steps.element, (value, gamma, beta) in enumerate(zip(row, gammas, betas, strict=True)):
        normalised = Quotient(gamma * value * units if mean_square else Fraction(0), mean_square or Fraction(1))
        halves, inexact = normalised.halves(beta * units)
        results.append(steps("result", max(-half, min(rounded_halves(halves, inexact, call), half - 1))))
    return results


class Quotient:
    """``value / sqrt(square)``, which is compared with rational numbers by squares."""

    def __init__(self, value: Fraction, square: Fraction) -> None:
        self.value, self.square = value, square

    def compared(self, other: Fraction) -> int:
        """-1, 0 or 1: below, at or above a number."""
        left, right = (abs(side) * side for side in (self.value, other))
        right *= self.square
        return (left > right) - (left < right)

    def halves(self, addend: Fraction) -> tuple[int, bool]:
        """The floor of twice the quotient and the addend, and whether that is less than they are."""
        estimate = isqrt(floor(4 * self.value**2 / self.square))
        halves = floor((estimate if self.value >= 0 else -estimate) + 2 * addend) + 2
        while self.compared(Fraction(halves, 2) - addend) < 0:
            halves -= 1
        return halves, self.compared(Fraction(halves, 2) - addend) > 0
