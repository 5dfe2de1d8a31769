"""Blocks that come to nothing: their scale is so small that it has no digits left, and every value becomes zero."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowbit.format.block import ScaleField
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor


def lost_blocks(tensor: BlockTensor, values: Array) -> int:
    """How many of a tensor's smallest blocks are zero although the values that they stand for are not.

    Parameters
    ----------
    tensor : BlockTensor
        The blocks along the last axis.
    values : ndarray
        What it was made of.
    """
    fmt = tensor.format
    factors = fmt.of_role("multiply", "by_sign")
    if not any(_has_small(field_values(tensor.scale_codes(field.name), field), field) for field in factors):
        return 0
    extents = fmt.scales[0].extents(tensor.shape)
    worth = dequantize(tensor, dtype=np.float32 if fmt.nested else np.float64)
    there, left = (_any_in_blocks(part != 0, extents) for part in (values, worth))
    return int(np.count_nonzero(there & ~left))


def _has_small(scales: Array, field: ScaleField) -> bool:
    """Whether a scale is zero or at most the smallest normal number of its format, below which digits are lost."""
    smallest = getattr(field.format, "min_normal", None)
    limit = 1.0 if smallest is None else float(smallest.fraction())
    return bool((np.abs(scales) <= limit).any())


def _any_in_blocks(places: Array, extents: Sequence[int]) -> Array:
    for axis, extent in enumerate(extents):
        places = np.logical_or.reduceat(places, np.arange(0, places.shape[axis], extent), axis=axis)
    return places
