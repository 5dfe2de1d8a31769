"""Ranges of integers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Span(NamedTuple):
    """All integers from ``low`` to ``high``, both included."""

    low: int
    high: int

    def __str__(self) -> str:
        return f"{self.low:,} to {self.high:,}"

    @property
    def size(self) -> int:
        """How many integers that is."""
        return self.high - self.low + 1

    @property
    def codes(self) -> range:
        """The integers."""
        return range(self.low, self.high + 1)

    def holds(self, other: Span) -> bool:
        """Whether another range lies within this one."""
        return self.low <= other.low and other.high <= self.high

    def shifted_right(self, count: int) -> Span:
        """Of ``value >> count``, which never decreases as the value grows."""
        return Span(self.low >> count, self.high >> count)


def span_of(values: Iterable[int]) -> Span:
    """The smallest range that holds all the values."""
    listed = list(values)
    return Span(min(listed), max(listed))


def of_bits(bits: int) -> Span:
    """What a signed integer of that many bits can hold."""
    return Span(-(1 << (bits - 1)), (1 << (bits - 1)) - 1)


SATURATED = of_bits(32)
"""gemmlowp's functions saturate to 32 bits by construction."""
