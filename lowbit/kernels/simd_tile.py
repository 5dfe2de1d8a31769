"""The innermost part of integer GEMM: one tile of accumulators, held in registers over the whole of k.

A tile is up to ``rows`` rows by ``vectors`` registers of columns. For each group of four bytes of k, it loads the
registers of the packed right operand once and broadcasts one word of each row of the left one. The left operand needs
no packing if k is contiguous in it: any distance from row to row and from group to group will do.

Why in LLVM IR: the accumulators have to stay in registers, and the instruction has to be the one asked for. Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34.3, 2008), describe the loops around it.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels.simd_dot import (
    BYTES_LEFT_UNSIGNED,
    BYTES_RIGHT_UNSIGNED,
    INT1,
    INT8,
    INT32,
    INT64,
    WORDS_AVX2,
    WORDS_PORTABLE,
    WORDS_VNNI,
    Dot,
    function,
)

PREFETCH_BYTES = 128
"""How far ahead wide tiles fetch the rows of the left operand into the first-level cache."""

PREFETCH_ROWS = 8
"""How many rows take turns in that, one in each group of k: a power of two that no tile exceeds, and at most the 16
groups that share a cache line."""

PREFETCH_GROUPS = 6
"""How far ahead narrow tiles fetch the packed operand instead, in groups of k."""

WIDE_LANES = 16
"""From how many lanes of a register on a tile is wide: its loop is long enough to hide the address of a row."""


def int64(number: int) -> Any:
    """A constant of LLVM."""
    return ir.Constant(INT64, number)


def pointer(builder: Any, address: Any, to: Any) -> Any:
    """An address as a pointer to a type."""
    return builder.inttoptr(address, to.as_pointer())


def load(builder: Any, address: Any, to: Any) -> Any:
    """Load from an address of any alignment."""
    return builder.load(pointer(builder, address, to), align=1)


def broadcast(builder: Any, word: Any, vector: Any) -> Any:
    """A vector of one word."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, word, ir.Constant(INT32, 0))
    lanes = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def masked_load(builder: Any, address: Any, vector: Any, mask: Any) -> Any:
    """Load the lanes under the mask, zeros elsewhere."""
    lane_bits = vector.element.width
    of_lanes = ir.VectorType(INT1, vector.count)
    name = f"llvm.masked.load.v{vector.count}i{lane_bits}.p0"
    callee = function(builder.module, name, vector, vector.as_pointer(), INT32, of_lanes, vector)
    zeros = ir.Constant(vector, [0] * vector.count)
    return builder.call(callee, [pointer(builder, address, vector), ir.Constant(INT32, 1), mask, zeros])


def masked_store(builder: Any, value: Any, address: Any, mask: Any) -> None:
    """Store the lanes under the mask."""
    vector = value.type
    of_lanes = ir.VectorType(INT1, vector.count)
    name = f"llvm.masked.store.v{vector.count}i{vector.element.width}.p0"
    callee = function(builder.module, name, ir.VoidType(), vector, vector.as_pointer(), INT32, of_lanes)
    builder.call(callee, [value, pointer(builder, address, vector), ir.Constant(INT32, 1), mask])


def prefetch(builder: Any, address: Any, *, write: bool = False) -> None:
    """Ask for a cache line, to be read or to be written, in all levels; no address can fault."""
    callee = function(builder.module, "llvm.prefetch.p0", ir.VoidType(), INT8.as_pointer(), INT32, INT32, INT32)
    purpose, everywhere, data = (ir.Constant(INT32, number) for number in (int(write), 3, 1))
    builder.call(callee, [pointer(builder, address, INT8), purpose, everywhere, data])


def lane_mask(builder: Any, bits: Any, lanes: int) -> Any:
    """The low bits of an int64 as a mask of lanes."""
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(INT1, lanes))


class _Tile:
    """Emits the function of one size of tile."""

    def __init__(self, module: Any, dot: Dot, rows: int, vectors: int) -> None:
        self.dot, self.rows, self.vectors = dot, rows, vectors
        name = f"lowbit_tile_{dot.name}_{rows}_{vectors}"
        self.function = function(module, name, ir.VoidType(), *[INT64] * 11)
        if not self.function.blocks:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
            self._emit()

    def _emit(self) -> None:
        builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.builder = builder
        left, row, step, right, groups, out, out_row, row_terms, column_terms, accumulate, mask = self.function.args
        self.left, self.row = left, row
        self.mask = lane_mask(builder, mask, self.dot.lanes)
        self.places = [[self._place(out, out_row, i, v) for v in range(self.vectors)] for i in range(self.rows)]
        self.sums = [
            [cgutils.alloca_once(builder, self.dot.vector) for _ in range(self.vectors)] for _ in range(self.rows)
        ]
        self._start(row_terms, column_terms, accumulate)
        if self.dot.lanes >= WIDE_LANES:
            for place in (place for places in self.places for place in places):
                prefetch(builder, place, write=True)
        self._multiply(left, row, step, right, groups)
        for i in range(self.rows):
            for v in range(self.vectors):
                masked_store(builder, builder.load(self.sums[i][v]), self.places[i][v], self._mask(v))
        builder.ret_void()

    def _place(self, out: Any, out_row: Any, i: int, v: int) -> Any:
        builder = self.builder
        at_row = builder.add(out, builder.mul(out_row, int64(i)))
        return builder.add(at_row, int64(self.dot.vector_bytes * v))

    def _mask(self, vector: int) -> Any:
        """Only the last register of a row can be partial."""
        if vector == self.vectors - 1:
            return self.mask
        return ir.Constant(ir.VectorType(INT1, self.dot.lanes), [1] * self.dot.lanes)

    def _start(self, row_terms: Any, column_terms: Any, accumulate: Any) -> None:
        """The sums begin with the row's and the column's term, and with what is in ``out`` if that is asked for."""
        builder, vector = self.builder, self.dot.vector
        columns = [load(builder, builder.add(column_terms, int64(self.dot.vector_bytes * v)), vector)
                   for v in range(self.vectors)]  # fmt: skip
        for i in range(self.rows):
            term = load(builder, builder.add(row_terms, int64(4 * i)), INT32)
            row = broadcast(builder, term, vector)
            for v in range(self.vectors):
                builder.store(builder.add(row, columns[v]), self.sums[i][v])
        with builder.if_then(builder.icmp_signed("!=", accumulate, int64(0))):
            for i in range(self.rows):
                for v in range(self.vectors):
                    before = masked_load(builder, self.places[i][v], vector, self._mask(v))
                    builder.store(builder.add(builder.load(self.sums[i][v]), before), self.sums[i][v])

    def _multiply(self, left: Any, row: Any, step: Any, right: Any, groups: Any) -> None:
        builder, dot = self.builder, self.dot
        left_at, right_at = cgutils.alloca_once_value(builder, left), cgutils.alloca_once_value(builder, right)
        with cgutils.for_range(builder, groups) as loop:
            left_now, right_now = builder.load(left_at), builder.load(right_at)
            panel = [load(builder, builder.add(right_now, int64(dot.vector_bytes * v)), dot.vector)
                     for v in range(self.vectors)]  # fmt: skip
            self._prefetch_operand(loop.index, left_now, row, right_now)
            for i in range(self.rows):
                word = load(builder, builder.add(left_now, builder.mul(row, int64(i))), INT32)
                spread = broadcast(builder, word, dot.vector)
                for v in range(self.vectors):
                    total = dot.multiply(builder, builder.load(self.sums[i][v]), spread, panel[v])
                    builder.store(total, self.sums[i][v])
            builder.store(builder.add(left_now, step), left_at)
            builder.store(builder.add(right_now, int64(dot.panel_step)), right_at)

    def _prefetch_operand(self, group: Any, left: Any, row: Any, right: Any) -> None:
        """The panels pass through the first-level cache and drive the rows of the left operand out."""
        builder, step = self.builder, self.dot.panel_step
        if self.dot.lanes >= WIDE_LANES:
            turn = builder.mul(builder.and_(group, int64(PREFETCH_ROWS - 1)), row)
            prefetch(builder, builder.add(builder.add(left, turn), int64(PREFETCH_BYTES)))
            return
        for line in range(0, step, 64):
            prefetch(builder, builder.add(right, int64(PREFETCH_GROUPS * step + line)))


def _tile(dot: Dot) -> Any:
    """The intrinsic that computes a tile of any size up to the largest."""

    def tile(typing_context: Any, rows: Any, vectors: Any, left: Any, row: Any, step: Any, right: Any, groups: Any,
             out: Any, out_row: Any, row_terms: Any, column_terms: Any, accumulate: Any, mask: Any) -> Any:  # fmt: skip
        """One tile. All arguments are int64: sizes, addresses, and distances in bytes.

        ``left + i * row + g * step`` is the word of row i and group g; ``right`` is a packed panel; ``row_terms`` and
        ``column_terms`` are int32 numbers to add; ``mask`` has a bit for each valid column of the last register.
        """

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            done = builder.append_basic_block("tile_done")
            size = builder.add(builder.mul(arguments[0], int64(dot.vectors + 1)), arguments[1])
            choice = builder.switch(size, done)
            for i in range(1, dot.rows + 1):
                for v in range(1, dot.vectors + 1):
                    block = builder.append_basic_block("tile")
                    choice.add_case(int64(i * (dot.vectors + 1) + v), block)
                    builder.position_at_end(block)
                    builder.call(_Tile(builder.module, dot, i, v).function, arguments[2:])
                    builder.branch(done)
            builder.position_at_end(done)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 13), generate

    return intrinsic(tile)


tile_right_unsigned = _tile(BYTES_RIGHT_UNSIGNED)
tile_left_unsigned = _tile(BYTES_LEFT_UNSIGNED)
tile_words = _tile(WORDS_VNNI)
tile_words_avx2 = _tile(WORDS_AVX2)
tile_words_portable = _tile(WORDS_PORTABLE)
