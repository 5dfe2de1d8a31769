"""A tensor in slabs of rows: block formats of tensors that are too large to have their steps in memory at once."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.ops.arrays import Array, first_place
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.quantize import quantize, quantize_part
from lowbit.ops.block.search import usual_policy
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.block.values import plain_values
from lowbit.policy.block import BlockPolicy, get_block_policy

SLAB = 1 << 19
"""Values of a slab: its steps in binary64 take some tens of megabytes."""

IN_ORDER = ("float16", "bfloat16", "float32", "float64")
"""Dtypes of a sign bit and a magnitude."""

Result = TypeVar("Result")


def slabs(fmt: BlockFormat, shape: Shape) -> list[slice]:
    """Ranges of the first axis that no block lies across, the axis of the blocks last."""
    rows = shape[0]
    across = [field.extents(shape)[0] for field in fmt.scales if field.block]
    step = math.lcm(*across) if len(shape) > 1 else rows
    step = max(step, 1) * max(SLAB // max(math.prod(shape[1:]) * step, 1), 1)
    return [slice(start, min(start + step, rows)) for start in range(0, rows, step)]


def each_slab(work: Callable[[slice], Result], ranges: list[slice], threads: int) -> list[Result]:
    """What a function returns for each range, in their order, by one thread or several."""
    if threads <= 1 or len(ranges) == 1:
        return [work(rows) for rows in ranges]
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, ranges))


def quantize_slabs(
    values: Array,
    fmt: BlockFormat,
    use: Callable[[BlockTensor, Array], Result],
    *,
    policy: BlockPolicy | str | None = None,
    threads: int = 1,
    refuse: Callable[[slice, Array], None] | None = None,
    importance: Array | None = None,
) -> list[Result]:
    """Bring a tensor into a block format in slabs along its first axis; the bits are those of :func:`quantize`.

    Parameters
    ----------
    values : array
        Floats, the axis of the blocks last; a view of a file, say.
    fmt : BlockFormat
    use : callable
        Takes the block tensor and the values of each slab; what it returns is kept. A scale over the whole tensor is in
        each of them.
    policy : BlockPolicy or str, optional
    threads : int
    refuse : callable, optional
        Takes the rows of each slab and what :func:`extremes` says of it, and raises where it likes.
    importance : array, shape (matrices, columns), optional
        As for :func:`quantize`: one row for all values, or one for each along the first axis.

    Raises
    ------
    InputError
        As for :func:`quantize`.
    """
    chosen = get_block_policy(usual_policy(fmt, importance) if policy is None else policy)
    fmt.check_shape(values.shape, short=chosen.tail == "short")
    several = importance is not None and len(importance) > 1
    ranges = [slice(at, at + 1) for at in range(len(values))] if several else slabs(fmt, values.shape)
    witness: Array | None = None
    whole: float | None = None

    def load(rows: slice) -> Array:
        slab = plain_values(values[rows])
        _refuse(slab, rows.start, fmt, chosen)
        return slab

    def ends(rows: slice) -> Array:
        few = extremes(values[rows])
        few = few if np.isfinite(few).all() else _finite_and_not(load(rows))
        if refuse is not None:
            refuse(rows, few)
        return few

    if any(field.role == "offset" and not field.block for field in fmt.scales):
        ranges = [slice(0, values.shape[0])]  # a mean over the whole tensor
    beforehand = len(ranges) > 1 and any(not field.block for field in fmt.scales)
    if beforehand:
        few = np.concatenate(each_slab(ends, ranges, threads))
        witness = _witness(few, fmt, values.shape)
        if witness is None:
            ranges = [slice(0, values.shape[0])]
        elif few.dtype == np.float32 and np.isfinite(few).all():
            chosen.require_held(fmt)
            whole = float(np.abs(few).max())

    def work(rows: slice) -> Result:
        if refuse is not None and not beforehand:
            ends(rows)
        slab = load(rows)
        if witness is None:
            weights = importance if importance is None else importance[rows.start * several]
            return use(quantize(slab, fmt, policy=chosen, importance=weights), slab)
        part = None if whole is None else quantize_part(slab, fmt, chosen, whole)
        if part is None:
            part = _without(quantize(np.concatenate([witness, slab]), fmt, policy=chosen), len(witness))
        return use(part, slab)

    return each_slab(work, ranges, threads)


def extremes(values: Array) -> Array:
    """Some values of an array, among them its lowest and its highest, and what is not finite if anything is."""
    if values.dtype.name not in IN_ORDER or not values.size:
        return _finite_and_not(plain_values(values))
    signed, unsigned = (values.view(f"{kind}{values.dtype.itemsize}") for kind in "iu")
    # Codes of positive numbers are in order, those of negative ones in reverse and, unsigned, above all others.
    few = [signed.max(), unsigned.max().view(signed.dtype)]
    if few[0] == few[1] or few[0] < 0:  # all of one sign: the other end is the least code
        few.append(signed.min())
    return plain_values(np.array(few).view(values.dtype))


def _finite_and_not(values: Array) -> Array:
    """The lowest and the highest value, and a NaN and an infinity of each sign if there are any."""
    kinds = [values[np.isnan(values)], values[np.isposinf(values)], values[np.isneginf(values)]]
    finite = values[np.isfinite(values)]
    ends = [finite.min(), finite.max()] if finite.size else []
    return np.concatenate([*(part[:1] for part in kinds), np.array(ends, values.dtype)])


def _witness(extremes: Array, fmt: BlockFormat, shape: Shape) -> Array | None:
    """Rows before each slab with which a scale over the tensor is that of the whole; None where rows are too short."""
    few = _finite_and_not(extremes)
    rows = math.lcm(*(field.extents(shape)[0] for field in fmt.scales if field.block))
    result = np.zeros((rows, *shape[1:]), few.dtype)
    if few.size > math.prod(shape[1:]):
        return None
    result.reshape(rows, -1)[0, : few.size] = few
    return result


def _without(tensor: BlockTensor, rows: int) -> BlockTensor:
    """A block tensor without its first rows."""
    scales: dict[str, Any] = {}
    for field in tensor.format.scales:
        codes = tensor.scale_codes(field.name)
        scales[field.name] = codes[rows // field.extents(tensor.shape)[0] :] if field.block else codes
    return BlockTensor.trusted(tensor.format, tensor.axis, tensor.codes[rows:], scales)


def _refuse(values: Array, start: int, fmt: BlockFormat, policy: BlockPolicy) -> None:
    """Refuse what quantize refuses, with the place in the whole tensor."""
    refused = "nan" if policy.nan == "error" else "", "infinity" if policy.infinity == "error" else ""
    if not any(refused) and not is_affine(fmt):
        return
    bad = ~np.isfinite(values) if is_affine(fmt) else np.zeros(values.shape, np.bool_)
    for axis, test in zip(refused, (np.isnan, np.isinf), strict=True):
        bad |= test(values) if axis else False
    if bad.any():
        (row, *others), _ = first_place(bad)
        value = values[(row, *others)]
        why = ": its block has no range" if is_affine(fmt) else ", which the block policy refuses ('error')"
        raise InputError(f"the value at {(row + start, *others)} is {value}{why}", hint="clip or replace it")
