"""Lowers an accumulator to the vector that its kernels read, and decides which lanes can hold it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.policy.accumulator import Accumulator

LANE_BITS = 32
"""Registers of up to that many bits fit the fast lanes."""

_ORDERS = ("sequential", "pairwise", "blocked", "lanes")
_REDUCTIONS = ("sequential", "adjacent", "halves", "widening")


class Magnitudes(NamedTuple):
    """Upper bounds of what the operands can make."""

    product: int  # of one product
    row: int  # of the sum of all products of a result, each taken with its magnitude
    correction: int
    bias: int
    products: int  # K


def rule(width: int, overflow: str) -> list[int]:
    """The four entries of a rule: lowest, highest, mask, saturating or not (as the kernels read them)."""
    low = -(1 << (width - 1))
    return [low, -low - 1, -1 if width == 64 else (1 << width) - 1, int(overflow == "saturate")]


def parameters(accumulator: Accumulator, *, narrow: bool) -> npt.NDArray[np.int64]:
    """The vector of an accumulator.

    ``narrow`` is for 32-bit lanes: there every exact term fits 32 bits, so a wider cut does nothing.
    """
    limit = LANE_BITS if narrow else 64
    cuts = 0 < accumulator.combine_width <= limit
    return np.array(
        [
            *rule(accumulator.combine_width if cuts else limit, accumulator.combine_overflow),
            *rule(accumulator.width, accumulator.overflow),
            *rule(accumulator.result_width, accumulator.result_overflow),
            int(cuts),
            accumulator.combine,
            _ORDERS.index(accumulator.order),
            max(accumulator.block, 1),
            max(accumulator.lanes, 1),
            _REDUCTIONS.index(accumulator.reduction),
            accumulator.spill_every,
            int(accumulator.bias == "preloaded"),
            int(accumulator.zero_points == "compensated"),
        ],
        dtype=np.int64,
    )


def fits_narrow_lanes(accumulator: Accumulator, magnitudes: Magnitudes) -> bool:
    """Whether registers and exact terms fit 32 bits."""
    term = magnitudes.product * min(accumulator.combine, max(magnitudes.products, 1))
    return accumulator.result_width <= LANE_BITS and term < 1 << (LANE_BITS - 1)


def cannot_overflow(accumulator: Accumulator, magnitudes: Magnitudes) -> bool:
    """Whether no step can overflow whatever the order, because the magnitudes fit."""
    term = magnitudes.product * accumulator.combine
    if accumulator.combine_width and term >= 1 << (accumulator.combine_width - 1):
        return False
    chunk = min(magnitudes.row, magnitudes.product * (accumulator.spill_every or magnitudes.products))
    whole = magnitudes.row + magnitudes.correction + magnitudes.bias
    if accumulator.spill_width:
        return chunk < 1 << (accumulator.width - 1) and whole < 1 << (accumulator.spill_width - 1)
    return whole < 1 << (accumulator.width - 1)
