"""Exact points on the number line as arrays, and where they fall among the codes of a source format.

A point is ``significand * 2**exponent``, significand uint64 and exponent int64, never negative. Integer operations
only, so that every format (P3109 reaches far beyond binary64) is placed exactly.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import Scalar

Unsigned = NDArray[np.uint64]
Signed = NDArray[np.int64]

_ONE = np.uint64(1)


class Points(NamedTuple):
    """Exact non-negative numbers ``significand * 2**exponent``."""

    significand: Unsigned
    exponent: Signed

    def take(self, chosen: NDArray[np.bool_]) -> Points:
        """The points that a mask chooses."""
        return Points(self.significand[chosen], self.exponent[chosen])


def points(significand: object, exponent: object) -> Points:
    """Points from scalars or sequences, broadcast against each other."""
    left, right = np.broadcast_arrays(np.asarray(significand, dtype=np.uint64), np.asarray(exponent, dtype=np.int64))
    return Points(np.atleast_1d(left).copy(), np.atleast_1d(right).copy())


def concatenate(*parts: Points) -> Points:
    """All points of several arrays, in order."""
    return Points(
        np.concatenate([part.significand for part in parts]), np.concatenate([part.exponent for part in parts])
    )


def bit_length(values: Unsigned) -> Signed:
    """The number of significant bits of each value, exactly for all 64 bits."""
    rest, length = values.copy(), np.zeros(values.shape, dtype=np.int64)
    for step in (32, 16, 8, 4, 2, 1):
        large = rest >= _ONE << np.uint64(step)
        length += large * step
        rest = np.where(large, rest >> np.uint64(step), rest)
    return length + (values > 0)


def magnitudes(fmt: Scalar, codes: Unsigned) -> Points:
    """The values of magnitude codes, which may lie beyond the largest finite one."""
    values = [fmt.value_at(code) for code in codes.tolist()]
    return points([value.significand for value in values], [value.exponent for value in values])


def midpoints(fmt: Scalar, codes: Unsigned) -> Points:
    """Half way between each magnitude code and the next: the gap is always one ulp of the lower one.

    Midpoints that need more than 64 bits are left out (ends of 64-bit integers, which no source can hold).
    """
    lower = magnitudes(fmt, codes)
    fits = lower.significand < _ONE << np.uint64(63)
    return Points((lower.significand[fits] << _ONE) | _ONE, lower.exponent[fits] - 1)


def floor_codes(place: Points, source: Scalar) -> tuple[Unsigned, NDArray[np.bool_], NDArray[np.bool_]]:
    """The magnitude code of the source at or just below each point.

    Returns ``codes``, clamped to the largest finite magnitude; ``exact``, whether the code's value is the point itself;
    ``valid``, False where the source has nothing at or below the point (formats without zero).
    """
    # fixed point is one binade of subnormals, wider than every magnitude
    mantissa_bits = 63 if source.wraps else source.precision - 1
    lowest, largest = source.smallest_exponent, max_magnitude(source)
    highest = largest.bit_length() - 1 + lowest if source.wraps else source.max_exponent
    leading = bit_length(place.significand) - 1 + place.exponent
    beyond = (leading > highest) & (place.significand > 0)
    ulp = np.maximum(np.minimum(leading, highest) - mantissa_bits, lowest)
    units, exact = _shifted(place.significand, np.where(beyond, -64, place.exponent - ulp))
    codes = ((ulp - lowest).astype(np.uint64) << np.uint64(mantissa_bits)) + units
    valid = np.ones(codes.shape, dtype=np.bool_)
    if not (source.wraps or source.subnormals):
        hidden = _ONE << np.uint64(mantissa_bits)
        valid = beyond | (units >= hidden)
        codes = np.where(valid, codes - hidden, np.uint64(0))
    beyond |= codes > np.uint64(largest)
    return np.where(beyond, np.uint64(largest), codes), exact & ~beyond & valid, valid


def _shifted(value: Unsigned, shift: Signed) -> tuple[Unsigned, NDArray[np.bool_]]:
    """Multiply by 2**shift and round down; also say whether that is exact. Shifts to the left must fit into 64 bits."""
    left = np.clip(shift, 0, 63).astype(np.uint64)
    right = np.clip(-shift, 0, 63).astype(np.uint64)
    result = np.where(-shift > 63, np.uint64(0), np.where(shift >= 0, value << left, value >> right))
    exact = (shift >= 0) | ((result << right) == value) & (-shift <= 63) | (value == 0)
    return result, exact


def max_magnitude(fmt: Scalar) -> int:
    """The largest finite magnitude code; that of the lowest value for signed integers (128 for int8)."""
    return max(fmt.largest_code(), -fmt.lowest_code)
