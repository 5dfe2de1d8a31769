"""Directed vectors for a conversion: every rounding midpoint of the target and its neighbours, and all the edges.

For each value of the target (and two virtual ones beyond the largest) the value, the midpoint to the next one, and
the neighbours of both in the source; then the edges of the range, the specials of the source, and steps off a
midpoint that vanish in a narrower intermediate format. After IBM's FPgen models B3 to B8 and B27, cut down to low
bits; a million random vectors do not meet one tie of a float32 cast.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.vectors.cast.listed import listed_boundary
from lowbit.vectors.cast.points import (
    Points,
    Signed,
    Unsigned,
    bit_length,
    concatenate,
    floor_codes,
    magnitudes,
    max_magnitude,
    midpoints,
    points,
)
from lowbit.vectors.cast.representative import class_flags, nan_magnitudes, representative_magnitudes
from lowbit.vectors.flags import cast as f
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.flags.flag import Flag
from lowbit.vectors.patterns import from_patterns

WHOLE_SOURCE_BITS = 10
"""A source of at most that many bits is listed whole."""

INTERMEDIATES: Mapping[str, int] = {"float32": 24, "float16": 11, "bfloat16": 8}
"""Precision of the formats that real conversions round through."""

_ONE = np.uint64(1)
Flags = NDArray[np.uint8]
Group = tuple[Unsigned, Flags]
"""Magnitude codes of the source, and a flag for each."""


@dataclass(frozen=True)
class BoundarySet:
    """Inputs of a conversion and what each is for."""

    # Source codes (signed values for integers and fixed point), in rising order of their bit patterns.
    codes: Signed | Unsigned
    flags: Flags  # the flag number of each
    flag_names: Mapping[int, Flag]  # the flags that occur: number -> Flag

    def __len__(self) -> int:
        return len(self.codes)


def boundary(source: Scalar, target: Scalar, *, reach: int = 3, intermediates: bool = True) -> BoundarySet:
    """The directed vectors of a conversion from ``source`` to ``target``.

    ``reach``: how many source ulps on each side of every value and midpoint are taken; 0 for the points alone.
    ``intermediates``: whether steps that vanish in float32, float16 or bfloat16 are taken.

    Raises InputError: the reach is negative.
    """
    if reach < 0:
        raise InputError(f"reach = {reach} is negative", hint="0 takes the points alone, 3 is the usual reach")
    if source.listed:
        patterns = np.arange(1 << source.bits, dtype=np.uint64)
        flags = class_flags(patterns, source)
    else:
        patterns, flags = _of_fields(source, target, reach, intermediates)
    if source.bits <= WHOLE_SOURCE_BITS:
        rest = np.arange(1 << source.bits, dtype=np.uint64)
        patterns = np.concatenate([patterns, rest])
        flags = np.concatenate([flags, np.full(rest.shape, f.REMAINING, dtype=np.uint8)])
    patterns, first = np.unique(patterns, return_index=True)  # the first of equal codes is the most telling one
    flags = flags[first]
    if source.signed and source.ordinal(source.sign_bit) is None:  # NaN stands at the code of -0
        flags[patterns == np.uint64(source.sign_bit)] = f.NAN_SIGN
    used = {number: FLAGS[number] for number in np.unique(flags).tolist()}
    return BoundarySet(from_patterns(patterns, source), flags, MappingProxyType(used))


def _of_fields(source: Scalar, target: Scalar, reach: int, intermediates: bool) -> tuple[Unsigned, Flags]:
    """Bit patterns of a source with fields, and their flags."""
    if target.listed:
        groups = [*_specials(source), *_source_edges(source)]
    else:
        groups = list(_groups(source, target, reach, intermediates))
    positive = np.concatenate([codes for codes, _ in groups])
    patterns, flags = _with_signs(source, target, positive, np.concatenate([flag for _, flag in groups]))
    if target.listed:
        among, kinds = listed_boundary(source, target, reach)
        patterns, flags = np.concatenate([among, patterns]), np.concatenate([kinds, flags])
    return patterns, flags


def _with_signs(source: Scalar, target: Scalar, positive: Unsigned, flags: Flags) -> tuple[Unsigned, Flags]:
    if not source.signed:
        return positive, flags
    unsigned_flags = flags.copy()
    if not target.signed:
        keep = np.isin(flags, (f.NEGATIVE_ZERO, f.INFINITY, f.NAN_SIGN, f.NAN_PAYLOAD))
        unsigned_flags[~keep] = f.NEGATIVE
    if source.signed_codes:
        mask = np.uint64((1 << source.bits) - 1)
        inside = positive <= np.uint64(source.codes[-1])
        lower = positive <= np.uint64(-source.codes[0])
        negative = (~positive[lower] + _ONE) & mask
        return np.concatenate([positive[inside], negative]), np.concatenate([flags[inside], unsigned_flags[lower]])
    if not target.signed:  # the edges, values and ties say enough about negative numbers there
        telling = ~np.isin(flags, (f.NEAR_TIE, f.NEAR_VALUE, f.DOUBLE_ROUNDING, f.STICKY, f.SPREAD))
        unsigned_flags = unsigned_flags[telling]
        negative = positive[telling] | np.uint64(source.sign_bit)
    else:
        negative = positive | np.uint64(source.sign_bit)
    return np.concatenate([positive, negative]), np.concatenate([flags, unsigned_flags])


def _groups(source: Scalar, target: Scalar, reach: int, intermediates: bool) -> Iterator[Group]:
    """Magnitude codes with flags; where a code comes twice the earlier group names it."""
    codes = representative_magnitudes(target)  # what lies beyond the largest is an edge
    yield from _specials(source)
    yield from _range_edges(source, target, reach)
    middle = midpoints(target, codes)
    ties = _tie_flags(target, codes[: len(middle.significand)])
    yield _at(source, middle, ties)
    values = magnitudes(target, codes)
    yield _at(source, values, _value_flags(target, codes))
    if intermediates:
        yield from _vanishing_steps(source, middle)
        yield from _sticky_steps(source, target)
    yield _near(source, middle, reach, f.NEAR_TIE)
    yield _near(source, values, reach, f.NEAR_VALUE)
    yield from _source_edges(source)
    if source.bits > WHOLE_SOURCE_BITS and _precision(source) <= _precision(target) + 1:
        spread = representative_magnitudes(source)  # the target is as fine as the source: its points say little
        yield _flagged(spread[spread <= np.uint64(max_magnitude(source))], f.SPREAD)


def _flagged(codes: Unsigned, number: int) -> Group:
    return codes, np.full(codes.shape, number, dtype=np.uint8)


def _at(source: Scalar, place: Points, flags: Flags) -> Group:
    """The points that the source can hold."""
    codes, exact, _ = floor_codes(place, source)
    return codes[exact], flags[exact]


def _near(source: Scalar, place: Points, reach: int, number: int) -> Group:
    """Up to ``reach`` source codes on each side of every point, the point itself left out."""
    codes, exact, valid = floor_codes(place, source)
    codes, exact = codes[valid], exact[valid]
    top = np.uint64(max_magnitude(source))
    found = [codes[:0]]
    for step in range(1, reach + 1):
        up = codes + np.uint64(step)
        found.append(up[up <= top])
        down_step = np.where(exact, np.uint64(step), np.uint64(step - 1))  # floor is already one below if inexact
        found.append((codes - down_step)[codes >= down_step])
    return _flagged(np.concatenate(found), number)


def _around(source: Scalar, place: Points, reach: int, number: int) -> Iterator[Group]:
    yield _at(source, place, np.full(place.exponent.shape, number, dtype=np.uint8))
    yield _near(source, place, reach, number)


def _tie_flags(target: Scalar, lower: Unsigned) -> Flags:
    odd = (lower & _ONE).astype(np.bool_)
    flags = np.where(odd, np.uint8(f.TIE_ODD), np.uint8(f.TIE_EVEN))
    if not target.wraps and target.precision > 1:
        mask = (_ONE << np.uint64(target.precision - 1)) - _ONE
        flags[((lower & mask) == mask) & (lower > 0)] = f.CARRY_TO_EXPONENT
    return flags


def _value_flags(target: Scalar, codes: Unsigned) -> Flags:
    flags = np.full(codes.shape, f.EXACT, dtype=np.uint8)
    flags[(codes > 0) & (codes < np.uint64(target.min_normal_code))] = f.SUBNORMAL
    return flags


def _specials(source: Scalar) -> Iterator[Group]:
    if source.zero:
        yield _flagged(np.array([0], dtype=np.uint64), f.EXACT if source.wraps else f.NEGATIVE_ZERO)
    yield _flagged(np.array(source.infinities[:1], dtype=np.uint64), f.INFINITY)
    nans = nan_magnitudes(source)
    canonical = [code for code in nans if code == source.canonical_nan]
    yield _flagged(np.array(canonical, dtype=np.uint64), f.NAN_SIGN)
    yield _flagged(np.array([code for code in nans if code not in canonical], dtype=np.uint64), f.NAN_PAYLOAD)


def _range_edges(source: Scalar, target: Scalar, reach: int) -> Iterator[Group]:
    """The overflow band, the ends of an integer range, underflow and the subnormal boundary."""
    if target.wraps:
        yield from _around(source, _rails(target), reach, f.INTEGER_RAIL)
        halves = points([1, 1], [target.smallest_exponent - 1, target.smallest_exponent - 2])
        yield from _around(source, halves, reach, f.UNDERFLOW)
        yield from _far_beyond(source, target)
        return
    top = np.array([target.largest_code()], dtype=np.uint64)
    tie = midpoints(target, top)
    yield _at(source, tie, np.array([f.OVERFLOW_TIE], dtype=np.uint8))
    yield from _around(source, tie, reach, f.OVERFLOW_BAND)
    yield _near(source, magnitudes(target, top), reach, f.OVERFLOW_BAND)
    virtual = np.array([target.largest_code() + 1, target.largest_code() + 2], dtype=np.uint64)
    above = concatenate(magnitudes(target, virtual), midpoints(target, virtual[:1]))
    yield from _around(source, above, reach, f.OVERFLOW_BAND)
    yield from _far_beyond(source, target)
    yield from _low_edges(source, target, reach)


def _rails(target: Scalar) -> Points:
    """Half codes around both ends of the range."""
    ends = {target.codes[-1], -target.codes[0]}
    halves = sorted({2 * end + step for end in ends for step in range(-2, 4) if 0 < 2 * end + step < 1 << 64})
    return points(halves, target.smallest_exponent - 1)


def _far_beyond(source: Scalar, target: Scalar) -> Iterator[Group]:
    """Powers of two and one and a half times them in the binades beyond the largest value, and the source's largest."""
    top = target.max
    leading = top.significand.bit_length() - 1 + top.exponent
    beyond = points([1, 3, 1, 3, 1, 1], [leading + 1, leading, leading + 2, leading + 1, leading + 8, leading + 40])
    number = f.INTEGER_RAIL if target.wraps else f.OVERFLOW_BAND
    yield _at(source, beyond, np.full(6, number, dtype=np.uint8))
    largest = max_magnitude(source)
    yield _flagged(np.array([largest, largest - 1], dtype=np.uint64), number)


def _low_edges(source: Scalar, target: Scalar, reach: int) -> Iterator[Group]:
    smallest = target.smallest
    eighths = points([smallest.significand << 3], [smallest.exponent - 3])
    if not target.zero:
        steps = np.arange(1, 17, dtype=np.uint64)  # up to the second value, every eighth
        lowest = Points(eighths.significand[0] // np.uint64(8) * steps, np.repeat(eighths.exponent, 16))
        yield from _around(source, lowest, reach, f.LOWEST_BINADE)
    else:
        below = points([smallest.significand * part for part in (4, 2, 6, 1)], smallest.exponent - 3)
        yield from _around(source, below, reach, f.UNDERFLOW)
    tiny = points([1, 1], [smallest.exponent - 9, smallest.exponent - 41])
    yield from _around(source, tiny, 1, f.UNDERFLOW if target.zero else f.LOWEST_BINADE)
    if target.subnormals and 0 < target.min_normal_code <= target.largest_code():
        edge = np.array([target.min_normal_code - 1, target.min_normal_code], dtype=np.uint64)
        yield from _around(source, midpoints(target, edge[:1]), reach, f.SUBNORMAL_EDGE)
        yield from _around(source, magnitudes(target, edge[1:]), reach, f.SUBNORMAL_EDGE)


def _precision(fmt: Scalar) -> int:
    """Significant bits, the sign of two's complement counted as one."""
    return fmt.precision + int(fmt.signed_codes)


def _vanishing_steps(source: Scalar, middle: Points) -> Iterator[Group]:
    """Each midpoint plus and minus a quarter ulp of an intermediate format: rounding there makes a false tie."""
    length = bit_length(middle.significand)
    for precision in INTERMEDIATES.values():
        lift = precision + 1 - (length - 1)  # now one unit is a quarter of the intermediate's ulp, or less
        useful = (lift > 1) & (length + lift <= 63) & (length <= precision)
        if precision + 2 > _precision(source) or not useful.any():
            continue
        chosen, raised = middle.take(useful), lift[useful]
        base = chosen.significand << raised.astype(np.uint64)
        both = concatenate(Points(base + _ONE, chosen.exponent - raised), Points(base - _ONE, chosen.exponent - raised))
        yield _at(source, both, np.full(both.exponent.shape, f.DOUBLE_ROUNDING, dtype=np.uint8))


def _sticky_steps(source: Scalar, target: Scalar) -> Iterator[Group]:
    """An even and an odd tie near 1 plus and minus one bit at each place that the source still has (FPgen B7)."""
    width = _precision(source)
    for low in (0, 1):
        code = target.parameters.get("bias", 2) << (0 if target.wraps else target.precision - 1)
        code = min(max(code, 2), max_magnitude(target) - 1) // 2 * 2 + low
        tie = midpoints(target, np.array([code], dtype=np.uint64))
        if not len(tie.significand):
            continue
        place = int(tie.significand[0])
        lifts = range(1, min(width, 62) - place.bit_length() + 1)
        steps = [(place << lift) + sign for lift in lifts for sign in (1, -1)]
        exponents = [int(tie.exponent[0]) - lift for lift in lifts for _ in (1, -1)]
        if steps:
            yield _at(source, points(steps, exponents), np.full(len(steps), f.STICKY, dtype=np.uint8))


def _source_edges(source: Scalar) -> Iterator[Group]:
    """The lowest and highest subnormal and the smallest normal codes of the source."""
    if not source.subnormals:
        yield _flagged(np.array([0 if not source.signed else 1], dtype=np.uint64), f.NEAR_VALUE)
        return
    normal = source.min_normal_code
    codes = {1, 2, 3, normal >> 1, normal - 2, normal - 1}
    inside = sorted(code for code in codes if 0 < code < normal)
    yield _flagged(np.array(inside, dtype=np.uint64), f.SOURCE_SUBNORMAL)
    yield _flagged(np.array([normal], dtype=np.uint64), f.NEAR_VALUE)
