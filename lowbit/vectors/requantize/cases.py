"""Directed inputs of a requantisation: accumulators around every half code, for scales that tell schemes apart.

Scales are exact fractions; a scheme's own derivation makes multiplier and shift of them, in its own convention.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from math import ceil

import numpy as np

from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Case, Number, numbered
from lowbit.vectors.flags import requantize as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.splitmix import splitmix64

POWERS = (1, 2, 3, 4, 6, 8, 11, 16)
"""Scales 2^-1 to 2^-16."""
GENERIC = (
    (1583594044, 40),
    (1690499128, 37),
    (1315423911, 33),
    (1431655765, 34),
    (2040109465, 35),
    (1174405121, 36),
    (1999999999, 39),
    (1234567891, 42),
)
"""(multiplier, shift to the right): 0.0014 to 0.15; two of the multipliers are odd, and none has fewer than 25 bits."""
TOP = (((1 << 31) - 1, 31), ((1 << 31) - 1, 33), ((1 << 31) - 1, 40), ((1 << 30) + 1, 36), ((1 << 24) + 1, 31))
LEFT = ((1 << 30, 30), (1610612737, 30), (1 << 30, 28), (1288490189, 29))
LARGE = ((1103515245, 53), (2147483001, 54), (1500000001, 50))
MOST_CODES = 192
"""So many codes are looked at, all of an 8-bit format but the middle."""
ROUNDED_TWICE = ((7984, 1583594044, 40), (1, 1 << 30, 32), (-1, 1 << 30, 32), (-237, 1 << 30, 31), (-302, 1 << 30, 32))

NEAR_TIES_OF_53_BITS = (
    (671566525, 1086389974),
    (573165874, 1272900521),
    (492382570, 1518326569),
    (669411069, 1116798889),
    (1070343211, 1523159159),
    (1412170716, 1154465991),
    (1288688996, 1279065367),
    (1476897085, 1116067924),
)
"""(accumulator, multiplier) whose product is an odd multiple of 2^53, less or more 2 to 6: shifted right by 54 it is
next to a tie, and becomes that tie in the 53 bits of binary64. Found by factoring those numbers."""


def directed_requantizations(scheme: RequantizeScheme, result: FixedFormat) -> list[Case]:
    """All directed cases of a scheme."""
    groups: list[tuple[int, Fraction]] = []
    groups += [(f.TIE_OF_POWER, Fraction(1, 1 << power)) for power in POWERS]
    pairs = {f.NEAR_TIE_OF_SCALE: GENERIC, f.TOP_MULTIPLIER: TOP, f.LEFT_SHIFT: LEFT, f.LARGE_ACCUMULATOR: LARGE}
    groups += [(flag, _scale(*pair)) for flag, listed in pairs.items() for pair in listed]
    cases = [case for flag, scale in groups for case in _cases(flag, scale, scheme, result, 0)]
    for index, zero_point in enumerate(_zero_points(result)):
        for scale in (Fraction(1, 8), _scale(*GENERIC[index % len(GENERIC)])):
            cases += _cases(f.ZERO_POINT_OF_RESULT, scale, scheme, result, zero_point)
    for accumulator, m, shift in ROUNDED_TWICE:
        cases += _cases(f.ROUNDED_TWICE, _scale(m, shift), scheme, result, 0, [accumulator])
    for accumulator, m in NEAR_TIES_OF_53_BITS:
        pair = [-accumulator, accumulator]
        cases += _cases(f.ROUNDED_TWICE, _scale(m, 54), scheme, result, 0, pair)
    return numbered(cases)


def random_requantizations(scheme: RequantizeScheme, result: FixedFormat, count: int, seed: int) -> list[Case]:
    """Random scales between 2^-16 and 1/2, with random accumulators that reach a little beyond the range."""
    random = splitmix64(seed, 4 * count).reshape(count, 4).tolist()
    cases: list[Case] = []
    for index, (significand, shift, zero, _) in enumerate(random):
        scale = Fraction((1 << 30) | (significand >> 34), 1 << (32 + shift % 16))
        zero_point = result.min_code + zero % (result.max_code - result.min_code + 1)
        reach = min(int(Fraction(1 << (result.bits + 1)) / scale), (1 << 31) - 1)
        draws = splitmix64((seed << 20) + index, 500) % np.uint64(2 * reach + 1)
        cases += _cases(RANDOM, scale, scheme, result, zero_point, [int(draw) - reach for draw in draws.tolist()])
    return numbered(cases)


def _scale(multiplier: int, shift: int) -> Fraction:
    return Fraction(multiplier, 1 << shift)


def _zero_points(result: FixedFormat) -> list[int]:
    low, high = result.min_code, result.max_code
    return [low, low + 1, (low + high) // 2 - 7, (low + high) // 2 + 3, high - 1, high]


def _cases(
    flag: int,
    scale: Fraction,
    scheme: RequantizeScheme,
    result: FixedFormat,
    zero_point: int,
    accumulators: list[int] | None = None,
) -> Iterator[Case]:
    """The case of a scale; none where the scheme cannot express it."""
    try:
        scalars, low, high = _parameters(scale, scheme)
    except InputError:
        return
    real = real_scale(scheme, scalars)
    given = sorted(_accumulators(real, result, zero_point)) if accumulators is None else accumulators
    chosen = [value for value in given if low <= value <= high]
    if chosen:
        array = np.array(chosen, np.int32 if scheme.accumulator_bits == 32 else np.int64)
        scalars["zero_point"] = zero_point
        yield Case(flag, {"accumulators": array}, {"n": len(chosen)}, (len(chosen),), scalars)


def _parameters(scale: Fraction, scheme: RequantizeScheme) -> tuple[dict[str, Number], int, int]:
    """Multiplier and shift, or the scale, as the scheme takes them; and the accumulators that it takes."""
    if scheme.takes_scale:
        value = float(scale)
        rounded = float(np.float32(value)) if scheme.multiplier_bits <= 24 else value
        return {"scale": rounded}, *scheme.accumulator_range()
    multiplier, shift = _exact(scale, scheme) or derive_multiplier(float(scale), scheme)
    low, high = scheme.shift_range
    if not low <= shift <= high:
        raise InputError(f"shift {shift} is out of the range of {scheme.name}")
    return {"multiplier": multiplier, "shift": shift}, *scheme.accumulator_range(shift)


def _exact(scale: Fraction, scheme: RequantizeScheme) -> tuple[int, int] | None:
    """The scale without rounding, with as many bits of multiplier as the scheme has, if it holds it."""
    top = scheme.multiplier_bits
    right = scale.denominator.bit_length() - 1
    multiplier = scale.numerator
    grow = top - multiplier.bit_length()
    if grow < 0:
        return None
    multiplier, right = multiplier << grow, right + grow
    shift = scheme.point - right if scheme.shift == "left" else right - scheme.point
    return multiplier, shift


def real_scale(scheme: RequantizeScheme, scalars: Mapping[str, Number]) -> Fraction:
    """The number that accumulators are multiplied by."""
    if scheme.takes_scale:
        return Fraction(scalars["scale"])
    return Fraction(int(scalars["multiplier"])) / Fraction(2) ** scheme.right_shift(int(scalars["shift"]))


def multiplier_of(scheme: RequantizeScheme, scalars: Mapping[str, Number]) -> tuple[int, int]:
    """The multiplier and the shift as the oracle takes them: of a scale its significand and a shift to the right."""
    if scheme.takes_scale:
        scale = real_scale(scheme, scalars)
        return scale.numerator, scale.denominator.bit_length() - 1
    return int(scalars["multiplier"]), int(scalars["shift"])


def _accumulators(scale: Fraction, result: FixedFormat, zero_point: int) -> set[int]:
    """Around every half code, around the ends of the range, and at the ends of 32 bits."""
    low, high = result.min_code - zero_point - 3, result.max_code - zero_point + 3
    codes = range(low, high + 1)
    if len(codes) > MOST_CODES:
        edge = MOST_CODES // 4
        middle = range(-edge, edge) if low < 0 < high else range(low + edge, low + 3 * edge)
        codes = sorted({*range(low, low + edge), *middle, *range(high - edge, high + 1)})  # type: ignore[assignment]
    found = {0, 1, -1}
    for code in codes:
        half = ceil((code + Fraction(1, 2)) / scale)
        found |= {half - 2, half - 1, half, half + 1}
    for power in (15, 16, 23, 24, 25, 30, 31):
        found |= {sign * (1 << power) + step for sign in (1, -1) for step in (-1, 0, 1)}
    return {value for value in found if -(1 << 47) <= value < 1 << 47}
