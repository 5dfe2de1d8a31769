"""Directed blocks: binary32 values of one block of a format, each with the flag of the bug that it catches.

They do not depend on a policy, so that a set under one scale rule catches the others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.exact import FINITE, floor_log2
from lowbit.format.block import WHOLE, BlockFormat
from lowbit.format.registry import scalar_format
from lowbit.vectors.flags import block as f
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.splitmix import random_patterns

Block = NDArray[np.float32]
Vector = tuple[Fraction, ...]

UNBOUNDED = 16
"""How long blocks are taken that reach over a whole axis or tensor."""

MOST_VALUES, MOST_VECTORS = 512, 64
"""Elements with more values are not listed whole."""

POWERS = (0, -5, 9)
"""The exponents about which blocks lie."""

RAMP = 13
"""The fill of a block has that many different magnitudes, an odd number so that their signs alternate."""


class Blocks:
    """The directed blocks of one format, flag by flag."""

    def __init__(self, fmt: BlockFormat) -> None:
        self.fmt = fmt
        self.element = fmt.number
        self.dimension = fmt.element.dimension
        unbounded = -(-UNBOUNDED // self.dimension) * self.dimension
        self.shape = tuple(unbounded if length == WHOLE else length for length in fmt.block or (unbounded,))
        self.length = math.prod(self.shape)
        self.largest = self.element.max.fraction()

    def of_flag(self) -> Mapping[int, Iterator[Block]]:
        """The blocks of each flag, endless where they are random."""
        return {
            f.ZERO_BLOCK: self._zeros(),
            f.EQUAL_VALUES: (np.full(self.length, value, np.float32) for value in (1, -1, 0.1, -7, 448, 3e-39)),
            f.ONE_OUTLIER: self._outliers(),
            f.MAXIMUM_AT_POWER: self._about([Fraction(2) ** power for power in (*POWERS, -130, 60, 126)]),
            f.MAXIMUM_AT_RULE: self._about(self._limits()),
            f.SCALED_VALUE: self._scaled(self._vectors()),
            f.SCALED_TIE: self._scaled(self._ties(), beside=True),
            f.ONE_SIGN_ONLY: (sign * np.abs(self.filled(3 * sign)) for sign in (1, -1, 2)),
            f.UNEVEN_SIGNS: self._uneven(),
            f.TIE_OF_SCALE: self._about(self.ties_of_scale()),
            f.RANGE_OF_SCALE: self._about(self._ends()),
            f.NAN_IN_BLOCK: self._special(np.nan),
            f.INFINITY_IN_BLOCK: self._special(np.inf),
            RANDOM: self._random(),
        }

    @cached_property
    def values(self) -> list[Fraction]:
        """The finite values of the elements, from the lowest on; of wide elements a share."""
        places = self.element.ordinals
        step = max(len(places) // MOST_VALUES, 1)
        every = (self.element.value_at(place) for place in (*places[:-1:step], places[-1]))
        return [value.fraction() for value in every if value.kind == FINITE]

    def filled(self, top: Any) -> Block:
        """A block with one largest value, at a place that depends on it, among smaller ones of both signs."""
        top = np.float32(top)
        places = np.arange(self.length)
        fill = top * ((places % RAMP) / np.float32(RAMP + 3)) * (1 - 2 * (places % 2))
        block = np.asarray(fill, np.float32)
        block[int(top.view(np.uint32)) % self.length] = top
        return np.asarray(block)

    def _zeros(self) -> Iterator[Block]:
        zeros = np.zeros(self.length, np.float32)
        yield zeros
        yield -zeros
        yield np.where(np.arange(self.length) % 3, zeros, -zeros)

    def _outliers(self) -> Iterator[Block]:
        for place in dict.fromkeys((0, self.length // 2, self.length - 1)):
            for outlier in (100, -3.5):
                block = np.where(np.arange(self.length) % 2, np.float32(-0.25), np.float32(1))
                block[place] = outlier
                yield block

    def _about(self, tops: list[Fraction]) -> Iterator[Block]:
        """Blocks with a largest value, and with its neighbours in binary32; the sign alternates."""
        for number, top in enumerate(tops):
            sign = -1 if number % 2 else 1
            for value in beside(top):
                if np.isfinite(value):
                    yield self.filled(sign * value)

    def _limits(self) -> list[Fraction]:
        """Where scale rules part: the largest element, where amax rounds up to a power of two, and between."""
        power = Fraction(2) ** floor_log2(self.element.max)
        rounded = 2 * power - power / (1 << min(self.element.precision, 20))
        beyond = (self.largest + (self.largest + self._last_step())) / 2
        limits = dict.fromkeys((self.largest, rounded, beyond, Fraction(3, 2) * self.largest))
        return [limit * Fraction(2) ** power for power in POWERS for limit in limits]

    def _last_step(self) -> Fraction:
        return self.values[-1] - self.values[-2] if len(self.values) > 1 else self.largest

    def _vectors(self) -> list[Vector]:
        """The elements, those of many values or vectors a share of them."""
        if self.dimension == 1:
            return [(value,) for value in self.values]
        codes = self.fmt.element.codes
        some = codes[:: max(len(codes) // MOST_VECTORS, 1)]
        return [tuple(number.fraction() for number in self.fmt.element.vector(code)) for code in some]

    def _ties(self) -> list[Vector]:
        """Midpoints of neighbouring elements: of each vector and the one that is nearest to it among these."""
        vectors = self._vectors()
        pairs = list(pairwise(vectors))
        if self.dimension > 1:
            others = ((one, [other for other in vectors if other != one]) for one in vectors)
            pairs = [(one, min(rest, key=partial(_apart, one), default=one)) for one, rest in others]
        return [tuple((low + high) / 2 for low, high in zip(*pair, strict=True)) for pair in pairs]

    def _scaled(self, vectors: list[Vector], *, beside: bool = False) -> Iterator[Block]:
        """Numbers times a power of two, in blocks with such a largest value that the scale is that power."""
        power = Fraction(2) ** floor_log2(self.element.max)
        free = self.length - max(2, self.dimension)  # the first ones are the largest and the lowest value
        count = max(free // self.dimension, 1) * self.dimension
        for turn, exponent in enumerate(POWERS):
            top = power if turn == 1 else self.largest
            listed = [number for vector in vectors if max(map(abs, vector)) <= top for number in vector]
            scaled = np.array([float(number * Fraction(2) ** exponent) for number in listed], np.float32)
            if beside:
                away = np.float32(np.inf)
                each = scaled.reshape(-1, self.dimension)
                scaled = np.stack([np.nextafter(each, -away), each, np.nextafter(each, away)], axis=1).ravel()
            for start in range(0, len(scaled), count):
                block = np.zeros(self.length, np.float32)
                part = scaled[start : start + count]
                block[-len(part) :] = part
                block[:2] = np.ldexp(np.array([float(top), float(self._lowest(top))], np.float32), exponent)[
                    : self.length
                ]
                yield block

    def _lowest(self, top: Fraction) -> Fraction:
        """The other end of a block whose scale is to be a power of two."""
        apart = self.fmt.by_sign or self.fmt.affine
        return self.values[0] if apart and top == self.largest else max(-top, self.values[0])

    def _uneven(self) -> Iterator[Block]:
        for above, below in ((1, 0.25), (0.25, 1), (7, 0.01), (0.01, 7)):
            block = self.filled(1)
            yield np.where(block < 0, block * np.float32(below), block * np.float32(above))
        for shift in (5, -5, 100):
            yield (self.filled(1) + np.float32(shift)).astype(np.float32)

    def ties_of_scale(self) -> list[Fraction]:
        """Largest values whose scale is a tie between two of its format, at both ends of it and between."""
        scale = self.fmt.scales[0].format
        return [
            (scale.value_at(place).fraction() + scale.value_at(place + 1).fraction()) / 2 * self.largest
            for place in self.tie_places()
        ]

    def tie_places(self) -> list[int]:
        """Of the lower one of two scales with a tie between them."""
        scale = self.fmt.scales[0].format
        if scale.signed_codes or scale.precision < 2 or scale.bits > 16:
            return []
        places = [place for place in scale.ordinals if place > 0]
        return [places[len(places) * part // 8] for part in (0, 2, 3, 4, 5, 6, 7)]

    def _ends(self) -> list[Fraction]:
        """The ends of binary32, and the largest values that belong to the ends of the scale's format."""
        ends = [Fraction(2) ** -149, Fraction(2) ** -127, Fraction(2) ** -126, scalar_format("float32").max.fraction()]
        scale = self.fmt.scales[0].format
        if not scale.signed_codes:
            smallest = scale.value_at(1 if scale.zero else 0).fraction()
            ends += [smallest * self.largest, smallest * self.largest / 2, scale.max.fraction() * self.largest]
        return [end for end in ends if Fraction(2) ** -149 <= end < Fraction(2) ** 128]

    def _special(self, special: float) -> Iterator[Block]:
        places = dict.fromkeys((0, self.length - 1))
        for place in places:
            for sign in (1, -1):
                block = self.filled(2.5)
                block[place] = np.copysign(np.float32(special), np.float32(sign))
                yield block
        block = self.filled(1)
        block[0], block[-1] = np.inf, np.nan
        yield block
        yield np.full(self.length, special, np.float32)

    def _random(self) -> Iterator[Block]:
        seed = 0
        while True:
            seed += 1
            patterns = random_patterns(scalar_format("float32"), self.length, seed, "normal")
            scale = np.float32(2.0 ** (seed % 9 - 4))
            yield patterns.astype(np.uint32).view(np.float32) * scale


def _apart(one: Vector, other: Vector) -> Fraction:
    return sum(((left - right) ** 2 for left, right in zip(one, other, strict=True)), Fraction(0))


def beside(value: Fraction) -> list[np.float32]:
    """The binary32 number nearest to a positive value, between its neighbours."""
    nearest, away = np.float32(float(value)), np.float32(np.inf)
    with np.errstate(over="ignore"):  # the neighbour of the largest number
        return [np.nextafter(nearest, np.float32(0)), nearest, np.nextafter(nearest, away)]
