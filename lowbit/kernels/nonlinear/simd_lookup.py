"""Rows of 8-bit codes through tables of 256 entries, in AVX-512 registers: 64 look-ups by two instructions.

A plane of 256 bytes is four registers. VPERMI2B looks 64 indices of 7 bits up in two of them; the eighth bit chooses
between the two halves. ``fast_lookup.py`` holds the same functions without intrinsics, and tests prove them equal.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VPERMI2B and VPSADBW.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels.lib.cpu import features
from lowbit.kernels.lib.llvm import broadcast, function, total
from lowbit.kernels.lib.vectors import (
    BYTE,
    BYTES,
    DOUBLES,
    LANES,
    QUAD,
    WORDS,
    are_arrays,
    data_of,
    each_block,
    load,
    size_of,
    store,
)

QUADS = ir.VectorType(QUAD, 8)


def is_available() -> bool:
    """Whether this processor has the instructions."""
    return features() >= {"avx512f", "avx512bw", "avx512vbmi"}


def look_up(builder: Any, registers: list[Any], index: Any) -> Any:
    """One plane's bytes at 64 indices of 8 bits."""
    permute = function(builder.module, "llvm.x86.avx512.vpermi2var.qi.512", BYTES, BYTES, BYTES, BYTES)
    low = builder.call(permute, [registers[0], index, registers[1]])
    high = builder.call(permute, [registers[2], index, registers[3]])
    upper = builder.icmp_signed("<", index, ir.Constant(BYTES, None))
    return builder.select(upper, high, low)


def plane_registers(builder: Any, data: Any, count: int) -> list[list[Any]]:
    """The registers of so many planes of 256 bytes."""
    return [[load(builder, data, QUAD(256 * plane + LANES * part)) for part in range(4)] for plane in range(count)]


@intrinsic
def row_maximum(typing_context: Any, codes: Any) -> Any:
    """The largest of a row of int8 codes, as an int64."""
    if not are_arrays(codes):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
        lowest = ir.Constant(BYTES, [-128] * LANES)
        largest = cgutils.alloca_once_value(builder, lowest)

        def body(offset: Any, mask: Any) -> None:
            value = load(builder, data, offset, mask)
            if mask is not None:
                value = builder.select(mask, value, lowest)
            best = builder.load(largest)
            builder.store(builder.select(builder.icmp_signed(">", value, best), value, best), largest)

        each_block(builder, size, body)
        reduce = function(builder.module, f"llvm.vector.reduce.smax.v{LANES}i8", BYTE, BYTES)
        return builder.sext(builder.call(reduce, [builder.load(largest)]), QUAD)

    return types.int64(codes), generate


@intrinsic
def distance_sum(typing_context: Any, codes: Any, maximum: Any, planes: Any) -> Any:
    """The sum of a table of 32-bit entries, given as four planes, at the distances from the maximum."""
    if not are_arrays(codes, planes) or maximum != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
        tables = plane_registers(builder, data_of(context, builder, planes, arguments[2]), 4)
        top = broadcast(builder, builder.trunc(arguments[1], BYTE), BYTES)
        sums = [cgutils.alloca_once_value(builder, ir.Constant(QUADS, None)) for _ in tables]
        add_bytes = function(builder.module, "llvm.x86.avx512.psad.bw.512", QUADS, BYTES, BYTES)

        def body(offset: Any, mask: Any) -> None:
            index = builder.sub(top, load(builder, data, offset, mask))
            for table, partial in zip(tables, sums, strict=True):
                found = look_up(builder, table, index)
                if mask is not None:
                    found = builder.select(mask, found, ir.Constant(BYTES, None))
                eighths = builder.call(add_bytes, [found, ir.Constant(BYTES, None)])
                builder.store(builder.add(builder.load(partial), eighths), partial)

        each_block(builder, size, body)
        shifts = [ir.Constant(QUADS, [8 * plane] * 8) for plane in range(4)]
        whole = ir.Constant(QUADS, None)
        for partial, shift in zip(sums, shifts, strict=True):
            whole = builder.add(whole, builder.shl(builder.load(partial), shift))
        return total(builder, whole)

    return types.int64(codes, maximum, planes), generate


def _join(builder: Any, low: Any, high: Any, kind: Any) -> Any:
    """Elements of twice the width from their halves."""
    width = ir.Constant(kind, [kind.element.width // 2] * LANES)
    return builder.or_(builder.zext(low, kind), builder.shl(builder.zext(high, kind), width))


def _apply(count: int, summary: str) -> Any:
    """An intrinsic that writes the entries, of so many planes, at the distances from the maximum."""

    def apply(typing_context: Any, codes: Any, maximum: Any, planes: Any, out: Any) -> Any:
        if not are_arrays(codes, planes, out) or maximum != types.int64:
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
            tables = plane_registers(builder, data_of(context, builder, planes, arguments[2]), count)
            target = data_of(context, builder, out, arguments[3])
            top = broadcast(builder, builder.trunc(arguments[1], BYTE), BYTES)

            def body(offset: Any, mask: Any) -> None:
                index = builder.sub(top, load(builder, data, offset, mask))
                found = [look_up(builder, table, index) for table in tables]
                value = found[0] if count == 1 else _join(builder, found[0], found[1], WORDS)
                if count == 4:
                    value = _join(builder, value, _join(builder, found[2], found[3], WORDS), DOUBLES)
                store(builder, value, target, offset, mask)

            each_block(builder, size, body)
            return context.get_dummy_value()

        return types.none(codes, maximum, planes, out), generate

    apply.__doc__ = summary
    return intrinsic(apply)


distance_bytes = _apply(1, "The entries of a table of one plane at the distances from the maximum.")
distance_doubles = _apply(4, "The 32-bit entries of a table of four planes at the distances from the maximum.")
distance_words = _apply(2, "The 16-bit entries of a table of two planes at the distances from the maximum.")


@intrinsic
def multiply_by_entry(typing_context: Any, codes: Any, table: Any, out: Any) -> Any:
    """Each code times its entry of a table of bytes, indexed by the code's bits; |product| < 2^15, as int32."""
    if not are_arrays(codes, table, out):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
        registers = plane_registers(builder, data_of(context, builder, table, arguments[1]), 1)[0]
        target = data_of(context, builder, out, arguments[2])

        def body(offset: Any, mask: Any) -> None:
            code = load(builder, data, offset, mask)
            entry = look_up(builder, registers, code)
            product = builder.mul(builder.sext(code, WORDS), builder.zext(entry, WORDS))
            store(builder, builder.sext(product, DOUBLES), target, offset, mask)

        each_block(builder, size, body)
        return context.get_dummy_value()

    return types.none(codes, table, out), generate
