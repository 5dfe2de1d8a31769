"""Blocks of arrays, their axis last: which scales they have, the largest of each block, one number an element."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arrays import Array

FACTORS = ("multiply", "exponent", "by_sign", "divide")


def levels(fmt: BlockFormat) -> tuple[tuple[ScaleField, ...], tuple[ScaleField, ...]]:
    """The finest scales, and the one above them if there is one.

    Raises
    ------
    InputError
        The format has scales that are not made here.
    """
    factors = tuple(field for field in fmt.of_role(*FACTORS) if field not in fmt.lower_exponents)
    count = 2 if fmt.by_sign else 1
    if len(factors) + len(fmt.lower_exponents) + len(fmt.sums) < len(fmt.scales) or len(factors) - count not in (0, 1):
        roles = ", ".join(field.role for field in fmt.scales)
        raise InputError(f"{fmt.id}: quantize does not make scales of the roles {roles} together")
    return factors[:count], factors[count:]


def reduced(array: Array, field: ScaleField, ufunc: Any = np.maximum) -> Array:
    """A reduction over each block of a field, in the shape of its grid."""
    grid = field.grid(array.shape)
    if array.size == 0:
        return np.zeros(grid, array.dtype)
    lengths = field.extents(array.shape)
    if all(length % extent == 0 for length, extent in zip(array.shape, lengths, strict=True)):
        split = [
            part for length, extent in zip(array.shape, lengths, strict=True) for part in (length // extent, extent)
        ]
        result = ufunc.reduce(array.reshape(split), axis=tuple(range(1, len(split), 2)))
    else:
        result = array
        for axis, extent in enumerate(lengths):
            if extent > 1:
                result = ufunc.reduceat(result, np.arange(0, array.shape[axis], extent), axis=axis)
    return np.asarray(result).reshape(grid)


def spread(numbers: Array, field: ScaleField, shape: Sequence[int]) -> Array:
    """The number of its block for each element, or an array that broadcasts to it."""
    if not field.block:
        return numbers
    result = numbers
    for axis, extent in enumerate(field.extents(tuple(shape))):
        if extent > 1 and result.shape[axis] > 1:
            result = np.repeat(result, extent, axis=axis)
    return result[tuple(map(slice, shape))]


def at_blocks(numbers: Array, coarse: ScaleField, field: ScaleField, shape: tuple[int, ...]) -> Array:
    """For each block of a field the number that a coarser field has where that block begins."""
    if not coarse.block or not field.block:
        return numbers.reshape(-1)[0] if not coarse.block and numbers.size else numbers
    pairs = zip(field.grid(shape), field.extents(shape), coarse.extents(shape), strict=True)
    return numbers[np.ix_(*(np.arange(count) * own // other for count, own, other in pairs))]
