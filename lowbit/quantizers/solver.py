"""Solvers: from weights and scales to codes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lowbit.format.block import BlockFormat
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.chunks import in_chunks
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.levels import Levels, levels_of

COLUMNS = 128
"""Columns whose errors are spread over the rest at once, as in the official code; the result does not depend on it."""

ROWS = 64
"""Rows that one thread works on at once."""

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
    length = _length(fmt)
    if order is not None or not length:
        order = np.arange(weights.shape[1]) if order is None else order
        return _with_static_scales(weights[:, order], factor, fit(weights), order, columns, margins, threads)
    left, tensors = weights.copy(), []
    step = max(length, columns // length * length)
    for start in range(0, left.shape[1], step):
        stop = min(start + step, left.shape[1])
        inner = stop - start if stale else length
        for first in range(start, stop, inner):
            last = first + inner
            part = fit(left[:, first:last])
            codes, errors = _sweep(left, factor, levels_of(part), np.arange(inner) // length, first, margins, threads)
            tensors.append(_with_codes(part, codes))
            left[:, last:] -= errors @ factor[first:last, last:]
    return _joined(tensors), float(margins.min(initial=1.0))


def _with_static_scales(
    left: Doubles, factor: Doubles, whole: BlockTensor, order: Array, columns: int, margins: Doubles, threads: int
) -> tuple[BlockTensor, float]:
    """The same with the scales of ``whole``; ``left`` and ``factor`` are in the order of the sweep."""
    levels, inputs = levels_of(whole), left.shape[1]
    groups = order // (inputs // levels.values.shape[1])
    codes = np.empty(left.shape, whole.codes.dtype)
    for start in range(0, inputs, columns):
        stop = min(start + columns, inputs)
        part, errors = _sweep(left, factor, levels, groups[start:stop], start, margins, threads)
        codes[:, order[start:stop]] = part
        left[:, stop:] -= errors @ factor[start:stop, stop:]
    return _with_codes(whole, codes), float(margins.min(initial=1.0))


def _sweep(
    left: Doubles, factor: Doubles, levels: Levels, groups: Array, start: int, margins: Doubles, threads: int
) -> tuple[Array, Doubles]:
    """Round ``len(groups)`` columns from ``start`` on: codes, and each error over the factor's diagonal."""
    from lowbit.kernels.quantizers.fast_error_feedback import feed_back

    stop = start + len(groups)
    own = np.ascontiguousarray(left[:, start:stop])
    inside = np.ascontiguousarray(factor[start:stop, start:stop])
    places, errors = np.empty(own.shape, np.int64), np.empty(own.shape)
    values, wide, even = np.ascontiguousarray(levels.values), groups.astype(np.int64), levels.even

    def run(first: int, last: int) -> None:
        rows = slice(first, last)
        odd, parts = levels.odd[rows], (places[rows], errors[rows], margins[rows])
        feed_back(own[rows], inside, values[rows], wide, even, odd, *parts)

    in_chunks(run, len(own), threads, ROWS)
    return levels.codes[places], errors


def _length(fmt: BlockFormat) -> int:
    """Inputs of a block; 0 where scales reach over a whole row or the whole tensor."""
    return fmt.block[0] if fmt.block and all(field.block and field.block[0] for field in fmt.scales) else 0


def _with_codes(tensor: BlockTensor, codes: Array) -> BlockTensor:
    scales = {name: tensor.scale_codes(name) for name in tensor.scales}
    return BlockTensor.trusted(tensor.format, 1, np.ascontiguousarray(codes), scales)


def _joined(tensors: list[BlockTensor]) -> BlockTensor:
    first = tensors[0]
    codes = np.concatenate([part.codes for part in tensors], axis=1)
    names = list(first.scales)
    scales = {name: np.concatenate([part.scale_codes(name) for part in tensors], axis=1) for name in names}
    return BlockTensor.trusted(first.format, 1, codes, scales)
