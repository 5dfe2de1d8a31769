"""The innermost part of integer GEMM: tiles of accumulators, held in registers over the whole of k.

A tile is up to ``rows`` rows by ``vectors`` registers of columns. For each group of four bytes of k, it loads the
registers of the packed right operand once and broadcasts one word of each row of the left one. The left operand needs
no packing if k is contiguous in it: any distance from row to row and from group to group will do.

Tiles of the largest size of bytes pack some of the next panel on the way. The multiplier is all that they keep busy, so
within their loop packing costs next to nothing; between two tiles it costs three quarters of what it costs alone.

Why in LLVM IR: the accumulators have to stay in registers, and the instruction has to be the one asked for. Goto and
van de Geijn, "Anatomy of High-Performance Matrix Multiplication" (ACM TOMS 34.3, 2008), describe the loops around it.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels.gemm.simd_dot import (
    BYTES_LEFT_UNSIGNED,
    BYTES_RIGHT_UNSIGNED,
    GROUP_BYTES,
    WORDS_AVX2,
    WORDS_PORTABLE,
    WORDS_VNNI,
    Dot,
)
from lowbit.kernels.gemm.simd_pack import OCTETS, store_words, whole_rows
from lowbit.kernels.lib.llvm import (
    INT1,
    INT32,
    INT64,
    broadcast,
    function,
    int64,
    lane_mask,
    load,
    masked_load,
    masked_store,
    prefetch,
)

UNROLLED = 2
"""How many groups of k a wide tile takes in one turn of its loop; 1, 4 and 8 are slower, by up to one in a hundred."""

PREFETCH_GROUPS = 6
"""How far ahead narrow tiles fetch the packed operand, in groups of k."""

PACK_AFTER = 4
"""Tiles pack after a quarter of their turns, when the results of the tile before have reached memory."""

WIDE_LANES = 16
"""From how many lanes of a register on a tile is wide: several groups of k a turn, no fetching of panels."""


class _Arguments(NamedTuple):
    """What the function of a size of tile takes, all int64 numbers; the intrinsic below says what they mean."""

    count: Any
    left: Any
    row: Any
    step: Any
    right: Any
    groups: Any
    out: Any
    out_row: Any
    row_terms: Any
    column_terms: Any
    accumulate: Any
    mask: Any
    source: Any
    source_row: Any
    flips: Any
    target: Any
    units: Any
    share: Any


class _Tile:
    """Emits the function of one size of tile."""

    def __init__(self, module: Any, dot: Dot, rows: int, vectors: int) -> None:
        self.dot, self.rows, self.vectors = dot, rows, vectors
        name = f"lowbit_tile_{dot.name}_{rows}_{vectors}"
        self.function = function(module, name, ir.VoidType(), *[INT64] * len(_Arguments._fields))
        if not self.function.blocks:
            self.function.linkage = "internal"
            self.function.attributes.add("noinline")
            self._emit()

    def _emit(self) -> None:
        self.builder = builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.given = given = _Arguments(*self.function.args)
        self.mask = lane_mask(builder, given.mask, self.dot.lanes)
        self.sums = [[cgutils.alloca_once(builder, self.dot.vector) for _ in range(self.vectors)]
                     for _ in range(self.rows)]  # fmt: skip
        self.left, self.right, self.row_terms = self._variables(given.left, given.right, given.row_terms)
        self.source, self.target, self.to_pack = self._variables(given.source, given.target, given.units)
        with cgutils.for_range(builder, given.count) as loop:
            i = builder.mul(loop.index, int64(self.rows))
            builder.store(builder.add(given.left, builder.mul(i, given.row)), self.left)
            builder.store(given.right, self.right)
            builder.store(builder.add(given.row_terms, builder.mul(i, int64(4))), self.row_terms)
            self._tile(builder.add(given.out, builder.mul(i, given.out_row)))
        builder.ret_void()

    def _variables(self, *values: Any) -> list[Any]:
        return [cgutils.alloca_once_value(self.builder, value) for value in values]

    def _tile(self, out: Any) -> None:
        builder, given, vector = self.builder, self.given, self.dot.vector
        places = [[self._place(out, i, v) for v in range(self.vectors)] for i in range(self.rows)]
        # Zeros wait for nobody; sums that begin with a term would hold up the first steps until it is loaded.
        for place in (place for row in self.sums for place in row):
            builder.store(ir.Constant(vector, [0] * vector.count), place)
        self._multiply()
        with self._unless_zero(given.row_terms):
            for i in range(self.rows):
                term = load(builder, builder.add(builder.load(self.row_terms), int64(4 * i)), INT32)
                self._add(i, [broadcast(builder, term, vector)] * self.vectors)
        with self._unless_zero(given.column_terms):
            columns = [builder.add(given.column_terms, int64(self.dot.vector_bytes * v)) for v in range(self.vectors)]
            terms = [load(builder, at, vector) for at in columns]
            for i in range(self.rows):
                self._add(i, terms)
        with self._unless_zero(given.accumulate):
            for i, row in enumerate(places):
                self._add(i, [masked_load(builder, at, vector, self._mask(v)) for v, at in enumerate(row)])
        for i in range(self.rows):
            for v in range(self.vectors):
                masked_store(builder, builder.load(self.sums[i][v]), places[i][v], self._mask(v))

    def _unless_zero(self, number: Any) -> Any:
        """A block for numbers and addresses other than 0."""
        return self.builder.if_then(self.builder.icmp_signed("!=", number, int64(0)))

    def _place(self, out: Any, i: int, v: int) -> Any:
        builder = self.builder
        row = builder.add(out, builder.mul(self.given.out_row, int64(i)))
        return builder.add(row, int64(self.dot.vector_bytes * v))

    def _mask(self, vector: int) -> Any:
        """Only the last register of a row can be partial."""
        if vector == self.vectors - 1:
            return self.mask
        return ir.Constant(ir.VectorType(INT1, self.dot.lanes), [1] * self.dot.lanes)

    def _add(self, i: int, terms: list[Any]) -> None:
        """Add a term to each register of a row."""
        for place, term in zip(self.sums[i], terms, strict=True):
            self.builder.store(self.builder.add(self.builder.load(place), term), place)

    def _multiply(self) -> None:
        """All groups of k; several in a turn where the words of a row are side by side."""
        builder, given, groups = self.builder, self.given, self.given.groups
        if self.dot.lanes >= WIDE_LANES:
            beside = builder.icmp_signed("==", given.step, int64(GROUP_BYTES))
            turns = builder.select(beside, builder.sdiv(groups, int64(UNROLLED)), int64(0))
            packs = self.dot.packs_bytes and (self.rows, self.vectors) == (self.dot.rows, self.dot.vectors)
            if packs:
                left = builder.load(self.to_pack)
                share = builder.select(builder.icmp_signed("<", left, given.share), left, given.share)
                builder.store(builder.sub(left, share), self.to_pack)
            with cgutils.for_range(builder, turns) as loop:
                if packs:
                    turn = builder.sub(loop.index, builder.sdiv(turns, int64(PACK_AFTER)))
                    with builder.if_then(builder.icmp_unsigned("<", turn, share)):
                        self._pack()
                self._turn(int64(GROUP_BYTES), UNROLLED)
            groups = builder.sub(groups, builder.mul(turns, int64(UNROLLED)))
        with cgutils.for_range(builder, groups):
            self._turn(given.step, 1)

    def _turn(self, step: Any, groups: int) -> None:
        """A number of groups of k, and on to the next."""
        builder, panel_step = self.builder, self.dot.panel_step
        left, right = builder.load(self.left), builder.load(self.right)
        for group in range(groups):
            self._group(builder.add(left, builder.mul(step, int64(group))), right, panel_step * group)
        if self.dot.lanes < WIDE_LANES:
            for line in range(0, panel_step, 64):
                prefetch(builder, builder.add(right, int64(PREFETCH_GROUPS * panel_step + line)))
        builder.store(builder.add(left, builder.mul(step, int64(groups))), self.left)
        builder.store(builder.add(right, int64(panel_step * groups)), self.right)

    def _group(self, left: Any, right: Any, at: int) -> None:
        """A word of each row times the registers of the panel."""
        builder, dot = self.builder, self.dot
        panel = [load(builder, builder.add(right, int64(at + dot.vector_bytes * v)), dot.vector)
                 for v in range(self.vectors)]  # fmt: skip
        for i in range(self.rows):
            word = load(builder, builder.add(left, builder.mul(self.given.row, int64(i))), INT32)
            spread = broadcast(builder, word, dot.vector)
            for v in range(self.vectors):
                total = dot.multiply(builder, builder.load(self.sums[i][v]), spread, panel[v])
                builder.store(total, self.sums[i][v])

    def _pack(self) -> None:
        """Four rows of the right operand, and on to the next."""
        builder, row = self.builder, self.given.source_row
        source, target = builder.load(self.source), builder.load(self.target)
        # The bits to flip come from memory, since all registers are taken.
        store_words(builder, whole_rows(builder, source, row, load(builder, self.given.flips, OCTETS)), target)
        builder.store(builder.add(source, builder.mul(row, int64(4))), self.source)
        builder.store(builder.add(target, int64(self.dot.panel_step)), self.target)


def _tiles(dot: Dot) -> Any:
    """The intrinsic that computes tiles of any size up to the largest."""

    def tiles(typing_context: Any, rows: Any, vectors: Any, count: Any, left: Any, row: Any, step: Any, right: Any,
              groups: Any, out: Any, out_row: Any, row_terms: Any, column_terms: Any, accumulate: Any, mask: Any,
              source: Any, source_row: Any, flips: Any, target: Any, units: Any, share: Any) -> Any:  # fmt: skip
        """A number of tiles, one below the other. All arguments are int64: sizes, addresses, and distances in bytes.

        ``left + i * row + g * step`` is the word of row i and group g; ``right`` is a packed panel; ``row_terms`` and
        ``column_terms`` are int32 numbers to add, or 0 if there are none; ``accumulate`` adds to what is in ``out``;
        ``mask`` has a bit for each valid column of the last register.

        Tiles of the largest size of bytes also pack units of four rows of 64 bytes from ``source`` to ``target``, a
        share each until ``units`` are done, if there are as many turns; at ``flips`` are the bits to flip in 64 bytes.
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

        return types.void(*[types.int64] * (2 + len(_Arguments._fields))), generate

    return intrinsic(tiles)


tiles_right_unsigned = _tiles(BYTES_RIGHT_UNSIGNED)
tiles_left_unsigned = _tiles(BYTES_LEFT_UNSIGNED)
tiles_words = _tiles(WORDS_VNNI)
tiles_words_avx2 = _tiles(WORDS_AVX2)
tiles_words_portable = _tiles(WORDS_PORTABLE)
