"""What the structs of block formats are worth, without codes in between: an exception to the int64 rule.

The element of a code is looked up in a register, or it is an integer; times a factor of its block, plus an addend. A
factor is a number that is looked up by one or two bytes, or such a number times an integer. Products of factors are
exact, and so is that of an element where there is an addend: one step is rounded, by the processor. NaNs have no sign
and no payload.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VPERMPS.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.block.simd_products import NUMBERS, QUIET_NAN
from lowbit.kernels.lib.cpu import features
from lowbit.kernels.lib.llvm import INT1, INT16, INT32, INT64, broadcast, function, int64, load
from lowbit.kernels.lib.vectors import data_of, size_of
from lowbit.kernels.pack.simd_structs import (
    BITS,
    JOINED,
    LANES,
    ROW,
    TERNARY,
    WORDS,
    codes_at,
    each_run,
    masks_at,
    repeated,
    row_at,
)

LISTED, WHOLE = {BITS: 0, TERNARY: 1}, {BITS: 2, JOINED: 3}
"""The ways from codes to elements: looked up in a table of 16, or integers."""
LOOKED_UP, PLAIN, FACTORS, BOTH = range(4)
"""Factors are looked up, or there is one in binary32, or they are integers times one number, and addends as well."""
HALF = 8
NO_ADDEND = -0.0
"""Which changes no number."""


def _looked_up(builder: Any, table: Any, words: Any) -> Any:
    """Entries of a table of 16 numbers by the low four bits of each lane."""
    if "avx512f" in features():
        callee = function(builder.module, "llvm.x86.avx512.permvar.sf.512", NUMBERS, NUMBERS, WORDS)
        return builder.call(callee, [table, words])
    half, lanes = ir.VectorType(ir.FloatType(), HALF), ir.VectorType(INT32, HALF)
    callee = function(builder.module, "llvm.x86.avx2.permps", half, half, lanes)

    def part_of(vector: Any, first: int, count: int = HALF) -> Any:
        order = ir.Constant(ir.VectorType(INT32, count), list(range(first, first + count)))
        return builder.shuffle_vector(vector, vector, order)

    lower, upper = part_of(table, 0), part_of(table, HALF)
    results = []
    for index in (part_of(words, 0), part_of(words, HALF)):
        beyond = builder.trunc(builder.lshr(index, ir.Constant(lanes, [3] * HALF)), ir.VectorType(INT1, HALF))
        results.append(
            builder.select(beyond, builder.call(callee, [upper, index]), builder.call(callee, [lower, index]))
        )
    order = ir.Constant(ir.VectorType(INT32, LANES), list(range(LANES)))
    return builder.shuffle_vector(*results, order)


class Way(NamedTuple):
    """Whether this is the way, the kind of the codes, their masks, and what makes elements of them."""

    chosen: Any
    kind: int
    masks: list[Any]
    elements: Callable[[Any], Any]


def _ways(builder: Any, way: Any, rows: Any, table: Any, word: Any, origin: Any) -> list[Way]:
    """All ways; a look-up takes the low four bits, and its table repeats the entries of shorter codes."""
    entries = load(builder, table, NUMBERS)
    word, origin = broadcast(builder, word, WORDS), broadcast(builder, origin, NUMBERS)

    def listed(codes: Any) -> Any:
        return _looked_up(builder, entries, codes)

    def whole(codes: Any) -> Any:
        return _integers(builder, codes, word, origin)

    return [
        Way(builder.icmp_unsigned("==", way, int64(number)), kind, masks, elements)
        for ways, masks, elements in ((LISTED, [None, None], listed), (WHOLE, masks_at(builder, rows), whole))
        for kind, number in ways.items()
    ]


def _integers(builder: Any, codes: Any, word: Any, origin: Any) -> Any:
    """With the bits of 2^23 in front, a word is so many more, and a difference of these is exact."""
    return builder.fsub(builder.bitcast(builder.xor(codes, word), NUMBERS), origin)


def _number(builder: Any, struct: Any, place: Any, mask: Any, numbers: Any) -> Any:
    """The number of one or two bytes of a struct."""
    pattern = builder.and_(builder.zext(load(builder, builder.gep(struct, [place]), INT16), INT64), mask)
    return builder.load(builder.gep(numbers, [pattern]))


def _store(builder: Any, element: Any, factor: Any, addend: Any, place: Any) -> None:
    """An element times its factor, and perhaps plus an addend, with the one NaN."""
    value = builder.fmul(element, factor)
    value = value if addend is None else builder.fadd(value, addend)
    absent = builder.fcmp_unordered("uno", value, value)
    value = builder.select(absent, broadcast(builder, QUIET_NAN, NUMBERS), value)
    builder.store(value, builder.bitcast(place, NUMBERS.as_pointer())).align = 4


@intrinsic
def write_pairs(
    typing_context: Any,
    octets: Any,
    size: Any,
    way: Any,
    rows: Any,
    table: Any,
    word: Any,
    origin: Any,
    places: Any,
    mask: Any,
    numbers: Any,
    out: Any,
    count: Any,
) -> Any:
    """The values of structs of 32, whose rows of the table of runs stay in registers."""
    arguments = (octets, size, way, rows, table, word, origin, places, mask, numbers, out, count)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        arrays = (0, 3, 4, 7, 9, 10)
        source, rows, table, places, numbers, target = (
            data_of(context, builder, signature.args[k], given[k]) for k in arrays
        )
        fields = size_of(context, builder, signature.args[7], given[7])

        def emit(way: Way, scales: int) -> None:
            pair = [row_at(builder, builder.gep(rows, [int64(k * ROW)]), way.kind, way.masks) for k in range(2)]
            starts = [builder.load(builder.gep(places, [int64(k)])) for k in range(scales)]

            def struct(octets: Any, place: Any) -> None:
                found = [broadcast(builder, _number(builder, octets, at, given[8], numbers), NUMBERS) for at in starts]
                for k, row in enumerate(pair):
                    element, to = (
                        way.elements(codes_at(builder, way.kind, row, octets)),
                        builder.gep(place, [int64(k * LANES)]),
                    )
                    _store(builder, element, found[0], found[1] if scales == 2 else None, to)

            repeated(builder, given[11], [(source, given[1]), (target, int64(2 * LANES))], struct)

        for each in _ways(builder, given[2], rows, table, given[5], given[6]):
            for scales in () if each.kind == TERNARY else (1, 2):
                alike = builder.icmp_unsigned("==", fields, int64(scales))
                with builder.if_then(builder.and_(each.chosen, alike)):
                    emit(each, scales)
        return context.get_dummy_value()

    return types.none(*arguments), generate


@kernel
def values_of_pairs(octets, size, way, rows, table, word, origin, places, mask, numbers, out):
    """The values of structs of 32, at least one, of ``size`` bytes, two runs each.

    Elements are entries of ``table``, or integers: what ``word`` makes of their bits, less ``origin``. The factor, and
    the addend if there is one, are those of ``numbers`` by the 16 bits at ``places`` that are in ``mask``.
    """
    write_pairs(
        *(octets, size, way, rows, table, np.int32(word), np.float32(origin), places, mask, numbers, out),
        out.size // (2 * LANES),
    )


class Scales(NamedTuple):
    """The arguments of ``values_of_blocks`` that say what scales are."""

    kind: Any
    places: Any
    mask: Any
    numbers: Any
    rows: Any
    words: Any
    origins: Any
    sign: Any
    blocks: Any


def _write_scales(builder: Any, struct: Any, scales: Scales, halves: list[Any]) -> None:
    """The factors of a struct, and the addends if it has any."""

    def when(kind: int) -> Any:
        return builder.if_then(builder.icmp_unsigned("==", scales.kind, int64(kind)))

    def number(place: Any) -> Any:
        return _number(builder, struct, builder.load(place), scales.mask, scales.numbers)

    def products(which: int) -> None:
        pointer = builder.gep(scales.rows, [int64(which * ROW)])
        row = row_at(builder, pointer, JOINED, masks_at(builder, pointer))
        word, origin = (builder.load(builder.gep(array, [int64(which)])) for array in (scales.words, scales.origins))
        wide = broadcast(builder, builder.trunc(word, INT32), WORDS), broadcast(builder, origin, NUMBERS)
        integers = _integers(builder, codes_at(builder, JOINED, row, struct), *wide)
        above = number(builder.gep(scales.places, [int64(which)]))
        above = builder.fmul(above, scales.sign) if which else above
        product = builder.fmul(integers, broadcast(builder, above, NUMBERS))
        builder.store(product, builder.bitcast(halves[which], NUMBERS.as_pointer())).align = 4

    with when(LOOKED_UP):
        steps = [(scales.places, int64(1)), (halves[0], int64(1))]
        repeated(builder, scales.blocks, steps, lambda place, to: builder.store(number(place), to))
    with when(PLAIN):
        place = builder.gep(struct, [builder.load(scales.places)])
        builder.store(load(builder, place, ir.FloatType()), halves[0])
    with builder.if_then(builder.icmp_unsigned(">=", scales.kind, int64(FACTORS))):
        products(0)
    with when(BOTH):
        products(1)


@intrinsic
def write_blocks(
    typing_context: Any,
    octets: Any,
    size: Any,
    way: Any,
    rows: Any,
    table: Any,
    word: Any,
    origin: Any,
    places: Any,
    mask: Any,
    numbers: Any,
    scales: Any,
    scale_rows: Any,
    scale_words: Any,
    scale_origins: Any,
    sign: Any,
    blocks: Any,
    out: Any,
    count: Any,
) -> Any:
    """The values of structs of several blocks, or longer ones."""
    arguments = (octets, size, way, rows, table, word, origin, places, mask, numbers)
    arguments_of_scales = (scales, scale_rows, scale_words, scale_origins, sign, blocks, out, count)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        arrays = (0, 3, 4, 7, 9, 11, 12, 13, 16)
        source, rows, table, places, numbers, integers, words, origins, target = (
            data_of(context, builder, signature.args[k], given[k]) for k in arrays
        )
        size, blocks = given[1], given[15]
        scales = Scales(given[10], places, given[8], numbers, integers, words, origins, given[14], blocks)
        runs = builder.udiv(size_of(context, builder, signature.args[3], given[3]), int64(ROW))
        each = builder.udiv(runs, blocks)
        ways = _ways(builder, given[2], rows, table, given[5], given[6])
        single = builder.icmp_unsigned("==", each, int64(1))
        found = cgutils.alloca_once(builder, ir.FloatType(), size=2 * LANES)
        halves = [builder.gep(found, [int64(k * LANES)]) for k in range(2)]
        nothing = ir.Constant(NUMBERS, [NO_ADDEND] * LANES)
        builder.store(nothing, builder.bitcast(halves[1], NUMBERS.as_pointer())).align = 4

        def emit(way: Way, octets: Any, place: Any, together: int) -> None:
            def block(row: Any, number: Any, place: Any) -> None:
                pair = [
                    broadcast(builder, builder.load(one), NUMBERS)
                    for one in (number, builder.gep(number, [int64(LANES)]))
                ]

                def run(codes: Any, place: Any) -> None:
                    _store(builder, way.elements(codes), pair[0], pair[1], place)

                each_run(builder, way.kind, each, octets, row, way.masks, place, run, together)

            steps = [(rows, builder.mul(each, int64(ROW))), (found, int64(1)), (place, builder.mul(each, int64(LANES)))]
            repeated(builder, blocks, steps, block)

        def struct(octets: Any, place: Any) -> None:
            _write_scales(builder, octets, scales, halves)
            for one in ways:
                for together, suits in ((1, single), (2, builder.not_(single))):
                    with builder.if_then(builder.and_(one.chosen, suits)):
                        emit(one, octets, place, together)

        repeated(builder, given[17], [(source, size), (target, builder.mul(runs, int64(LANES)))], struct)
        return context.get_dummy_value()

    return types.none(*arguments, *arguments_of_scales), generate


@kernel
def values_of_blocks(
    octets,
    size,
    way,
    rows,
    table,
    word,
    origin,
    places,
    mask,
    numbers,
    scales,
    scale_rows,
    scale_words,
    scale_origins,
    sign,
    blocks,
    out,
):
    """The values of structs of at most 16 blocks of one run each, or an even number; elements as above.

    ``scales`` says where factors come from. They are looked up, one for each block, as above. Or the first of
    ``scale_rows``, words and origins make integers, and the number at the first of ``places`` multiplies them; the
    second ones make addends, and their number is multiplied by ``sign`` before.
    """
    write_blocks(
        *(
            octets,
            size,
            way,
            rows,
            table,
            np.int32(word),
            np.float32(origin),
            places,
            mask,
            numbers,
            scales,
            scale_rows,
        ),
        *(scale_words, scale_origins, np.float32(sign), blocks, out, out.size // (rows.size // ROW * LANES)),
    )
