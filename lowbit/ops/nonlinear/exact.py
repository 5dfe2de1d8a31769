"""Runs softmax, LayerNorm and RMSNorm rounded correctly: kernels first, with more bits what they leave undecided."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from math import floor, isqrt
from typing import Any, NamedTuple

import numpy as np

from lowbit.nonlinear import exact as scheme
from lowbit.ops.cast.rounding import rounds_away
from lowbit.ops.chunks import in_chunks
from lowbit.ops.nonlinear.dispatch import Answer, Integers, Request, require_rows
from lowbit.ops.nonlinear.rows import affine
from lowbit.ops.types import Array
from lowbit.policy.cast import Policy

TABLE_BITS = 40
"""Fraction bits of the exponentials: the sum of 2^20 of them has 61 bits."""
LONGEST_TABLE = 1 << 16
FARTHEST = 30
"""exp(-30) is below 2^-40."""
DIGIT = 8
"""Bits of a distance that one table of exponentials covers."""
DIGITS = 40
"""Decimal digits of a first try; each further one has twice as many."""
BLOCK = 1 << 15


class Rounding(NamedTuple):
    """How a result is made of an exact value: fraction bits, policy, lowest and highest code."""

    fraction: int
    policy: Policy
    low: int
    high: int

    def vector(self, guard: int) -> Integers:
        """The constants that the kernels take, for numbers with ``guard`` bits below their unit."""
        return np.array([self.fraction, self.low, self.high, *_addends(self.policy, guard)], np.int64)

    def of_halves(self, halves: int, inexact: bool) -> int:
        """The result of the number of half units, or of one between it and the next."""
        value = 2 * halves + inexact
        addend = _addends(self.policy, 2)[2 * (value < 0) + (value >> 2 & 1)]
        return max(self.low, min((value + addend) >> 2, self.high))


@lru_cache(maxsize=64)
def _addends(policy: Policy, guard: int) -> tuple[int, ...]:
    """What to add to a number before ``guard`` bits are cut off: positive, even and odd below; negative likewise."""
    gap = 1 << guard

    def rounds_up(rest: int, odd: bool, negative: bool) -> bool:
        if negative:
            return not rounds_away(gap - rest, gap, not odd, True, policy, 0)
        return rounds_away(rest, gap, odd, False, policy, 0)

    def addend(odd: bool, negative: bool) -> int:
        first = next((rest for rest in (1, gap // 2, gap // 2 + 1) if rounds_up(rest, odd, negative)), gap)
        return gap - first

    return tuple(addend(odd, negative) for negative in (False, True) for odd in (False, True))


def softmax(request: Request) -> Answer:
    """Softmax along the rows, in units of 2^-(bits - 1)."""
    from lowbit.kernels.nonlinear.exact import STICKY, softmax

    scale, rows, fraction = request.scale, request.rows, request.bits - 1
    require_rows(rows, scheme.LONGEST, "for which the sum has its width")
    rounding = Rounding(fraction, scheme.rounding_of(request.options), 0, (1 << fraction) - 1)

    def run(part: Integers, out: Integers) -> None:
        distances = part.max(axis=1, keepdims=True) - part
        places, table = _table(scale, distances)
        softmax(places, table, rounding.vector(STICKY), out)

    def decide(row: Integers, element: int) -> int:
        return _softmax_of(row.max() - row, element, scale, rounding)

    return Answer(_by_blocks(request, run, decide), 2.0**-fraction)


def _table(scale: float, distances: Integers) -> tuple[Integers, Integers]:
    """Places of distances from the maximum in a table, and the table: exponentials, rounded down."""
    last = min(int(distances.max(initial=0)), floor(FARTHEST / scale) + 1)
    if last < LONGEST_TABLE:
        size = 1 << last.bit_length()
        return np.minimum(distances, last), _dense_table(scale, min(size, LONGEST_TABLE))
    listed, places = np.unique(np.minimum(distances, last), return_inverse=True)
    return places.reshape(distances.shape).astype(np.int64), _entries(scale, listed.tolist())


@lru_cache(maxsize=16)
def _dense_table(scale: float, size: int) -> Integers:
    return _entries(scale, list(range(size)))


def _entries(scale: float, distances: list[int]) -> Integers:
    """floor(exp(-scale * distance) * 2^40), or one less: products of exponentials are good to 35 digits."""
    context = Context(prec=DIGITS)
    unit = context.subtract(1 << TABLE_BITS, Decimal("1e-20"))
    entries = []
    for distance in distances:
        product = unit
        for place in range(0, distance.bit_length(), DIGIT):
            digit = distance >> place & ((1 << DIGIT) - 1)
            product = context.multiply(product, _powers(scale, place)[digit])
        entries.append(floor(product) if distance else 1 << TABLE_BITS)
    return np.array(entries, np.int64)


@lru_cache(maxsize=64)
def _powers(scale: float, place: int) -> list[Decimal]:
    """exp(-scale * digit * 2^place) of every digit."""
    return [_power(scale, digit << place, Context(prec=DIGITS)) for digit in range(1 << DIGIT)]


def _power(scale: float, distance: int, context: Context) -> Decimal:
    return context.exp(context.multiply(Decimal(-scale), distance))


def _softmax_of(distances: Integers, element: int, scale: float, rounding: Rounding) -> int:
    """One result, with as many digits as it takes: the rows have unequal codes, for which it is irrational."""
    own, (listed, counts) = int(distances[element]), np.unique(distances, return_counts=True)
    digits = 2 * DIGITS
    while True:
        context = Context(prec=digits)
        powers = [Fraction(_power(scale, distance, context)) for distance in listed.tolist()]
        total = sum(power * int(count) for power, count in zip(powers, counts, strict=True))
        share = powers[int(np.searchsorted(listed, own))] / total * (2 << rounding.fraction)
        # Each exponential is off by 1 + scale * distance units of its last digit; weighted with the exponentials of up
        # to 2^20 codes, that is below 16 in the sum.
        error = share * Fraction(32 + int(scale * own), 10 ** (digits - 1))
        low, high = floor(share - error), floor(share + error)
        if own == 0:  # 1 / counts[0] is never reached
            high = min(high, ((2 << rounding.fraction) - 1) // int(counts[0]))
        result = rounding.of_halves(max(low, 0), inexact=True)
        if rounding.of_halves(high, inexact=True) == result:
            return result
        digits *= 2


def layernorm(request: Request) -> Answer:
    """LayerNorm along the rows, gamma and beta applied."""
    return _norm(request, centred=1)


def rmsnorm(request: Request) -> Answer:
    """RMSNorm along the rows, gamma and beta applied."""
    return _norm(request, centred=0)


def _norm(request: Request, centred: int) -> Answer:
    from lowbit.kernels.nonlinear import exact as kernels

    rows, bits = request.rows, request.bits
    require_rows(rows, scheme.NORM_LONGEST, "for which the variance has its width", scheme.NORM_CODE_BITS)
    gamma, beta = affine(request.options, rows.shape[1])
    fraction, half = scheme.NORM_FRACTIONS[bits], 1 << (bits - 1)
    rounding = Rounding(fraction, scheme.rounding_of(request.options), -half, half - 1)
    below = fraction + kernels.NORM_GUARD
    mantissas, exponents = np.frexp(gamma.astype(np.float64))
    in_units = np.ldexp(beta.astype(np.float64), below)  # exact: binary32 numbers reach 2^128 only
    whole = np.floor(in_units)
    slacks = np.where(np.abs(whole) < 2.0**60, whole != in_units, -1).astype(np.int64)
    biases = np.where(slacks < 0, 0, whole).astype(np.int64)
    significands = np.ldexp(mantissas, 24).astype(np.int64)
    powers = exponents.astype(np.int64) - 24 + below
    constants = rounding.vector(kernels.NORM_GUARD)

    def run(part: Integers, out: Integers) -> None:
        kernels.norm(part, centred, significands, powers, biases, slacks, constants, out)

    def decide(row: Integers, element: int) -> int:
        total, squares, length = int(row.sum()) * centred, int((row * row).sum()), row.size
        variance = length * squares - total * total
        deviation = length * int(row[element]) - total if variance else 0
        return _norm_of(deviation, variance, float(gamma[element]), float(beta[element]), rounding)

    return Answer(_by_blocks(request, run, decide), 2.0**-fraction)


def _norm_of(deviation: int, variance: int, gamma: float, beta: float, rounding: Rounding) -> int:
    """``gamma * deviation / sqrt(variance) + beta``, rounded: exact in integers, whatever the operands."""
    factor, bias = Fraction(gamma) * deviation * (2 << rounding.fraction), Fraction(beta) * (2 << rounding.fraction)
    divisor = factor.denominator * bias.denominator
    numerator, addend = factor.numerator * bias.denominator, bias.numerator * factor.denominator
    # The floor of the root's quotient is enough: what is divided by the divisor afterwards has no fraction else.
    square = numerator * numerator
    whole = isqrt(square // max(variance, 1))
    inexact = whole * whole * max(variance, 1) != square
    if numerator < 0:
        whole = -whole - inexact
    halves, rest = divmod(whole + addend, divisor)
    return rounding.of_halves(halves, inexact or rest > 0)


def _by_blocks(
    request: Request, run: Callable[[Integers, Integers], Any], decide: Callable[[Integers, int], int]
) -> Array:
    """The results of a kernel over all rows, block by block, those that it leaves undecided by ``decide``."""
    from lowbit.kernels.nonlinear.exact import UNDECIDED

    rows = request.rows
    results = np.empty(rows.shape, request.call.result_type)

    def block(start: int, stop: int) -> None:
        part = rows[start:stop].astype(np.int64)
        out = np.empty_like(part)
        run(part, out)
        for row, element in np.argwhere(out == UNDECIDED).tolist():
            out[row, element] = decide(part[row], element)
        results[start:stop] = out

    in_chunks(block, rows.shape[0], request.threads, max(1, BLOCK // rows.shape[1]))
    return results
