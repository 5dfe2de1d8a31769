"""What the structs of block formats are worth, without codes in between: an exception to the int64 rule.

The element of a code is looked up in a register, or it is an integer; times a factor of its block, plus an addend. Each
of these is the product of two numbers, which are looked up by the codes of scales. Products of factors are exact, and
so is that of an element where there is an addend: one step is rounded, by the processor. NaNs have no sign and no
payload.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VPERMPS.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import constants, kernel, part, routine, scalar
from lowbit.kernels.block.simd_products import NUMBERS, QUIET_NAN
from lowbit.kernels.lib.cpu import features
from lowbit.kernels.lib.llvm import INT1, INT16, INT32, INT64, broadcast, function, int64, load
from lowbit.kernels.lib.vectors import data_of, size_of
from lowbit.kernels.pack.simd_structs import (
    BITS,
    BYTE,
    JOINED,
    LANES,
    ROW,
    TERNARY,
    WORDS,
    each_run,
    masks_of,
    repeated,
)

LISTED = {BITS: 0, TERNARY: 1}
WHOLE = {BITS: 2, JOINED: 3}
"""The ways from codes to elements: looked up in a table of 16, or integers."""
FACTOR, FACTOR_ABOVE, ADDEND, ADDEND_ABOVE = range(4)
"""The fields of scales, whose numbers are multiplied in pairs; a struct has none of one that a format lacks."""
ENTRIES = 4
STRIP = 32
"""Structs whose scales are taken out at once."""
NO_ADDEND = np.float32(-0.0)
"""Which changes no number."""
OCTET, WINDOW = 8, 0xFFFF
HALF = 8


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


@intrinsic
def write_values(
    typing_context: Any,
    way: Any,
    octets: Any,
    start: Any,
    size: Any,
    rows: Any,
    masks: Any,
    table: Any,
    word: Any,
    origin: Any,
    scales: Any,
    scales_start: Any,
    scales_size: Any,
    places: Any,
    patterns: Any,
    numbers: Any,
    addends: Any,
    blocks: Any,
    out: Any,
    place: Any,
    count: Any,
) -> Any:
    """The values of some structs. An integer is what ``word`` makes of its bits, less ``origin``.

    A factor is one of ``numbers``, and an addend one from ``addends`` on: by the 16 bits at the places of the blocks in
    ``scales``, those of factors and then those of addends, that are in the two ``patterns``.
    """
    arrays = (1, 4, 5, 6, 9, 12, 13, 14, 17)
    first = (way, octets, start, size, rows, masks, table, word, origin, scales, scales_start, scales_size)
    arguments = (*first, places, patterns, numbers, addends, blocks, out, place, count)

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        pointers = [data_of(context, builder, signature.args[k], given[k]) for k in arrays]
        source, rows, masks, table, scales, places, patterns, numbers, target = pointers
        source, scales, target = (
            builder.gep(array, [given[k]]) for array, k in ((source, 2), (scales, 10), (target, 18))
        )
        blocks, bytes_of_rows = given[16], size_of(context, builder, signature.args[4], given[4])
        runs, masks = builder.udiv(bytes_of_rows, int64(ROW)), masks_of(builder, masks)
        each = builder.udiv(runs, blocks)
        entries, word = load(builder, table, NUMBERS), broadcast(builder, given[7], WORDS)
        origin = broadcast(builder, given[8], NUMBERS)
        lengths = [builder.mul(number, int64(LANES)) for number in (runs, each)]
        tops = [builder.load(builder.gep(patterns, [int64(k)])) for k in range(2)]

        def scale(struct: Any, block: Any, which: int) -> Any:
            at = builder.load(builder.gep(block, [blocks]) if which else block)
            two = builder.zext(load(builder, builder.gep(struct, [at]), INT16), INT64)
            pattern = builder.add(builder.and_(two, tops[which]), given[15] if which else int64(0))
            return broadcast(builder, builder.load(builder.gep(numbers, [pattern])), NUMBERS)

        def listed(words: Any) -> Any:
            return _looked_up(builder, entries, words)

        def whole(words: Any) -> Any:
            return builder.fsub(builder.bitcast(builder.xor(words, word), NUMBERS), origin)

        def emit(kind: int, elements: Callable[[Any], Any], together: int) -> None:
            def struct(octets: Any, scales: Any, place: Any) -> None:
                def block(row: Any, at: Any, place: Any) -> None:
                    factor, addend = (scale(scales, at, which) for which in range(2))

                    def run(codes: Any, place: Any) -> None:
                        value = builder.fadd(builder.fmul(elements(codes), factor), addend)
                        absent = builder.fcmp_unordered("uno", value, value)
                        value = builder.select(absent, broadcast(builder, QUIET_NAN, NUMBERS), value)
                        builder.store(value, builder.bitcast(place, NUMBERS.as_pointer())).align = 4

                    each_run(builder, kind, each, octets, row, masks, place, run, together)

                moving = [(rows, builder.mul(each, int64(ROW))), (places, int64(1)), (place, lengths[1])]
                repeated(builder, blocks, moving, block)

            repeated(builder, given[19], [(source, given[3]), (scales, given[11]), (target, lengths[0])], struct)

        single = builder.icmp_unsigned("==", each, int64(1))
        for ways, elements in ((LISTED, listed), (WHOLE, whole)):
            for kind, number in ways.items():
                chosen = builder.icmp_unsigned("==", given[0], int64(number))
                for together, suits in ((1, single), (2, builder.not_(single))):
                    with builder.if_then(builder.and_(chosen, suits)):
                        emit(kind, elements, together)
        return context.get_dummy_value()

    return types.none(*arguments), generate


@scalar
def window(octets, place):
    """Two bytes as a number."""
    return np.int64(octets[place]) | (np.int64(octets[place + 1]) << OCTET)


@routine
def looked_up(octets, start, size, count, field, pieces, numbers, codes, out):
    """What the scales of one field say in some structs.

    ``field``: how many of them a struct has, its first piece and the one after its last, and the place of its numbers.
    ``pieces[k]``: (code, place of 16 bits, bit there, mask, bit in the code).
    """
    each, first, last, base = field
    whole = last - first == each
    for i in range(0 if whole else count * each):
        codes[i] = 0
    for k in range(first, last):
        place, shift, mask, low = start + pieces[k, 1], pieces[k, 2], pieces[k, 3], pieces[k, 4]
        code = pieces[k, 0]
        if whole:  # one piece each
            for struct in range(count):
                out[code + struct * each] = numbers[base + (window(octets, place + struct * size) >> shift & mask)]
        else:
            for struct in range(count):
                codes[code + struct * each] |= (window(octets, place + struct * size) >> shift & mask) << low
    for i in range(0 if whole else count * each):
        out[i] = numbers[base + codes[i]]


@part
def times(numbers, blocks, count, above):
    """The numbers of the blocks of some structs times one of each struct."""
    for struct in range(count):
        for block in range(struct * blocks, (struct + 1) * blocks):
            numbers[block] *= above[struct]


@kernel
def values(octets, size, way, rows, masks, table, word, origin, places, patterns, numbers, base, out):
    """The values of structs of ``size`` bytes, at least one, whose factors and addends are single patterns.

    As ``write_values`` has it; the addends are those of ``numbers`` from ``base`` on.
    """
    write_values(
        *(way, octets, 0, size, rows, masks, table, np.int32(word), np.float32(origin), octets, 0, size),
        *(places, patterns, numbers, base, places.size // 2, out, 0, out.size // (rows.size // ROW * LANES)),
    )


@kernel
def values_of_products(octets, size, way, rows, masks, table, word, origin, fields, pieces, numbers, out):
    """The same where factors and addends are products, or patterns in pieces, as ``looked_up`` has them."""
    length, blocks = rows.size // ROW * LANES, fields[FACTOR, 0]
    most = STRIP * blocks
    codes, above = np.empty(most, np.int64), np.empty(STRIP, np.float32)
    both, order = np.full(2 * most, NO_ADDEND), np.empty(2 * most, np.uint8)
    places, patterns = np.empty(2 * blocks, np.int64), np.full(2, WINDOW)
    for i in range(most):
        order[2 * i], order[2 * i + 1] = i & BYTE, i >> OCTET
    for i in range(blocks):
        places[i] = places[i + blocks] = 2 * i
    for first in range(0, out.size // length, STRIP):
        count, start = min(STRIP, out.size // length - first), first * size
        for k, scales in ((FACTOR, both[:most]), (ADDEND, both[most:])):
            if fields[k, 0] > 0:
                field = constants(fields[k], ENTRIES)
                looked_up(octets, start, size, count, field, pieces, numbers, codes, scales)
            if fields[k + 1, 0] > 0:
                field = constants(fields[k + 1], ENTRIES)
                looked_up(octets, start, size, count, field, pieces, numbers, codes, above)
                times(scales, blocks, count, above)
        write_values(
            *(way, octets, start, size, rows, masks, table, np.int32(word), np.float32(origin)),
            *(order, 0, 2 * blocks, places, patterns, both, most, blocks, out, first * length, count),
        )
