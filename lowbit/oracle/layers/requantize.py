"""Requantisation of one accumulator of a channel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lowbit.oracle.requantize.requantize import requantize
from lowbit.policy.requantize import RequantizeScheme


class Rescaling(NamedTuple):
    """A scheme with one multiplier and shift, or one of each a channel."""

    scheme: RequantizeScheme
    multipliers: Sequence[int]
    shifts: Sequence[int]
    zero_point: int
    low: int
    high: int

    def __call__(self, accumulator: int, channel: int = 0) -> int:
        """The code of an accumulator."""
        place = channel if len(self.multipliers) > 1 else 0
        multiplier = self.multipliers[place]
        turned = multiplier < 0 and not self.scheme.signed_multiplier
        return requantize(
            -accumulator if turned else accumulator,
            self.scheme,
            -multiplier if turned else multiplier,
            self.shifts[place],
            zero_point=self.zero_point,
            low=self.low,
            high=self.high,
        ).code
