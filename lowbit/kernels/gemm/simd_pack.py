"""Packing for integer GEMM: groups of four bytes of k, side by side for the columns of a panel.

A packed panel holds, for each group of k, one 32-bit word for every column. Rows of the matrix are interleaved where
columns lie side by side in memory, and words are transposed where k does. What is missing at the edges reads as zero.
Bytes can be flipped on the way: exclusive or with 0x80 takes a signed byte x to the unsigned byte x + 128, and back.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from lowbit.kernels.gemm.simd_dot import BYTES_RIGHT_UNSIGNED, WORDS_AVX2, WORDS_VNNI, Dot
from lowbit.kernels.lib.llvm import (
    INT8,
    INT16,
    INT32,
    broadcast,
    int64,
    lane_mask,
    load,
    masked_load,
    outlined,
    pointer,
    prefetch,
)

PREFETCH_ROWS = 16
"""How many rows ahead are asked for: each is a page of its own in a wide matrix, which no processor guesses."""

COLUMNS = 64
"""Byte columns that are interleaved at a time, one register of each of four rows."""

OCTETS = ir.VectorType(INT8, COLUMNS)


def low_bits(builder: Any, count: Any, most: int) -> Any:
    """An int64 whose lowest ``count`` bits are set, ``most`` at most; none for a count below one."""
    count = builder.select(builder.icmp_signed("<", count, int64(0)), int64(0), count)
    partial = builder.sub(builder.shl(int64(1), builder.and_(count, int64(63))), int64(1))
    every = int64(-1 if most == 64 else (1 << most) - 1)
    return builder.select(builder.icmp_signed(">=", count, int64(most)), every, partial)


def shuffled(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """The lanes of two registers that are named, those of the second counted on from the first."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(INT32, len(lanes)), lanes))


def spread_byte(builder: Any, number: Any, vector: Any) -> Any:
    """A vector of the lowest byte of a number."""
    return broadcast(builder, builder.trunc(number, INT8), vector)


def flipped(builder: Any, value: Any, flip: Any, mask: Any) -> Any:
    """The bytes with some bits flipped, under the mask; zeros elsewhere."""
    zeros = ir.Constant(value.type, [0] * value.type.count)
    return builder.select(mask, builder.xor(value, spread_byte(builder, flip, value.type)), zeros)


def _interleave_lanes(builder: Any, first: Any, second: Any, width: int, high: bool) -> Any:
    """Elements of ``width`` bytes of two registers in turn, from the low or the high half of each 128-bit lane."""
    count, per_lane = 64 // width, 16 // width
    vector = ir.VectorType(ir.IntType(8 * width), count)
    start = per_lane // 2 if high else 0
    lanes = [
        source + lane * per_lane + start + element
        for lane in range(4)
        for element in range(per_lane // 2)
        for source in (0, count)
    ]
    return shuffled(builder, builder.bitcast(first, vector), builder.bitcast(second, vector), lanes)


def whole_rows(builder: Any, source: Any, row: Any, flips: Any) -> list[Any]:
    """4 rows of 64 bytes, flipped; the rows to come are asked for.

    Where rows do not begin with a cache line, it is the second of two that nobody has read: the columns before these
    have brought the first.
    """
    loaded = []
    for i in range(4):
        value = load(builder, builder.add(source, builder.mul(row, int64(i))), OCTETS)
        ahead = builder.mul(row, int64(PREFETCH_ROWS + i))
        prefetch(builder, builder.add(builder.add(source, ahead), int64(COLUMNS - 1)))
        loaded.append(builder.xor(value, flips))
    return loaded


def partial_rows(builder: Any, source: Any, row: Any, rows: Any, columns: Any, flip: Any) -> list[Any]:
    """Up to 4 rows of up to 64 bytes, flipped, with zeros for what is missing."""
    loaded = []
    valid = low_bits(builder, columns, COLUMNS)
    for i in range(4):
        present = builder.icmp_signed("<", int64(i), rows)
        mask = lane_mask(builder, builder.select(present, valid, int64(0)), COLUMNS)
        value = masked_load(builder, builder.add(source, builder.mul(row, int64(i))), OCTETS, mask)
        loaded.append(flipped(builder, value, flip, mask))
    return loaded


def interleaved_bytes(builder: Any, rows: list[Any]) -> list[Any]:
    """Four registers of words, of 4 rows of 64 bytes."""
    # The unpacking below works within 128-bit lanes; word 4j + l goes to lane l, so that it leaves them in order.
    order = [4 * j + lane for lane in range(4) for j in range(4)]
    words = [builder.bitcast(value, ir.VectorType(INT32, COLUMNS // 4)) for value in rows]
    loaded = [shuffled(builder, value, value, order) for value in words]
    pairs = [[_interleave_lanes(builder, loaded[i], loaded[i + 1], 1, high) for high in (False, True)] for i in (0, 2)]
    return [_interleave_lanes(builder, pairs[0][v // 2], pairs[1][v // 2], 2, bool(v % 2)) for v in range(4)]


def store_words(builder: Any, rows: list[Any], target: Any) -> None:
    """4 rows of 64 bytes as 64 words."""
    for v, group in enumerate(interleaved_bytes(builder, rows)):
        builder.store(group, pointer(builder, builder.add(target, int64(64 * v)), group.type), align=1)


def _emit_interleave_bytes(
    builder: Any, source: Any, row: Any, rows: Any, columns: Any, flip: Any, target: Any
) -> None:
    """Up to 4 rows of up to 64 bytes become 64 words."""
    enough = builder.icmp_signed(">=", rows, int64(4))
    whole = builder.and_(enough, builder.icmp_signed(">=", columns, int64(COLUMNS)))
    with builder.if_else(whole) as (all_there, some_missing):
        with all_there:
            store_words(builder, whole_rows(builder, source, row, spread_byte(builder, flip, OCTETS)), target)
        with some_missing:
            store_words(builder, partial_rows(builder, source, row, rows, columns, flip), target)


interleave_bytes = outlined("interleave_bytes", _emit_interleave_bytes)


def _emit_interleave_words(dot: Dot) -> Any:
    """Up to 2 rows of elements of 16 bits, as many as a panel has columns, become words; nothing is flipped."""

    def emit(builder: Any, source: Any, row: Any, rows: Any, columns: Any, _: Any, target: Any) -> None:
        half = ir.VectorType(INT16, dot.lanes)
        pairs = [index for lane in range(dot.lanes) for index in (lane, dot.lanes + lane)]
        for v in range(dot.vectors):
            valid = low_bits(builder, builder.sub(columns, int64(v * dot.lanes)), dot.lanes)
            loaded = []
            for i in range(2):
                present = builder.icmp_signed("<", int64(i), rows)
                mask = lane_mask(builder, builder.select(present, valid, int64(0)), dot.lanes)
                at = builder.add(source, builder.add(builder.mul(row, int64(i)), int64(2 * dot.lanes * v)))
                loaded.append(masked_load(builder, at, half, mask))
            group = shuffled(builder, loaded[0], loaded[1], pairs)
            at = builder.add(target, int64(dot.vector_bytes * v))
            builder.store(group, pointer(builder, at, group.type), align=1)

    return emit


interleave_words = outlined("interleave_words", _emit_interleave_words(WORDS_VNNI))
interleave_words_half = outlined("interleave_words_half", _emit_interleave_words(WORDS_AVX2))


def _transposed(builder: Any, vectors: list[Any]) -> list[Any]:
    """A square of words, transposed: at each step, two registers exchange every other block of lanes."""
    count, vectors = len(vectors), list(vectors)
    block = 1
    while block < count:
        for i in range(count):
            if i & block:
                continue
            first, second = vectors[i], vectors[i + block]
            low = [count + j - block if j & block else j for j in range(count)]
            high = [count + j if j & block else j + block for j in range(count)]
            vectors[i] = shuffled(builder, first, second, low)
            vectors[i + block] = shuffled(builder, first, second, high)
        block *= 2
    return vectors


def _emit_transpose(dot: Dot, element: Any) -> Any:
    """Up to a register of each of its lanes' columns becomes words of a register of a panel, group after group.

    Elements of 16 bits are not flipped.
    """

    def emit(builder: Any, source: Any, column: Any, columns: Any, octets: Any, flip: Any, target: Any) -> None:
        size = element.width // 8
        count = dot.vector_bytes // size
        valid = low_bits(builder, builder.sdiv(octets, int64(size)), count)
        loaded = []
        for j in range(dot.lanes):
            present = builder.icmp_signed("<", int64(j), columns)
            mask = lane_mask(builder, builder.select(present, valid, int64(0)), count)
            at = builder.add(source, builder.mul(column, int64(j)))
            value = masked_load(builder, at, ir.VectorType(element, count), mask)
            if element == INT8:
                value = flipped(builder, value, flip, mask)
            loaded.append(builder.bitcast(value, dot.vector))
        groups = builder.sdiv(builder.add(octets, int64(3)), int64(4))
        for g, value in enumerate(_transposed(builder, loaded)):
            # Behind the last group the next panel begins.
            with builder.if_then(builder.icmp_signed("<", int64(g), groups)):
                at = builder.add(target, int64(dot.panel_step * g))
                builder.store(value, pointer(builder, at, dot.vector), align=1)

    return emit


transpose_bytes = outlined("transpose_bytes", _emit_transpose(BYTES_RIGHT_UNSIGNED, INT8))
transpose_words = outlined("transpose_words", _emit_transpose(WORDS_VNNI, INT16))
transpose_words_half = outlined("transpose_words_half", _emit_transpose(WORDS_AVX2, INT16))


def _emit_copy(vector_bytes: int, element: Any) -> Any:
    """Copy elements, filled up with zeros to the next whole register; those of 16 bits are not flipped."""
    size = element.width // 8
    count = vector_bytes // size
    vector = ir.VectorType(element, count)

    def emit(builder: Any, source: Any, octets: Any, flip: Any, target: Any) -> None:
        blocks = builder.sdiv(builder.add(octets, int64(vector_bytes - 1)), int64(vector_bytes))
        with cgutils.for_range(builder, blocks) as loop:
            at = builder.mul(loop.index, int64(vector_bytes))
            valid = low_bits(builder, builder.sdiv(builder.sub(octets, at), int64(size)), count)
            mask = lane_mask(builder, valid, count)
            value = masked_load(builder, builder.add(source, at), vector, mask)
            if element == INT8:
                value = flipped(builder, value, flip, mask)
            builder.store(value, pointer(builder, builder.add(target, at), vector), align=1)

    return emit


copy_bytes = outlined("copy_bytes", _emit_copy(64, INT8))
copy_words = outlined("copy_words", _emit_copy(64, INT16))
copy_words_half = outlined("copy_words_half", _emit_copy(32, INT16))
