"""Layers that move codes and change none."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, is_integer
from lowbit.ops.types import Array

MOST_AXES = 32
"""Of an array in any release of NumPy."""


class _Moves(Layer):
    """Layers whose result has the input's codes."""

    input: Quantity

    @property
    def result(self) -> Quantity:
        return self.input

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        yield Bound.of("moved", ranges[0].whole(), self.input.scalar)

    def _moved(self, codes: Array) -> Iterator[Step]:
        yield Step.of("moved", codes, self.input.scalar)


@dataclass(frozen=True, eq=False)
class Reshape(_Moves):
    """Another shape for the last axes.

    Attributes
    ----------
    input : Quantity
    axes : int
        How many of the last axes are replaced; those before them stay.
    shape : tuple of int
        What replaces them; one length may be -1.
    """

    operation = "reshape"
    input: Quantity
    axes: int
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        super().__post_init__()
        shape: Any = self.shape
        listed = isinstance(shape, tuple | list) and len(shape) <= MOST_AXES
        whole = listed and all(is_integer(length, -1, (1 << 31) - 1) for length in shape)
        self.require(whole and list(shape).count(-1) <= 1, f"shape = {shape!r}: lengths, at most one of them -1")
        self.require(is_integer(self.axes, 0, MOST_AXES), f"axes = {self.axes!r}: an integer from 0 to {MOST_AXES}")

    def channels(self, *given: int | None) -> int | None:
        shape: tuple[int, ...] | None = self.shape
        if self.axes == 1 and given[0] is not None:
            shape = self._replacement((given[0],))
        self.require(shape is not None, f"input has {given[0]} channels along its last axis: not {self.shape}")
        return shape[-1] if shape and shape[-1] >= 0 else None

    def _replacement(self, lengths: tuple[int, ...]) -> tuple[int, ...] | None:
        """What these last axes become; None where they cannot."""
        known, size = prod(length for length in self.shape if length >= 0), prod(lengths)
        if -1 not in self.shape:
            return self.shape if size == known else None
        return tuple(size // known if one == -1 else one for one in self.shape) if known and size % known == 0 else None

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        shape = self._replacement(array.shape[array.ndim - self.axes :]) if self.axes <= array.ndim else None
        self.require(
            shape is not None, f"input has shape {array.shape}: the last {self.axes} axes do not become {self.shape}"
        )
        assert shape is not None
        return self._moved(array.reshape(*array.shape[: array.ndim - self.axes], *shape))


@dataclass(frozen=True, eq=False)
class Select(_Moves):
    """One position along the last but one axis: the token that a classifier reads.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., positions, width).
    index : int
        Which position; -1 is the last one.
    """

    operation = "select"
    input: Quantity
    index: int

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        there = array.ndim >= 2 and -array.shape[-2] <= self.index < array.shape[-2]
        self.require(
            there, f"input has shape {array.shape}: there is no position {self.index} along the last but one axis"
        )
        return self._moved(array[..., self.index, :])
