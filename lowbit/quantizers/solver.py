"""Solvers: from weights and scales to codes."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.format.block import BlockFormat
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.chunks import in_chunks
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.levels import Levels, levels_of

COLUMNS = 128
"""Columns whose errors are spread over the rest at once, as in the official code; the result does not depend on it."""

Fit = Callable[[Doubles], BlockTensor]
"""Scales for some columns: whole blocks of them, quantised to nearest."""


def error_feedback(
    weights: Doubles,
    factor: Doubles,
    fit: Fit,
    fmt: BlockFormat,
    *,
    columns: int = COLUMNS,
    stale: bool = False,
    order: Array | None = None,
    threads: int = 1,
) -> tuple[BlockTensor, float]:
    """Round column after column, and spread each error over the columns that are left (GPTQ).

    Parameters
    ----------
    weights : ndarray of float64, shape (outputs, inputs)
    factor : ndarray of float64, shape (inputs, inputs)
        The upper Cholesky factor of the inverse Hessian: :func:`lowbit.quantizers.objective.inverse_factor`.
    fit : callable
        Quantises some columns, whole blocks of them, to nearest in ``fmt``: their scales are taken from it.
    fmt : BlockFormat
    columns : int
        Columns of a step of the outer loop.
    stale : bool
        Whether blocks get their scales from weights that lack the errors of the same step (the official code).
    order : ndarray of int64, optional
        The columns one by one, for scales that are those of the weights before any change. Without it columns come in
        their own order and blocks get their scales when they are reached, where no scale reaches over a whole row.
    threads : int

    Returns
    -------
    tensor : BlockTensor
    margin : float
        The smallest distance of a weight from a tie, over the distance of the two levels.

    Notes
    -----
    ``W[:, j+1:] -= (W[:, j] - Q[:, j]) / U[j, j] * U[j, j+1:]``. Within a step this is done column by column, and for
    the columns behind it by one matrix product.
    """
    margins = np.ones(len(weights))
    length, left = _length(fmt), np.ascontiguousarray(weights.T)
    if order is not None or not length:
        order = np.arange(len(left)) if order is None else order
        return _with_static_scales(left[order], factor, fit(weights), order, columns, margins, threads)
    tensors = []
    step = max(length, columns // length * length)
    for start in range(0, len(left), step):
        stop = min(start + step, len(left))
        inner = stop - start if stale else length
        for first in range(start, stop, inner):
            last = first + inner
            part = fit(left[first:last].T)
            grid = Grid.of(levels_of(part))
            swept = sweep(left, factor, grid, np.arange(inner) // length, first, margins, threads)
            tensors.append(with_codes(part, swept.codes.T))
            left[last:] -= factor[first:last, last:].T @ swept.errors
    return joined(tensors), float(margins.min(initial=1.0))


def _with_static_scales(
    left: Doubles, factor: Doubles, whole: BlockTensor, order: Array, columns: int, margins: Doubles, threads: int
) -> tuple[BlockTensor, float]:
    """The same with the scales of ``whole``; ``left`` and ``factor`` are in the order of the sweep."""
    grid = Grid.of(levels_of(whole))
    groups = order // (len(left) // grid.levels.shape[1])
    codes = np.empty(left.shape, whole.codes.dtype)
    for start in range(0, len(left), columns):
        stop = min(start + columns, len(left))
        swept = sweep(left, factor, grid, groups[start:stop], start, margins, threads)
        codes[order[start:stop]] = swept.codes
        left[stop:] -= factor[start:stop, stop:].T @ swept.errors
    return with_codes(whole, codes.T), float(margins.min(initial=1.0))


class Grid(NamedTuple):
    """The levels of each group, as the kernel searches in them.

    Attributes
    ----------
    codes : ndarray, shape (count,)
    levels : ndarray of float64, shape (outputs, groups, count)
    cuts : ndarray of float64, shape (outputs, groups, 2^m - 1)
        Between each level and the next one the largest number that is rounded down; infinite ones at the end.
    zeros : ndarray of int64, shape (outputs, groups)
        The places of 0.
    turned : ndarray of bool, shape (outputs, groups)
        Where the levels, which ascend, have the codes in reverse.
    """

    codes: Array
    levels: Doubles
    cuts: Doubles
    zeros: Array
    turned: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, levels: Levels) -> Grid:
        turned = levels.values[:, :, 0] > levels.values[:, :, -1]
        values = np.where(turned[:, :, None], levels.values[:, :, ::-1], levels.values)
        even = np.where(turned[:, :, None], levels.even[::-1], levels.even)
        count = values.shape[2]
        cuts = np.full((*values.shape[:2], (1 << (count - 1).bit_length()) - 1), np.inf)
        middles = (values[:, :, :-1] + values[:, :, 1:]) / 2
        above = even[:, :, :-1] == levels.odd[:, :, None]  # a tie goes to the level above
        cuts[:, :, : count - 1] = np.where(above, np.nextafter(middles, -np.inf), middles)
        return cls(levels.codes, values, cuts, (cuts < 0).sum(axis=2), turned)


class Swept(NamedTuple):
    """Some columns, rounded; each array is (columns, outputs).

    Attributes
    ----------
    codes : ndarray
    errors : ndarray of float64
        Each error over the factor's diagonal.
    apart : ndarray of bool
        Weights that were not rounded; their codes are those of 0.
    """

    codes: Array
    errors: Doubles
    apart: npt.NDArray[np.bool_]


def sweep(
    left: Doubles,
    factor: Doubles,
    grid: Grid,
    groups: Array,
    start: int,
    margins: Doubles,
    threads: int = 1,
    *,
    cutoff: float = 0.0,
) -> Swept:
    """Round ``len(groups)`` columns from ``start`` on, spreading errors over the later ones among them.

    ``left`` is (inputs, outputs), its rows the columns of the weights, and keeps each as it was when it was rounded. A
    weight whose squared error over the diagonal, times ``cutoff``, is above 1 is kept apart.
    """
    from lowbit.kernels.quantizers.fast_error_feedback import WIDTH, feed_back

    own = left[start : start + len(groups)]
    inside = np.ascontiguousarray(factor[start : start + len(groups), start : start + len(groups)])
    places, errors, apart = np.empty(own.shape, np.uint8), np.empty(own.shape), np.empty(own.shape, bool)
    wide, results = groups.astype(np.int64), (places, errors, apart, margins)

    def run(first: int, last: int) -> None:
        feed_back(own, inside, grid.levels, grid.cuts, grid.zeros, wide, cutoff, first, last, *results)

    in_chunks(run, own.shape[1], threads, WIDTH)
    turned = grid.turned[:, groups].T
    return Swept(grid.codes[np.where(turned, len(grid.codes) - 1 - places, places)], errors, apart)


def _length(fmt: BlockFormat) -> int:
    """Inputs of a block; 0 where scales reach over a whole row or the whole tensor."""
    return fmt.block[0] if fmt.block and all(field.block and field.block[0] for field in fmt.scales) else 0


def with_codes(tensor: BlockTensor, codes: Array) -> BlockTensor:
    """A tensor (outputs, inputs) with the same scales and other codes."""
    scales = {name: tensor.scale_codes(name) for name in tensor.scales}
    return BlockTensor.trusted(tensor.format, 1, np.ascontiguousarray(codes), scales)


def joined(tensors: list[BlockTensor], *, axis: int = 1) -> BlockTensor:
    """Tensors (outputs, inputs) side by side, or one below the other (``axis`` 0)."""
    first = tensors[0]
    if len(tensors) == 1:
        return first
    codes = np.concatenate([part.codes for part in tensors], axis)
    scales = {name: np.concatenate([part.scale_codes(name) for part in tensors], axis) for name in first.scales}
    return BlockTensor.trusted(first.format, first.axis, codes, scales)
