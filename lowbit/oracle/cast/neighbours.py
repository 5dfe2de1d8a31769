"""The neighbours of a magnitude in a floating-point format.

A format of at most 16 bits has few values: they are listed, and the value is looked up among them, so that nothing
here shares a bit trick with the kernels. Wider formats have too many to list; there the lower neighbour is computed
from the exponent of the value, in exact integers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from typing import overload

from lowbit.exact import Exact, floor_log2
from lowbit.format.scalar import FloatFormat
from lowbit.oracle.cast.decode import magnitude_value

LISTED_BITS = 16
"""Formats up to this width are searched value by value."""

_STORED_EXPONENT_BITS = 10


class _Multiples(Sequence[int]):
    """The magnitudes of a format from ``first`` to one beyond the largest, as multiples of one small quantum.

    Computed one at a time: the list of a format with 15 exponent bits would hold integers of 32,000 bits.
    """

    def __init__(self, fmt: FloatFormat, first: int, quantum: int) -> None:
        self._fmt, self._first, self._quantum = fmt, first, quantum

    def __len__(self) -> int:
        return self._fmt.max_code + 2 - self._first

    @overload
    def __getitem__(self, index: int) -> int: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[int]: ...
    def __getitem__(self, index: int | slice) -> int | Sequence[int]:
        if isinstance(index, slice):
            return [self[item] for item in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        value = magnitude_value(self._first + index, self._fmt)
        return value.significand << (value.exponent - self._quantum)


@lru_cache(maxsize=64)
def _listed(fmt: FloatFormat) -> tuple[int, int, Sequence[int]]:
    """First code, exponent of the quantum, and the magnitudes in that unit."""
    first = 0 if fmt.zero else -1
    quantum = magnitude_value(first, fmt).exponent
    multiples = _Multiples(fmt, first, quantum)
    return first, quantum, tuple(multiples) if fmt.exponent_bits <= _STORED_EXPONENT_BITS else multiples


def lower_code(magnitude: Exact, fmt: FloatFormat) -> int:
    """The largest magnitude code whose value is not above a positive finite value.

    Codes outside the format count as in :func:`lowbit.oracle.cast.decode.magnitude_value`, but not all are told apart:
    a result above ``max_code`` says only that the value lies beyond the whole last interval, one below -1 only that it
    lies below the interval under the smallest value.
    """
    return search(magnitude, fmt) if fmt.bits <= LISTED_BITS else compute(magnitude, fmt)


def search(magnitude: Exact, fmt: FloatFormat) -> int:
    """:func:`lower_code` by looking the value up among all values of the format."""
    first, quantum, multiples = _listed(fmt)
    # Every listed value is a whole multiple of the quantum, so it is <= the value iff it is <= the value's floor.
    return first - 1 + bisect_right(multiples, floor_scaled(magnitude, quantum))


def compute(magnitude: Exact, fmt: FloatFormat) -> int:
    """:func:`lower_code` from the exponent of the value (Q and S of P3109 v4.0 4.7.4)."""
    quantum = floor_log2(magnitude) - fmt.mantissa_bits
    lowest = (1 if fmt.subnormals else 0) - fmt.bias - fmt.mantissa_bits
    if fmt.subnormals:
        quantum = max(quantum, lowest)
    significand = floor_scaled(magnitude, quantum)
    hidden = 0 if fmt.subnormals else 1 << fmt.mantissa_bits
    return (quantum - lowest) * (1 << fmt.mantissa_bits) + significand - hidden


def floor_scaled(magnitude: Exact, quantum: int) -> int:
    """floor(magnitude / 2**quantum)."""
    shift = magnitude.exponent - quantum
    return magnitude.significand << shift if shift >= 0 else magnitude.significand // (1 << -shift)


def distances(magnitude: Exact, lower: Exact, upper: Exact) -> tuple[int, int]:
    """``magnitude - lower`` and ``upper - lower``, in one unit that makes both integers."""
    unit = min(magnitude.exponent, lower.exponent, upper.exponent)
    low = lower.significand << (lower.exponent - unit)
    return (
        (magnitude.significand << (magnitude.exponent - unit)) - low,
        (upper.significand << (upper.exponent - unit)) - low,
    )
