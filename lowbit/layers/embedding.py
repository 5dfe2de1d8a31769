"""Tables: rows by index, and a row for each position."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lowbit.layers.add import INT32, Sum
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.ops.types import Array


@dataclass(frozen=True, eq=False)
class Embedding(Layer):
    """A row of a table for each index.

    Attributes
    ----------
    table : ndarray, shape (rows, width)
        Codes of ``entries``.
    entries : Quantity
        What they mean; the result's.
    input : Quantity
        The format of the indices.
    """

    operation = "embedding"
    table: Array
    entries: Quantity
    input: Quantity = INT32

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_parameter("table", self.entries.format, (None, None))

    @property
    def result(self) -> Quantity:
        return self.entries

    def channels(self, *_: int | None) -> int:
        return int(self.table.shape[1])

    def steps(self, *codes: Array) -> Iterator[Step]:
        (indices,) = codes
        rows = len(self.table)
        outside = (indices < 0) | (indices >= rows)
        if outside.any():
            self.require(False, f"index {int(indices[outside][0])} is not one of {rows} rows")
        yield Step.of("row", self.table[indices], self.entries.scalar)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        low, high = max(int(ranges[0].low.min()), 0), min(int(ranges[0].high.max()) + 1, len(self.table))
        rows = self.table[low:high].astype(np.int64)
        yield Bound.of("row", Interval(rows.min(axis=0), rows.max(axis=0)), self.entries.scalar)


@dataclass(frozen=True, eq=False)
class Positions(Layer):
    """The input plus a row of a table for each position along the last but one axis, from the first on.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., positions, width).
    table : ndarray, shape (rows, width)
        Codes of ``entries``.
    entries : Quantity
    sum : Sum
    """

    operation = "positions"
    input: Quantity
    table: Array
    entries: Quantity
    sum: Sum

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_parameter("table", self.entries.format, (None, None))

    @property
    def result(self) -> Quantity:
        return self.sum.result

    def channels(self, *given: int | None) -> int:
        self.require_channels(given[0], self.table.shape[1])
        return int(self.table.shape[1])

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        rows, width = self.table.shape
        fits = array.ndim >= 2 and array.shape[-2] <= rows and array.shape[-1] == width
        self.require(fits, f"input has shape {array.shape}, not (..., at most {rows}, {width})")
        return self.sum.steps((self.input, self.entries), array, self.table[: array.shape[-2]])

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        rows = self.table.astype(np.int64)
        each = Interval(rows.min(axis=0), rows.max(axis=0))
        return self.sum.bounds((self.input, self.entries), ranges[0], each)
