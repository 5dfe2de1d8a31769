"""Rows and columns swapped in memory, as by a kernel that takes an array for its transpose."""

from __future__ import annotations

import numpy as np

from lowbit.vectors.case import Array


def read_transposed(array: Array) -> Array:
    """The memory of an array, read as that of its transpose."""
    return np.ascontiguousarray(np.ascontiguousarray(array).reshape(array.shape[::-1]).T)


def written_transposed(array: Array) -> Array:
    """An array of the same shape whose memory is that of the transpose."""
    return np.ascontiguousarray(array.T).reshape(array.shape)
