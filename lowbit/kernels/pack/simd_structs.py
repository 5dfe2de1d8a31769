"""Codes in the structs of block formats, sixteen at a time, in vector registers.

A run is sixteen codes that follow one another. A code has at most two digits: some bits of a byte, or a digit to the
base of three. For each run and digit a table says where sixteen bytes are loaded, which of them has the digit of each
code, and where in it the digit is.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, PSHUFB; the other instructions are
LLVM's own. ``lowbit/ops/pack/structs.py`` has the plain formula.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.llvm import INT1, INT8, INT16, INT32, INT64, broadcast, function, int64, load
from lowbit.kernels.lib.vectors import data_of

LANES, DIGITS = 16, 2
BITS, JOINED, TERNARY = range(3)
"""What a code is: some bits of a byte, some of two bytes, a digit to the base of three."""
AMOUNTS, MASKS, INDEX, STARTS, ROW = 0, 128, 256, 288, 320
"""Bytes of a row of the table of runs: of each digit the rotations of lanes to the right, or their powers of three, and
their bits after that, as int32; the byte that each takes of those that are loaded; where these are, as int64."""
WORDS_BYTES, STARTS_BYTES = 64, 8
BASE, BYTE_BITS, BYTE = 3, 8, 255
STRIP = 2048
"""Codes that are packed piece by piece: they stay in the nearest cache."""

OCTETS, WORDS, FLAGS = (ir.VectorType(kind, LANES) for kind in (INT8, INT32, INT1))


def splat(number: int) -> Any:
    """A number in all lanes."""
    return ir.Constant(WORDS, [number] * LANES)


def repeated(builder: Any, count: Any, steps: list[tuple[Any, Any]], body: Callable[..., None]) -> None:
    """``body(*pointers)`` at least once; ``steps``: the first pointers, and how far each of them moves."""
    before, loop, after = builder.block, *(builder.append_basic_block(name) for name in ("loop", "after"))
    last, step = steps[-1]
    end = builder.gep(last, [builder.mul(count, step)])
    builder.branch(loop)
    builder.position_at_end(loop)
    pointers = [builder.phi(first.type) for first, _ in steps]
    body(*pointers)
    following = [builder.gep(pointer, [step]) for pointer, (_, step) in zip(pointers, steps, strict=True)]
    for pointer, (first, _), new in zip(pointers, steps, following, strict=True):
        pointer.add_incoming(first, before)
        pointer.add_incoming(new, builder.block)
    builder.cbranch(builder.icmp_unsigned("!=", following[-1], end), loop, after)
    builder.position_at_end(after)


class Row(NamedTuple):
    """What a row of the table of runs says of one digit; without a mask, bits beyond those of a code may be set."""

    start: Any
    order: Any
    amount: Any
    mask: Any


def row_at(builder: Any, pointer: Any, kind: int, masks: list[Any]) -> list[Row]:
    """A row of the table of runs, a digit at a time, with the masks of its digits."""

    def entry(offset: int, each: int, digit: int, to: Any) -> Any:
        return load(builder, builder.gep(pointer, [int64(offset + digit * each)]), to)

    return [
        Row(
            entry(STARTS, STARTS_BYTES, digit, INT64),
            entry(INDEX, LANES, digit, OCTETS),
            entry(AMOUNTS, WORDS_BYTES, digit, WORDS),
            masks[digit],
        )
        for digit in range(DIGITS if kind == JOINED else 1)
    ]


def masks_at(builder: Any, pointer: Any) -> list[Any]:
    """The masks of both digits of a row, which all runs of elements have."""
    return [load(builder, builder.gep(pointer, [int64(MASKS + digit * WORDS_BYTES)]), WORDS) for digit in range(DIGITS)]


def codes_at(builder: Any, kind: int, row: list[Row], struct: Any) -> Any:
    """The codes of a run of a struct, in int32 lanes."""
    shuffle = function(builder.module, "llvm.x86.ssse3.pshuf.b.128", OCTETS, OCTETS, OCTETS)
    rotate = function(builder.module, f"llvm.fshr.v{LANES}i32", WORDS, WORDS, WORDS, WORDS)
    parts = []
    for digit in row:
        loaded = load(builder, builder.gep(struct, [digit.start]), OCTETS)
        words = builder.zext(builder.call(shuffle, [loaded, digit.order]), WORDS)
        if kind == TERNARY:  # the digits below are a fraction, and three times that has the next one as its carry
            rest = builder.and_(builder.mul(words, digit.amount), splat(BYTE))
            parts.append(builder.lshr(builder.mul(rest, splat(BASE)), splat(BYTE_BITS)))
        else:
            words = builder.call(rotate, [words, words, digit.amount])
            parts.append(words if digit.mask is None else builder.and_(words, digit.mask))
    return parts[0] if len(parts) == 1 else builder.or_(*parts)


def each_run(
    builder: Any,
    kind: int,
    count: Any,
    struct: Any,
    rows: Any,
    masks: list[Any],
    target: Any,
    use: Callable[[Any, Any], None],
    together: int = 1,
) -> None:
    """``use(codes, place)`` for runs of a struct, so many of them in a step of the loop."""

    def body(row: Any, place: Any) -> None:
        for k in range(together):
            one = row_at(builder, builder.gep(row, [int64(k * ROW)]), kind, masks)
            use(codes_at(builder, kind, one, struct), builder.gep(place, [int64(k * LANES)]))

    steps = [(rows, int64(together * ROW)), (target, int64(together * LANES))]
    repeated(builder, builder.udiv(count, int64(together)), steps, body)


@intrinsic
def unpack_structs(
    typing_context: Any,
    octets: Any,
    size: Any,
    kind: Any,
    rows: Any,
    lowest: Any,
    codes: Any,
    runs: Any,
    count: Any,
) -> Any:
    """The codes of some structs as bytes, plus ``lowest``."""
    arguments = (octets, size, kind, rows, lowest, codes, runs, count)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, rows, target = (data_of(context, builder, signature.args[k], values[k]) for k in (0, 3, 5))
        masks = masks_at(builder, rows)
        length, origin = (
            builder.mul(values[6], int64(LANES)),
            broadcast(builder, builder.trunc(values[4], INT8), OCTETS),
        )

        def write(words: Any, place: Any) -> None:
            result = builder.add(builder.trunc(words, OCTETS), origin)
            builder.store(result, builder.bitcast(place, OCTETS.as_pointer())).align = 1

        for each in (BITS, JOINED, TERNARY):

            def runs(struct: Any, place: Any, each: int = each) -> None:
                each_run(builder, each, values[6], struct, rows, masks, place, write)

            with builder.if_then(builder.icmp_unsigned("==", values[2], int64(each))):
                repeated(builder, values[7], [(source, values[1]), (target, length)], runs)
        return context.get_dummy_value()

    return types.none(*arguments), generate


@kernel
def unpack(octets, size, kind, rows, lowest, codes):
    """The codes of structs of ``size`` bytes, at least one: what the bytes say, plus ``lowest``."""
    runs = rows.size // ROW
    unpack_structs(octets, size, kind, rows, lowest, codes, runs, codes.size // (runs * LANES))


@intrinsic
def pack_piece(
    typing_context: Any,
    codes: Any,
    place: Any,
    length: Any,
    low: Any,
    mask: Any,
    shift: Any,
    lowest: Any,
    octets: Any,
    start: Any,
    size: Any,
    count: Any,
) -> Any:
    """Bits of sixteen codes, less ``lowest``, into as many bytes of some structs; of a mask of 0 a bit into two."""
    signature = types.none(codes, place, length, low, mask, shift, lowest, octets, start, size, count)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        source, target = (data_of(context, builder, signature.args[k], values[k]) for k in (0, 7))
        source, target = builder.gep(source, [values[1]]), builder.gep(target, [values[8]])
        low, mask, shift, lowest = (broadcast(builder, builder.trunc(values[k], INT8), OCTETS) for k in (3, 4, 5, 6))

        def each(bits: Callable[[Any], Any], *, first: bool) -> None:
            def write(source: Any, target: Any) -> None:
                part = bits(builder.lshr(builder.sub(load(builder, source, OCTETS), lowest), low))
                place = builder.bitcast(target, part.type.as_pointer())
                whole = part if first else builder.or_(builder.load(place, align=1), part)
                builder.store(whole, place).align = 1

            repeated(builder, values[10], [(source, values[2]), (target, values[9])], write)

        with builder.if_else(builder.icmp_unsigned("==", values[4], int64(0))) as (adjacent, apart):
            with adjacent:
                each(lambda part: builder.bitcast(builder.trunc(part, FLAGS), INT16), first=True)
            with apart, builder.if_else(builder.icmp_unsigned("==", values[5], int64(0))) as (lowest_bits, others):
                with lowest_bits:
                    each(lambda part: builder.and_(part, mask), first=True)
                with others:
                    each(lambda part: builder.shl(builder.and_(part, mask), shift), first=False)
        return context.get_dummy_value()

    return signature, generate


@kernel
def pack(codes, length, pieces, lowest, octets, size):
    """Bits of structs: ``pieces[k]`` is (place of sixteen codes, their bit, mask, place, bit there).

    Those that begin at the lowest bit of their bytes come first, and overwrite these.
    """
    strip, total = max(STRIP // length, 1), codes.size // length
    for first in range(0, total, strip):
        count = min(strip, total - first)
        for k in range(pieces.shape[0]):
            place, start = first * length + pieces[k, 0], first * size + pieces[k, 3]
            pack_piece(
                codes, place, length, pieces[k, 1], pieces[k, 2], pieces[k, 4], lowest, octets, start, size, count
            )
