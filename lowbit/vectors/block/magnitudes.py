"""The magnitudes on which block formats' rules differ: maxima of blocks, and points between elements."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Scalar

Numbers = NDArray[np.float64]
POWERS = (0, 1, -3, 10)
MOST_POINTS = 96
"""Of the elements of a wide format only so many are taken: the lowest and the highest."""
SCALES = 24
"""So many scales have maxima beside the ties between them."""
UNIT_POWER = -6
"""The scale of a tensor, a power of two."""


@lru_cache(maxsize=64)
def elements(fmt: Scalar) -> Numbers:
    """The values of an element format that are positive, and the zeros and negatives between them, in order."""
    first = 1 if fmt.zero else 0
    last = fmt.ordinal(fmt.largest_code())
    assert last is not None
    ordinals = list(range(first, last + 1))
    if len(ordinals) > MOST_POINTS:
        ordinals = ordinals[: MOST_POINTS // 3] + ordinals[-2 * MOST_POINTS // 3 :]
    values = np.array([float(fmt.value_at(ordinal).fraction()) for ordinal in ordinals])
    return np.concatenate([[0.0], *zip(values, -values, strict=True)]) if fmt.signed else np.append(0.0, values)


def midpoints(values: Numbers) -> Numbers:
    """The points halfway between neighbours, of either sign."""
    ordered = np.unique(values)
    return (ordered[1:] + ordered[:-1]) / 2


def tensor_unit(fmt: BlockFormat) -> float | None:
    """A magnitude that makes the scale of the tensor a power of two, over the largest element; None without one."""
    coarse = [field for field in fmt.scales if field.role in ("multiply", "divide") and not field.block]
    finest = fmt.scales[0].format
    return float(finest.max.fraction()) * 2.0**UNIT_POWER if coarse and fmt.scales[0].block else None


def maxima(fmt: BlockFormat) -> list[float]:
    """Maxima beside which scale rules differ, and beside ties between scales."""
    top = fmt.element.max.fraction()
    bits = max(fmt.element.precision, 1)
    places = [Fraction(1), Fraction(5, 4), Fraction(3, 2), Fraction(7, 4), 2 - Fraction(1, 1 << bits)]
    places += [_significand(top), _significand(top * Fraction(3, 2)), _significand(_beyond(fmt.element))]
    found = [float(place) * 2.0**power for place in dict.fromkeys(places) for power in POWERS]
    found += _between_scales(fmt)
    beside = [np.nextafter(np.float32(value), np.float32(side)) for value in found for side in (0, np.inf)]
    return [float(value) for value in dict.fromkeys([*map(np.float32, found), *beside])]


def smallest_maxima(fmt: BlockFormat) -> list[float]:
    """Maxima of which the scale is about the smallest that there is, or less."""
    top, finest = float(fmt.element.max.fraction()), fmt.scales[0].format
    first, unit = (1 if finest.zero else 0), _unit(fmt)
    least = float(finest.value_at(first).fraction()) if not finest.wraps else 2.0**-100
    normal = float(finest.decode(finest.min_normal_code).fraction()) if not finest.wraps else 2.0**-90
    found = [least * place * top * unit for place in (0.125, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 2.5)]
    found += [normal * place * top * unit for place in (0.5, 0.75, 0.9375, 0.96875, 1, 1.5)]
    return [max(value, 2.0**-149) for value in found]


def _unit(fmt: BlockFormat) -> float:
    return 1.0 if tensor_unit(fmt) is None else 2.0**UNIT_POWER


def _significand(value: Fraction) -> Fraction:
    while value >= 2:
        value /= 2
    while value < 1:
        value *= 2
    return value


def _beyond(fmt: Scalar) -> Fraction:
    """From where on a value would be rounded beyond the largest element."""
    last = fmt.ordinal(fmt.largest_code())
    assert last is not None
    return (fmt.max.fraction() + fmt.value_at(last + 1).fraction()) / 2


def _between_scales(fmt: BlockFormat) -> list[float]:
    """Maxima that are ties between two scales, where these are not powers of two."""
    finest, top = fmt.scales[0].format, fmt.element.max.fraction()
    if finest.wraps or finest.precision <= 1 or finest.bits > 8:
        return []
    last = finest.ordinal(finest.largest_code())
    assert last is not None
    ordinals = [round(last * part / SCALES) for part in range(1, SCALES)]
    values = [finest.value_at(ordinal).fraction() for ordinal in [*ordinals, *(one + 1 for one in ordinals)]]
    unit = Fraction(_unit(fmt))
    return [float((low + high) / 2 * top * unit) for low, high in pairwise(sorted(set(values)))]
