"""Integer matrix products in any accumulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import checked_threads
from lowbit.ops.chunks import in_chunks
from lowbit.ops.gemm.lowering import Magnitudes, cannot_overflow, fits_narrow_lanes, parameters
from lowbit.ops.gemm.operands import Operand, check_inner, checked_bias, integer_operand, zero_points
from lowbit.ops.types import Array, Codes, Results
from lowbit.policy.accumulator import Accumulator, get_accumulator

Numbers = npt.NDArray[np.int64]

TILE = 256
"""Columns of a tile: the scratch of a few partial sums stays in the first-level cache."""

_TREE_LEVELS = 32
_FIXED_ROWS = 3


class _Matrices(NamedTuple):
    """Operands, one stack of matrices each, with what belongs to rows and columns."""

    a: Array
    b: Array
    a_zeros: Numbers
    b_zeros: Numbers
    bias: Numbers


class _Answer(NamedTuple):
    """A matrix of results; with counts, the overflows of each and the time k of the first one."""

    values: Numbers
    counts: Numbers | None
    times: Numbers | None


def accumulate(
    a: Codes,
    b: Codes,
    accumulator: Accumulator | str = "int32",
    *,
    a_zero_point: int | Codes = 0,
    b_zero_point: int | Codes = 0,
    bias: Codes | None = None,
    threads: int = 1,
    return_counts: bool = False,
) -> Results:
    """The matrix product of integer codes, each sum in the given accumulator, overflows included.

    Parameters
    ----------
    a : array_like, shape (..., m, k)
        Codes: int8, uint8, int16, or ml_dtypes' int4, uint4, int2, uint2. Any strides.
    b : array_like, shape (..., k, n)
        Likewise; leading axes broadcast.
    accumulator : Accumulator or str
        See :class:`lowbit.Accumulator`; names in ``lowbit.ACCUMULATORS``.
    a_zero_point : int or array_like, shape (m,)
        One for all rows of ``a`` or one for each, codes of its dtype.
    b_zero_point : int or array_like, shape (n,)
        The same for the columns of ``b``.
    bias : int or array_like, shape (n,), optional
        Added to each column, when the accumulator says: int32 numbers, or int64 for results wider than 32 bits.
    threads : int
        How many threads share the work; the bits are the same for any number.
    return_counts : bool
        Also return a dict: "overflows", the number of steps that overflowed; "results", the number of results that
        are affected; "first", the index (..., row, column, k) of the first such result, in C order, and of its first
        overflow, or None. k is the last product taken in before that step; k = K stands for the zero points'
        correction and the bias.

    Returns
    -------
    values : ndarray, shape (..., m, n)
        int32 where the result has at most 32 bits, int64 beyond.
    counts : dict, if ``return_counts``

    Raises
    ------
    InputError
        A dtype or shape is wrong, a zero point is not a code of its operand, or the accumulator does not take these
        operands.
    PolicyError
        The accumulator is unknown.

    Notes
    -----
    Source: the steps are defined by :class:`lowbit.Accumulator`; each preset names its own source.

    Examples
    --------
    >>> import numpy as np
    >>> pixels, weights = np.array([[255, 255]], np.uint8), np.array([[127], [127]], np.int8)
    >>> accumulate(pixels, weights, "x86_vpmaddubsw").tolist()  # exact: 64770
    [[32767]]
    """
    chosen = get_accumulator(accumulator)
    left, right = integer_operand(a, "a"), integer_operand(b, "b")
    check_inner(left.codes, right.codes)
    _check_operands(chosen, left, right)
    checked_threads(threads)
    rows, columns = left.codes.shape[-2], right.codes.shape[-1]
    matrices = _Matrices(
        left.codes,
        right.codes,
        zero_points(a_zero_point, "a_zero_point", left, rows, "rows of a"),
        zero_points(b_zero_point, "b_zero_point", right, columns, "columns of b"),
        checked_bias(bias, columns, 32 if chosen.result_width <= 32 else 64),
    )
    return _run(matrices, chosen, threads, return_counts)


def _check_operands(accumulator: Accumulator, a: Operand, b: Operand) -> None:
    if accumulator.operands == "any" or {a.kind, b.kind} == set(accumulator.operands.split("_")):
        return
    wanted = " and ".join(accumulator.operands.split("_"))
    name = accumulator.name or "the accumulator"
    hint = (
        f"choose(operands='any') on it drops this condition: lowbit.get_accumulator({accumulator.name!r}).choose(...)"
    )
    if accumulator.operands == "uint8_int8" and {a.kind, b.kind} == {"int8"}:
        hint = "libraries offset one side: (a.view('uint8') ^ 0x80) with a_zero_point=128"
    raise InputError(f"{name} multiplies {wanted}, not {a.kind} and {b.kind}", hint=hint)


def _run(matrices: _Matrices, accumulator: Accumulator, threads: int, counted: bool) -> Any:
    """Each matrix of the stack on its own."""
    a, b = matrices.a, matrices.b
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*stack, a.shape[-2], b.shape[-1])
    dtype = np.int32 if accumulator.result_width <= 32 else np.int64
    values = np.empty(shape, dtype=dtype)
    counts = {"overflows": 0, "results": 0, "first": None} if counted else None
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    for index in np.ndindex(*stack) if values.size else ():
        answer = _product(matrices._replace(a=a[index], b=b[index]), accumulator, threads, counted)
        values[index] = answer.values
        if counts is not None:
            _tally(counts, answer, index)
    return values if counts is None else (values, counts)


def _tally(counts: dict[str, Any], answer: _Answer, index: tuple[int, ...]) -> None:
    if answer.counts is None or answer.times is None or not answer.counts.any():
        return
    counts["overflows"] += int(answer.counts.sum())
    counts["results"] += int(np.count_nonzero(answer.counts))
    if counts["first"] is None:
        row, column = (int(place) for place in np.argwhere(answer.counts)[0])
        counts["first"] = (*index, row, column, int(answer.times[row, column]))


def _product(matrices: _Matrices, accumulator: Accumulator, threads: int, counted: bool) -> _Answer:
    """One matrix product, by the shortest way that gives its bits."""
    compensated, width = accumulator.zero_points == "compensated", accumulator.result_width
    whole = width <= 32 and not accumulator.dropped_bits
    if whole and accumulator.is_modular and not counted:
        return _Answer(_wrapped(_exact(matrices, threads), width), None, None)
    prepared = matrices if compensated else _subtracted(matrices, accumulator.dropped_bits)
    magnitudes = _magnitudes(prepared, compensated)
    if whole and cannot_overflow(accumulator, magnitudes):
        return _Answer(_exact(matrices, threads).astype(np.int64), None, None)
    narrow = not counted and fits_narrow_lanes(accumulator, magnitudes) and _is_16_bit(prepared)
    return _stepwise(prepared, accumulator, narrow, threads, counted)


def _subtracted(matrices: _Matrices, dropped: int) -> _Matrices:
    """Operands less their zero points, low bits dropped; no zero points are left."""
    a = (matrices.a.astype(np.int32) - matrices.a_zeros[:, None].astype(np.int32)) >> dropped
    b = (matrices.b.astype(np.int32) - matrices.b_zeros.astype(np.int32)) >> dropped
    return matrices._replace(a=a, b=b, a_zeros=np.zeros_like(matrices.a_zeros), b_zeros=np.zeros_like(matrices.b_zeros))


def _largest(array: Array) -> int:
    return max(int(array.max()), -int(array.min())) if array.size else 0


def _magnitudes(matrices: _Matrices, compensated: bool) -> Magnitudes:
    products = matrices.a.shape[1]
    a, b = _largest(matrices.a), _largest(matrices.b)
    row = products * a * b
    if products and a and b:  # the sum of |a| over k is tighter, and exact in 64 bits for any K that fits a memory
        row = int(np.abs(matrices.a.astype(np.int32)).sum(axis=1, dtype=np.int64).max()) * b
    correction = 0
    if compensated:
        a_zero, b_zero = _largest(matrices.a_zeros), _largest(matrices.b_zeros)
        correction = products * (a_zero * b_zero + a_zero * b + b_zero * a)
    return Magnitudes(a * b, row, correction, _largest(matrices.bias), products)


def _is_16_bit(matrices: _Matrices) -> bool:
    return all(
        array.dtype.itemsize <= 2 or not array.size or (int(array.min()) >= -(1 << 15) and int(array.max()) < 1 << 15)
        for array in (matrices.a, matrices.b)
    )


def _exact(matrices: _Matrices, threads: int) -> Array:
    """The exact product modulo 2^32."""
    from lowbit.ops.gemm.gemm import gemm

    return np.asarray(
        gemm(
            matrices.a,
            matrices.b,
            a_zero_point=matrices.a_zeros,
            b_zero_point=matrices.b_zeros,
            bias=_wrapped(matrices.bias, 32).astype(np.int32),
            threads=threads,
        )
    )


def _wrapped(values: Array, width: int) -> Numbers:
    unused = 64 - width
    return (values.astype(np.int64) << unused) >> unused


def _stepwise(matrices: _Matrices, accumulator: Accumulator, narrow: bool, threads: int, counted: bool) -> _Answer:
    """Every step as it is, tile by tile of columns."""
    rows, columns = matrices.a.shape[0], matrices.b.shape[1]
    width = min(TILE, -(-max(columns, 1) // 16) * 16)
    tiles = -(-columns // width)
    # A copy, since read-only memory is another type: the kernel would be compiled once more.
    a = np.array(matrices.a, dtype=np.int16 if narrow else np.int32, order="C")
    b = _tiled(matrices.b, tiles, width, a.dtype)
    sums = a.sum(axis=1, dtype=np.int64), b.sum(axis=1, dtype=np.int64)
    by_tile = [_tiled(vector[None], tiles, width, np.int64)[:, 0] for vector in (matrices.b_zeros, matrices.bias)]
    vector = parameters(accumulator, narrow=narrow)
    out, counts, times = (np.empty((rows, tiles, width), dtype=np.int64) for _ in range(3))
    lanes = _TREE_LEVELS if accumulator.order == "pairwise" else max(accumulator.lanes, 1)
    run = _kernel(narrow, counted)

    def step(place: tuple[int, int, int, int]) -> None:
        registers = np.empty((_FIXED_ROWS + lanes, width), dtype=np.int32 if narrow else np.int64)
        scratch = (registers, np.empty((2, width), dtype=np.int64)) if counted else (registers,)
        results = (out, counts, times) if counted else (out,)
        where = np.array(place, dtype=np.int64)
        zeros = (matrices.a_zeros, sums[0], by_tile[0], sums[1])
        run(a, b, *zeros, by_tile[1], vector, where, *scratch, *results)

    if rows >= threads:
        in_chunks(lambda i, j: step((i, j, 0, tiles)), rows, threads, _share(rows, threads))
    else:
        in_chunks(lambda i, j: step((0, rows, i, j)), tiles, threads, _share(tiles, threads))
    values, overflows, first = (array.reshape(rows, -1)[:, :columns] for array in (out, counts, times))
    return _Answer(values, overflows, first) if counted else _Answer(values, None, None)


def _share(size: int, threads: int) -> int:
    """A chunk for ``in_chunks``, which runs alone what is at most two chunks."""
    return size if threads == 1 else max(1, size // (2 * threads + 1))


def _tiled(array: Array, tiles: int, width: int, dtype: Any) -> Array:
    """Columns in tiles: (tiles, rows, width), the last tile filled up with zeros."""
    padded = np.zeros((array.shape[0], tiles * width), dtype=dtype)
    padded[:, : array.shape[1]] = array
    return np.ascontiguousarray(padded.reshape(array.shape[0], tiles, width).transpose(1, 0, 2))


def _kernel(narrow: bool, counted: bool) -> Callable[..., None]:
    from lowbit.kernels.gemm.accumulate import accumulate as wide
    from lowbit.kernels.gemm.accumulate import accumulate_counted
    from lowbit.kernels.gemm.fast_accumulate import accumulate_32

    kernel: Callable[..., None] = accumulate_counted if counted else (accumulate_32 if narrow else wide)
    return kernel
