"""One row times a matrix of bytes, by ``vpdpbusd``: the matrix is read once, from memory to registers.

Packing pays only if several rows meet what was packed. Here rows of the matrix are interleaved in registers and meet
the sums of their columns, which stay in the first-level cache; where k is contiguous, columns are read as they lie.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.gemm.simd_dot import BYTES_LEFT_UNSIGNED, BYTES_RIGHT_UNSIGNED, Dot
from lowbit.kernels.gemm.simd_operands import LEFT, ROW_TERMS, address
from lowbit.kernels.gemm.simd_pack import (
    COLUMNS,
    PREFETCH_ROWS,
    copy_bytes,
    flipped,
    interleaved_bytes,
    low_bits,
    partial_rows,
    spread_byte,
)
from lowbit.kernels.gemm.simd_sums import SUMS_LEFT_UNSIGNED, SUMS_RIGHT_UNSIGNED
from lowbit.kernels.lib.llvm import (
    INT8,
    INT32,
    broadcast,
    int64,
    lane_mask,
    load,
    masked_load,
    masked_store,
    outlined,
    pointer,
    prefetch,
    total,
)

ROWS = 4
"""Rows of the matrix that meet the sums of 64 columns while these are in registers; more are more streams of memory."""

SUMS = 4
"""Registers of sums of a column with k contiguous."""

PREFETCH_BYTES = 1024
"""How far ahead such a column is asked for."""

BLOCK_COLUMNS = 4096
"""Columns whose sums stay in the first-level cache."""


def _emit_rows(dot: Dot) -> Any:
    """Add the products of up to 4 rows to up to 64 sums."""

    def emit(builder: Any, left: Any, source: Any, row: Any, rows: Any, columns: Any, flip: Any, out: Any) -> None:
        masks = [
            lane_mask(builder, low_bits(builder, builder.sub(columns, int64(v * dot.lanes)), dot.lanes), dot.lanes)
            for v in range(dot.vectors)
        ]
        places = [builder.add(out, int64(dot.vector_bytes * v)) for v in range(dot.vectors)]
        sums = [masked_load(builder, places[v], dot.vector, masks[v]) for v in range(dot.vectors)]
        for top in range(0, ROWS, 4):
            at = builder.add(source, builder.mul(row, int64(top)))
            loaded = partial_rows(builder, at, row, builder.sub(rows, int64(top)), columns, flip)
            for i in range(4):
                prefetch(builder, builder.add(at, builder.mul(row, int64(PREFETCH_ROWS + i))))
            words = interleaved_bytes(builder, loaded)
            spread = broadcast(builder, load(builder, builder.add(left, int64(top)), INT32), dot.vector)
            for v, word in enumerate(words):
                sums[v] = dot.multiply(builder, sums[v], spread, builder.bitcast(word, dot.vector))
        for v in range(dot.vectors):
            masked_store(builder, sums[v], places[v], masks[v])

    return emit


def _emit_column(dot: Dot) -> Any:
    """A column with k contiguous, all of k; ``left`` is padded with zeros to whole registers.

    Columns are read one after the other, as one stream where they are contiguous; several sums hide the latency.
    """

    def emit(builder: Any, left: Any, source: Any, k: Any, flip: Any, out: Any) -> None:
        octets, zeros = ir.VectorType(INT8, COLUMNS), ir.Constant(dot.vector, [0] * dot.lanes)
        sums = [cgutils.alloca_once_value(builder, zeros) for _ in range(SUMS)]
        flips = spread_byte(builder, flip, octets)

        def step(at: Any, value: Any, lane_sums: Any) -> None:
            word, factor = builder.bitcast(value, dot.vector), load(builder, builder.add(left, at), dot.vector)
            builder.store(dot.multiply(builder, builder.load(lane_sums), factor, word), lane_sums)

        together = SUMS * COLUMNS
        whole = builder.sdiv(k, int64(together))
        with cgutils.for_range(builder, whole) as loop:
            for index, lane_sums in enumerate(sums):
                at = builder.add(builder.mul(loop.index, int64(together)), int64(index * COLUMNS))
                place = builder.add(source, at)
                prefetch(builder, builder.add(place, int64(PREFETCH_BYTES)))
                step(at, builder.xor(load(builder, place, octets), flips), lane_sums)
        done = builder.mul(whole, int64(together))
        for index, lane_sums in enumerate(sums):
            at = builder.add(done, int64(index * COLUMNS))
            mask = lane_mask(builder, low_bits(builder, builder.sub(k, at), COLUMNS), COLUMNS)
            with builder.if_then(builder.icmp_signed("<", at, k)):
                step(
                    at,
                    flipped(builder, masked_load(builder, builder.add(source, at), octets, mask), flip, mask),
                    lane_sums,
                )
        lanes = builder.load(sums[0])
        for place in sums[1:]:
            lanes = builder.add(lanes, builder.load(place))
        place = pointer(builder, out, INT32)
        builder.store(builder.add(builder.load(place, align=1), total(builder, lanes)), place, align=1)

    return emit


def _rows(dot: Dot) -> Any:
    return outlined(f"gemv_rows_{dot.name}", _emit_rows(dot))


def _column(dot: Dot) -> Any:
    return outlined(f"gemv_column_{dot.name}", _emit_column(dot))


rows_right_unsigned, column_right_unsigned = _rows(BYTES_RIGHT_UNSIGNED), _column(BYTES_RIGHT_UNSIGNED)
rows_left_unsigned, column_left_unsigned = _rows(BYTES_LEFT_UNSIGNED), _column(BYTES_LEFT_UNSIGNED)
row_sum_right_unsigned, row_sum_left_unsigned = SUMS_RIGHT_UNSIGNED[0], SUMS_LEFT_UNSIGNED[0]


@scalar
def multiply_row(kit, a, b, c, bias, scratch, b_zero, b_flip):
    """``a`` (1, k) with k contiguous times ``b`` (k, n); zero points only of b, as the instruction reads it."""
    rows_times, column_times, row_sum = kit
    k, n = b.shape
    row, column = b.strides
    base = address(scratch)
    left, b_at, c_at = base + 4 * LEFT, address(b), address(c)
    copy_bytes(address(a), k, 0, left)
    row_sum(left, (k + 3) // 4, base + 4 * ROW_TERMS)
    term = np.int32(-b_zero * scratch[ROW_TERMS])
    for j in range(n):
        c[0, j] = term
    if bias.size > 0:
        for j in range(n):
            c[0, j] = np.int32(c[0, j] + bias[j])
    if column != 1:
        for j in range(n):
            column_times(left, b_at + j * column, k, b_flip, c_at + 4 * j)
        return
    for first in range(0, n, BLOCK_COLUMNS):
        stop = min(first + BLOCK_COLUMNS, n)
        for x in range(0, k, ROWS):
            for j in range(first, stop, COLUMNS):
                rows_times(left + x, b_at + x * row + j, row, k - x, stop - j, b_flip, c_at + 4 * j)


@kernel
def gemv_right_unsigned(a, b, c, bias, scratch, b_zero, b_flip):
    """A signed row times unsigned bytes, as they are after flipping."""
    kit = (rows_right_unsigned, column_right_unsigned, row_sum_right_unsigned)
    multiply_row(kit, a, b, c, bias, scratch, b_zero, b_flip)


@kernel
def gemv_left_unsigned(a, b, c, bias, scratch, b_zero, b_flip):
    """An unsigned row times signed bytes, as they are after flipping."""
    kit = (rows_left_unsigned, column_left_unsigned, row_sum_left_unsigned)
    multiply_row(kit, a, b, c, bias, scratch, b_zero, b_flip)
