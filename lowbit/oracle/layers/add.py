"""Sums and products of two codes."""

from __future__ import annotations

from typing import NamedTuple

from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.layers.requantize import Rescaling


class Adding(NamedTuple):
    """The multipliers of two operands, and what follows their sum: a third one, or a zero point and a clamp."""

    left: Rescaling
    right: Rescaling
    output: Rescaling | None
    left_shift: int
    zero_point: int
    low: int
    high: int

    def __call__(self, left: int, right: int) -> int:
        """The code of the sum of two codes less their zero points."""
        total = self.left(left << self.left_shift) + self.right(right << self.left_shift)
        if self.output is not None:
            return self.output(wrap(total, 32))
        return min(max(total + self.zero_point, self.low), self.high)


def multiply(left: int, right: int, output: Rescaling) -> int:
    """The code of the product of two codes less their zero points."""
    return output(left * right)
