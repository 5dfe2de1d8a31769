"""Bugs of kernels whose elements are vectors: another vector than the nearest, or values in another order."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.block.bug import BlockBug, Compute, after, element_codes, quotients_by
from lowbit.format.block import BlockFormat
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts

Chosen = Callable[[Array, Array], Array]
"""What of vectors (count, dimension) is the least, for quotients (rows, 1, dimension)."""

AT_ONCE = 1 << 20
"""Numbers that are compared at once, at most."""


def bugs_of_vectors(fmt: BlockFormat) -> tuple[BlockBug, ...]:
    """The bugs of formats whose elements are vectors."""
    return _OF_VECTORS if fmt.element.dimension > 1 else ()


def _vectors(fmt: BlockFormat) -> Array:
    element = fmt.element
    return np.array([[float(number.fraction()) for number in element.vector(code)] for code in element.codes])


def _by(measure: Chosen) -> Callable[[Parts, Array, BlockRule], Parts]:
    """The codes of the vectors of the least measure, the lowest one of several."""

    def change(parts: Parts, values: Array, rule: BlockRule) -> Parts:
        vectors = _vectors(rule.format)
        rows = quotients_by(values, parts, rule).astype(np.float64).reshape(-1, 1, vectors.shape[1])
        codes = np.empty(len(rows), np.int64)
        step = max(AT_ONCE // vectors.size, 1)
        with np.errstate(all="ignore"):
            for start in range(0, len(rows), step):
                part = np.nan_to_num(rows[start : start + step])
                codes[start : start + step] = np.nan_to_num(measure(part, vectors), nan=np.inf).argmin(axis=1)
        return {"codes": codes.reshape(parts["codes"].shape)}

    return change


def _highest(part: Array, vectors: Array) -> Array:
    """The distance, and for all but the last of those with the least one infinity."""
    distance = ((part - vectors) ** 2).sum(axis=2)
    least = distance.min(axis=1, keepdims=True)
    last = distance.shape[1] - 1 - (distance == least)[:, ::-1].argmax(axis=1)
    return np.where(np.arange(distance.shape[1]) == last[:, None], -1.0, distance)


def reversed_vectors(values: Array, fmt: BlockFormat) -> Array:
    """Values with those of each vector in the opposite order."""
    return values.reshape(*values.shape[:-1], -1, fmt.element.dimension)[..., ::-1].reshape(values.shape)


def _in_order(order: Callable[[Array, BlockFormat], Array]) -> Compute:
    """The codes of quotients that are taken in another order."""

    def change(parts: Parts, values: Array, rule: BlockRule) -> Parts:
        return {"codes": element_codes(order(quotients_by(values, parts, rule), rule.format), rule)}

    return after(change)


def _apart(values: Array, fmt: BlockFormat) -> Array:
    """Values of a vector that lie as far apart as a row has vectors."""
    return planes(values, values.shape[-1] // fmt.element.dimension)


def planes(values: Array, count: int) -> Array:
    """Values of which a row is read in columns of ``count``."""
    split = values.reshape(*values.shape[:-1], -1, count)
    return np.ascontiguousarray(np.swapaxes(split, -1, -2)).reshape(values.shape)


_OF_VECTORS = (
    BlockBug(
        "largest_product",
        "takes the vector of the largest inner product, without its squared length",
        after(_by(lambda part, vectors: -(part * vectors).sum(axis=2))),
    ),
    BlockBug(
        "sum_of_magnitudes",
        "takes the vector of the least sum of differences, not of their squares",
        after(_by(lambda part, vectors: np.abs(part - vectors).sum(axis=2))),
    ),
    BlockBug(
        "largest_difference",
        "takes the vector whose largest difference is the least",
        after(_by(lambda part, vectors: np.abs(part - vectors).max(axis=2))),
    ),
    BlockBug("last_of_ties", "takes the highest code of vectors that are equally near", after(_by(_highest))),
    BlockBug("vectors_reversed", "reads the values of a vector in the opposite order", _in_order(reversed_vectors)),
    BlockBug(
        "vectors_apart",
        "takes the values of a vector from all over a row (planes, not neighbours)",
        _in_order(_apart),
    ),
)
