"""8-bit codes to bytes, to 16-bit words, or to 32-bit words, all or their upper halves: a table in AVX-512 registers.

Every value of a float or an integer of at most 8 bits that binary32 holds is a bfloat16 number, but for a few tiny
ones, so a table of 256 words of 16 bits decodes it. The two bytes of 64 words are found by four VPERMI2B; unpacking
joins them, and once more puts them above zeros, or above a lower half that is found likewise: codebooks need all four
bytes. Unpacking stays within each quarter of a register, so the codes are dealt out to the quarters first and the
results come out in order. ``fast_decode.py`` decodes to binary32 without a table; ``gather.py`` is the loop for any
table.

Results that are more than the caches hold are written past them (``stream``): before an ordinary store writes to a
line it is read from memory.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, VPERMI2B, VPERMD, VPERMQ, VPUNPCKLBW,
VPUNPCKHBW and VMOVNTDQ; volume 1, 10.4.6.2 (non-temporal stores need a fence).
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.llvm import function, prefetch
from lowbit.kernels.lib.memory import LINE_BYTES
from lowbit.kernels.lib.vectors import (
    BYTES,
    DOUBLE,
    LANES,
    MASK,
    QUAD,
    are_arrays,
    at,
    data_of,
    each_block,
    load,
    size_of,
    store,
)
from lowbit.kernels.nonlinear.simd_lookup import look_up, plane_registers

QUARTER_BITS = 128
AHEAD = 2048  # codes; from memory 1, 2 and 4 KiB measure alike, without asking ahead a tenth more time


def _shuffle(builder: Any, first: Any, second: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(DOUBLE, len(order)), order))


def _viewed(builder: Any, vector: Any, bits: int) -> Any:
    """The same register as elements of so many bits."""
    return builder.bitcast(vector, ir.VectorType(ir.IntType(bits), 8 * LANES // bits))


def _dealt_out(builder: Any, codes: Any, parts: int) -> Any:
    """A register in pieces, so many a quarter: piece ``4 * part + quarter`` goes to place ``part`` of a quarter."""
    pieces = _viewed(builder, codes, QUARTER_BITS // parts)
    order = [4 * part + quarter for quarter in range(4) for part in range(parts)]
    return builder.bitcast(_shuffle(builder, pieces, pieces, order), BYTES)


def _unpacked(builder: Any, low: Any, high: Any) -> list[Any]:
    """Elements of twice the width from their halves: those of the quarters' lower halves, and of the upper ones."""
    count = low.type.count
    half = count // 8
    results = []
    for first in (0, half):
        places = [quarter * 2 * half + first + i for quarter in range(4) for i in range(half)]
        order = [place for i in places for place in (i, i + count)]
        results.append(_viewed(builder, _shuffle(builder, low, high, order), 2 * low.type.element.width))
    return results


def _joined(builder: Any, registers: list[Any]) -> Any:
    """Registers as one long vector, in order."""
    while len(registers) > 1:
        order = list(range(2 * registers[0].type.count))
        pairs = zip(registers[::2], registers[1::2], strict=True)
        registers = [_shuffle(builder, low, high, order) for low, high in pairs]
    return registers[0]


def _bytes(builder: Any, codes: Any, planes: list[list[Any]]) -> Any:
    """The entries of 64 codes."""
    return look_up(builder, planes[0], codes)


def _words(builder: Any, codes: Any, planes: list[list[Any]]) -> Any:
    """The 16-bit entries of 64 codes."""
    index = _dealt_out(builder, codes, 2)
    low, high = (look_up(builder, plane, index) for plane in planes)
    return _joined(builder, _unpacked(builder, low, high))


def _upper_halves(builder: Any, codes: Any, planes: list[list[Any]]) -> Any:
    """The 16-bit entries of 64 codes as the upper halves of 32-bit words."""
    index = _dealt_out(builder, codes, 4)
    low, high = (look_up(builder, plane, index) for plane in planes)
    words = [_unpacked(builder, ir.Constant(part.type, None), part) for part in _unpacked(builder, low, high)]
    return _joined(builder, [part for pair in words for part in pair])


def _whole_words(builder: Any, codes: Any, planes: list[list[Any]]) -> Any:
    """The 32-bit entries of 64 codes."""
    index = _dealt_out(builder, codes, 4)
    parts = [look_up(builder, plane, index) for plane in planes]
    halves = zip(_unpacked(builder, parts[0], parts[1]), _unpacked(builder, parts[2], parts[3]), strict=True)
    words = [_unpacked(builder, low, high) for low, high in halves]
    return _joined(builder, [part for pair in words for part in pair])


def _by_lines(builder: Any, size: Any, target: Any, width: int, body: Callable[..., None]) -> None:
    """``body(offset, mask)`` up to the start of a line of the target, whole lines, and the rest."""
    address = builder.ptrtoint(target, QUAD)
    ahead = builder.lshr(builder.and_(builder.neg(address), QUAD(LINE_BYTES - 1)), QUAD(width.bit_length() - 1))
    ahead = builder.select(builder.icmp_unsigned("<", ahead, size), ahead, size)
    bits = builder.sub(builder.shl(QUAD(1), ahead), QUAD(1))
    body(QUAD(0), builder.bitcast(bits, MASK))
    each_block(builder, builder.sub(size, ahead), lambda offset, mask: body(builder.add(offset, ahead), mask))


def _fence(builder: Any) -> None:
    builder.call(function(builder.module, "llvm.x86.sse.sfence", ir.VoidType()), [])


def _store_past_caches(builder: Any, value: Any, target: Any, offset: Any) -> None:
    stored = builder.store(value, at(builder, target, offset, value.type))
    stored.align = LINE_BYTES
    stored.set_metadata("nontemporal", builder.module.add_metadata([DOUBLE(1)]))


def _decoder(entries: Callable[..., Any], planes_used: int, width: int, summary: str) -> Any:
    """An intrinsic that writes the entries of an array of codes, in items of so many bytes."""

    def decode(typing_context: Any, codes: Any, planes: Any, stream: Any, out: Any) -> Any:
        if not are_arrays(codes, planes, out) or stream != types.boolean or out.dtype.bitwidth != 8 * width:
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
            tables = plane_registers(builder, data_of(context, builder, planes, arguments[1]), planes_used)
            target = data_of(context, builder, out, arguments[3])

            def ordinary(offset: Any, mask: Any) -> None:
                store(builder, entries(builder, load(builder, data, offset, mask), tables), target, offset, mask)

            def past_caches(offset: Any, mask: Any) -> None:
                if mask is not None:
                    ordinary(offset, mask)
                    return
                prefetch(builder, builder.gep(data, [builder.add(offset, QUAD(AHEAD))]))
                value = entries(builder, load(builder, data, offset), tables)
                _store_past_caches(builder, value, target, offset)

            with builder.if_else(arguments[2]) as (streamed, stored):
                with streamed:
                    _by_lines(builder, size, target, width, past_caches)
                    _fence(builder)
                with stored:
                    _by_lines(builder, size, target, width, ordinary)
            return context.get_dummy_value()

        return types.none(codes, planes, stream, out), generate

    decode.__doc__ = summary
    return intrinsic(decode)


_write_bytes = _decoder(_bytes, 1, 1, "The 8-bit entry of each code.")
_write_words = _decoder(_words, 2, 2, "The 16-bit entry of each code.")
_write_upper_halves = _decoder(_upper_halves, 2, 4, "The 16-bit entry of each code as the upper half of a 32-bit word.")
_write_whole_words = _decoder(_whole_words, 4, 4, "The 32-bit entry of each code.")


@kernel
def decode_bytes(codes, planes, stream, out):
    """uint8 codes to bytes; ``planes[p, i]`` is byte p of entry i.

    ``stream`` writes past the caches; it needs ``out`` aligned to its items.
    """
    _write_bytes(codes, planes, stream, out)


@kernel
def decode_words(codes, planes, stream, out):
    """uint8 codes to 16-bit words; as :func:`decode_bytes`."""
    _write_words(codes, planes, stream, out)


@kernel
def decode_upper_halves(codes, planes, stream, out):
    """uint8 codes to 32-bit words of which the table holds the upper halves; as :func:`decode_bytes`."""
    _write_upper_halves(codes, planes, stream, out)


@kernel
def decode_whole_words(codes, planes, stream, out):
    """uint8 codes to 32-bit words of which the table holds all; as :func:`decode_bytes`."""
    _write_whole_words(codes, planes, stream, out)
