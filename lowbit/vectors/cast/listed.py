"""Directed vectors of conversions from or to a format that is known by the list of its values.

The values stand where they like, so they are taken as exact numbers, each with the midpoint to the next, and looked up
among the codes of the source.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowbit.format.listing import listing
from lowbit.format.scalar import Scalar
from lowbit.ops.cast.ordinal import first_ordinal
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.flags import cast as f

BEYOND = (Fraction(3, 2), Fraction(2), Fraction(3), Fraction(1 << 8), Fraction(1 << 40))
"""How many times an end of the range lie the numbers far beyond it."""

BELOW = (Fraction(1, 4), Fraction(1, 8), Fraction(1, 1 << 9), Fraction(1, 1 << 41))
"""The same for the smallest value and the numbers between it and zero."""


class _Number(NamedTuple):
    value: Fraction
    flag: int
    near: int
    """The flag of the source codes beside it."""


def listed_boundary(source: Scalar, target: Scalar, reach: int) -> tuple[Unsigned, NDArray[np.uint8]]:
    """Bit patterns of a source with fields and what each is for; where a pattern comes twice the first counts."""
    numbers = list(_numbers(target))
    rows = [(place, number.flag) for number in numbers for place in _exact(source, number.value)]
    for number in numbers:
        if number.flag == f.NEGATIVE:
            continue  # the numbers themselves say enough there
        rows += [(place, number.near) for place in _beside(source, number.value, reach)]
    patterns = [source.pattern(source.from_ordinal(place)) for place, _ in rows]
    return np.array(patterns, dtype=np.uint64), np.array([flag for _, flag in rows], dtype=np.uint8)


def _numbers(target: Scalar) -> Iterator[_Number]:
    """The values, the ends of the range, the midpoints, and numbers far outside and near zero."""
    listed = listing(target)
    first, count = -listed.below, len(listed.values)
    line = [target.value_at(first + place).fraction() for place in range(-1, count + 1)]  # one missing at either end
    inside = line[1:-1]
    tiny = min(abs(value) for value in inside if value)
    low_end = f.OVERFLOW_BAND if inside[0] < 0 else f.LOWEST_BINADE if inside[0] else f.NEGATIVE
    for place, (below, above) in enumerate(pairwise(line)):
        middle = (below + above) / 2
        if place in (0, count):
            end = low_end if place == 0 else f.OVERFLOW_BAND
            yield _Number(middle, f.OVERFLOW_TIE if end == f.OVERFLOW_BAND else end, end)
            yield _Number(below if place == 0 else above, end, end)
        else:
            nearer = listed.codes[place - 1 if abs(below) < abs(above) else place]
            yield _Number(middle, f.TIE_ODD if nearer % 2 else f.TIE_EVEN, f.NEAR_TIE)
    yield from (_Number(value, f.EXACT, f.NEAR_VALUE) for value in inside)
    signs = (1, -1) if target.signed else (1,)
    yield from (_Number(sign * tiny * part, f.UNDERFLOW, f.UNDERFLOW) for sign in signs for part in BELOW)
    ends = (inside[-1], inside[0]) if target.signed else (inside[-1],)
    yield from (_Number(end * factor, f.OVERFLOW_BAND, f.OVERFLOW_BAND) for end in ends for factor in BEYOND)
    if not target.signed:
        yield from (_Number(-value, f.NEGATIVE, f.NEGATIVE) for value in inside if value)


def _exact(source: Scalar, value: Fraction) -> range:
    """The ordinal of a number in the source, if it is there."""
    return range(first_ordinal(source, value), first_ordinal(source, value, beyond=True))


def _beside(source: Scalar, value: Fraction, reach: int) -> list[int]:
    """Up to ``reach`` ordinals on either side of a number."""
    low, high = (source.ordinal(code) or 0 for code in (source.lowest_code, source.largest_code()))
    at, beyond = first_ordinal(source, value), first_ordinal(source, value, beyond=True)
    places = [*range(at - reach, at), *range(beyond, beyond + reach)]
    return [place for place in places if low <= place <= high]
