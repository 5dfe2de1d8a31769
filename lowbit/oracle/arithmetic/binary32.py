"""Numbers of binary32 whose operators round every result to nearest even (IEEE 754-2019).

For definitions that are long programs in binary32, where :mod:`rounded`, which holds for any format, takes too long.
Each operator is one of binary64 and then a rounding to binary32: binary64 has more than twice the bits of binary32 and
two, so that rounding twice is rounding once (Figueroa 1995, "When is double rounding innocuous?"), a quotient that
becomes subnormal included.
"""

from __future__ import annotations

import math
import struct
from typing import Self


class Binary32(float):
    """A number of binary32, an infinity, or the NaN without a payload."""

    __slots__ = ()

    def __new__(cls, value: float) -> Self:
        """The nearest one; beyond the largest, infinity."""
        return super().__new__(cls, _rounded(value))

    def __add__(self, other: float) -> Binary32:
        return Binary32(float(self) + float(other))

    def __sub__(self, other: float) -> Binary32:
        return Binary32(float(self) - float(other))

    def __mul__(self, other: float) -> Binary32:
        return Binary32(float(self) * float(other))

    def __truediv__(self, other: float) -> Binary32:
        if other:
            return Binary32(float(self) / float(other))
        if math.isnan(self) or not self:
            return Binary32(math.nan)
        return Binary32(math.copysign(math.inf, self) * math.copysign(1, other))

    def __neg__(self) -> Binary32:
        return Binary32(-float(self))

    def __abs__(self) -> Binary32:
        return Binary32(abs(float(self)))

    def sqrt(self) -> Binary32:
        """The square root of a number that is not negative."""
        return Binary32(math.sqrt(self))

    @property
    def word(self) -> int:
        """The 32 bits."""
        return int.from_bytes(struct.pack("<f", self), "little")


def _rounded(value: float) -> float:
    try:
        return float(struct.unpack("<f", struct.pack("<f", value))[0])
    except OverflowError:
        return math.copysign(math.inf, value)
