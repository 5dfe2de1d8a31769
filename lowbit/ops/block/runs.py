"""Arrays of binary32 as runs: the neighbours along the axis of the blocks that share their finest scales, a row each.

A block of one axis is a run, a block of two axes as many runs as it has rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from lowbit.format.block import ScaleField, Shape
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.chunks import in_chunks

CHUNK = 1 << 18
"""Values that one thread works on at once."""


def divides(field: ScaleField, shape: Shape) -> bool:
    """Whether the blocks of a field divide an array of a shape."""
    return not any(length % extent for length, extent in zip(shape, field.extents(shape), strict=True))


class Runs:
    """The runs of an array, the axis of the blocks last, which the blocks divide.

    Attributes
    ----------
    words : ndarray of int32, shape (runs, length)
    """

    def __init__(self, values: Array, field: ScaleField, threads: int) -> None:
        length = field.extents(values.shape)[-1]
        self.shape: Shape = values.shape
        self.words: npt.NDArray[np.int32] = np.ascontiguousarray(values).view(np.int32).reshape(-1, length)
        self._grid = (*values.shape[:-1], values.shape[-1] // length)
        self._field = replace(field, block=(*field.block[:-1], 1) if field.block else ())
        self._threads = threads

    @property
    def length(self) -> int:
        """Numbers of a run."""
        return int(self.words.shape[1])

    def in_chunks(self, run: Callable[[slice], None], chunk: int = CHUNK) -> None:
        """Call ``run`` with slices of the runs, of that many values."""
        count, length = self.words.shape
        in_chunks(lambda start, stop: run(slice(start, stop)), count, self._threads, max(1, chunk // length))

    def maxima(self, *, by_sign: bool) -> list[npt.NDArray[np.float32]]:
        """The largest magnitude of each block, of the numbers of each sign if they are asked for."""
        from lowbit.kernels.block import fast_boundaries as fast

        found = np.empty((1 + by_sign, len(self.words)), np.int32)
        kernel = fast.maxima_by_sign if by_sign else fast.maxima
        self.in_chunks(lambda part: kernel(self.words[part], *(row[part] for row in found)))
        return [reduced(row.view(np.float32).reshape(self._grid), self._field) for row in found]

    def ends(self) -> list[npt.NDArray[np.float32]]:
        """The lowest and the highest number of each block, of which one is not finite where any number is not."""
        from lowbit.kernels.block.fast_ends import ends

        found = np.empty((2, len(self.words)), np.int32)
        self.in_chunks(lambda part: ends(self.words[part], *(row[part] for row in found)))
        pairs = zip(found.view(np.float32), (np.minimum, np.maximum), strict=True)
        return [reduced(row.reshape(self._grid), self._field, ufunc) for row, ufunc in pairs]

    def each(self, numbers: Array) -> Array:
        """For each run the number of its block, or the only one."""
        wide = spread(numbers, self._field, self._grid) if np.ndim(numbers) else numbers
        return np.broadcast_to(wide, self._grid).reshape(-1)
