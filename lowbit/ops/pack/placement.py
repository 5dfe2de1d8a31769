"""Where the bits of codes go, for each layout: functions and their exact inverses.

``pack(patterns, bits)`` takes unsigned patterns and gives words, ``unpack(words, bits)`` the reverse. Codes of three,
five or six bits lie across the ends of words where a layout is *dense*: a stream of bits, the first of which is bit 0
of byte 0 and of word 0, since words are little-endian.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import Array, check_range

Way: TypeAlias = Callable[[Array, int], Array]
Placement: TypeAlias = tuple[Way, Way]
"""A pair of pack and unpack."""

GGML_BLOCK = 32
"""QK4_0, QK4_1 and QK_MXFP4 of ggml (ggml-common.h)."""

TF32_DROPPED_BITS = 13
"""binary32 has 23 mantissa bits, TF32 keeps the leading 10."""

AWQ_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Nibble i of a word of AWQ's GEMM layout holds code AWQ_ORDER[i] of eight (awq/modules/linear/gemm.py)."""

TINYCHAT_ROWS, TINYCHAT_TILE = 4, 64
"""Rows that are interleaved, and codes of a row in a tile (awq/quantize/qmodule.py, pack_intweight)."""

SCALE_ROWS, SCALE_COLUMNS = 128, 4
"""A tile of block scales of cuBLAS; its 128 rows are four groups of 32 (cuBLAS, 1D block scaling factors layout)."""

SPQR_CODES = 18
"""A scale, a zero point and 16 weights, three bits each (spqr_cuda.cpp); bits 61:54 carry part of the second order."""


def _joints(bits: int) -> list[tuple[np.uint64, np.uint64, np.uint64]]:
    """How lanes of a 64-bit word join two by two until eight codes, a byte each, lie side by side.

    Of each step the bits of the lower of two lanes, those of the upper one beside them, and the distance it moves.
    """
    joints = []
    for half in (8, 16, 32):
        width = bits * half // 8
        low = sum(((1 << width) - 1) << place for place in range(0, 64, 2 * half))
        joints.append((np.uint64(low), np.uint64(low << width), np.uint64(half - width)))
    return joints


def _pack_stream(patterns: Array, bits: int) -> Array:
    """Each code's bits, lowest first, one after the other; the first bit of the stream is bit 0 of byte 0."""
    *leading, count = patterns.shape
    if bits > 8:
        octets = patterns.astype("<u2", order="C").view(np.uint8).reshape(*leading, count, 2)
        spread = np.unpackbits(octets, axis=-1, bitorder="little")
        return np.packbits(spread[..., :bits].reshape(*leading, count * bits), axis=-1, bitorder="little")
    if count % 8 == 0 and bits in (1, 2, 4):
        codes = np.ascontiguousarray(patterns, np.uint8)
    else:
        codes = np.zeros((*leading, -(-count // 8) * 8), np.uint8)
        codes[..., :count] = patterns
    if bits in (1, 2, 4):
        for width in (1, 2, 4):
            if bits <= width:  # the bits of two bytes side by side in the lower one
                pairs = codes.view("<u2")
                joined = pairs >> np.uint16(8 - width)
                joined |= pairs
                codes = joined.astype(np.uint8)
        return np.ascontiguousarray(codes[..., : -(-count * bits // 8)])
    words = codes.view("<u8")
    for low, high, distance in _joints(bits):
        upper = words >> distance
        upper &= high
        words &= low
        words |= upper
    octets = codes.reshape(*leading, -1, 8)[..., :bits].reshape(*leading, -1) if codes.size else codes
    return np.ascontiguousarray(octets[..., : -(-count * bits // 8)])


def _unpack_stream(packed: Array, bits: int) -> Array:
    *leading, length = packed.shape
    count = 8 * length // bits
    if bits > 8:
        stream = np.unpackbits(packed, axis=-1, bitorder="little")
        rest, spread = stream[..., count * bits :], np.zeros((*leading, count, 16), dtype=np.uint8)
        spread[..., :bits] = stream[..., : count * bits].reshape(*leading, count, bits)
        codes = np.packbits(spread, axis=-1, bitorder="little").view("<u2").reshape(*leading, count)
    else:
        groups = -(-length // bits)
        padded = np.zeros((*leading, groups * bits), np.uint8)
        padded[..., :length] = packed
        octets = np.zeros((*leading, groups, 8), np.uint8)
        octets[..., :bits] = padded.reshape(*leading, groups, bits)
        words = octets.view("<u8")
        for low, high, distance in reversed(_joints(bits)):
            upper = words & high
            upper <<= distance
            words &= low
            words |= upper
        eights = octets.reshape(*leading, groups * 8)
        codes, rest = eights[..., :count], eights[..., count:]
    if rest.any():
        raise InputError(f"the padding bits after the last {bits}-bit code are not zero", hint="is `count` missing?")
    return codes


def nibbles(block: int, low: int) -> Placement:
    """Two codes a byte: of each two runs of ``block`` codes, run ``low`` is in the low nibbles, the other above it."""

    def pack(patterns: Array, _bits: int) -> Array:
        *leading, count = patterns.shape
        runs = patterns.reshape(*leading, count // (2 * block), 2, block)
        octets = runs[..., low, :] | runs[..., 1 - low, :] << 4
        return np.asarray(octets.reshape(*leading, count // 2), dtype=np.uint8)

    def unpack(packed: Array, _bits: int) -> Array:
        *leading, count = packed.shape
        octets = packed.reshape(*leading, count // block, block)
        runs = [octets & 15, octets >> 4]
        return np.stack([runs[low], runs[1 - low]], axis=-2).reshape(*leading, 2 * count)

    return pack, unpack


def _pack_bytes(patterns: Array, _bits: int) -> Array:
    return patterns.astype(np.uint8)


def _unpack_bytes(packed: Array, bits: int) -> Array:
    check_range(packed, 0, (1 << bits) - 1, f"{bits} bits")
    return packed


def _pack_tf32(patterns: Array, _bits: int) -> Array:
    return patterns.astype(np.uint32) << np.uint32(TF32_DROPPED_BITS)


def _unpack_tf32(packed: Array, _bits: int) -> Array:
    if (packed & ((1 << TF32_DROPPED_BITS) - 1)).any():
        raise InputError(
            "a word has bits set below TF32's mantissa", hint="convert from float32 rounds, unpack does not"
        )
    return packed >> np.uint32(TF32_DROPPED_BITS)


def _stream_words(patterns: Array, bits: int) -> Array:
    """The dense stream in words of 32 bits, zeros after the last code."""
    octets = _pack_stream(patterns, bits)
    padded = np.zeros((*octets.shape[:-1], -(-octets.shape[-1] // 4) * 4), dtype=np.uint8)
    padded[..., : octets.shape[-1]] = octets
    return padded.view("<i4")


def _from_stream_words(words: Array, bits: int) -> Array:
    return _unpack_stream(np.ascontiguousarray(words).view(np.uint8), bits)


def in_words(order: tuple[int, ...] | None = None) -> Placement:
    """Whole codes in words of 32 bits, the first lowest or in an order, zeros above the last one."""

    def places(bits: int) -> tuple[Array, Array]:
        count = 32 // bits
        return np.array(order or range(count)), np.arange(count, dtype=np.uint32) * np.uint32(bits)

    def pack(patterns: Array, bits: int) -> Array:
        place, shifts = places(bits)
        *leading, count = patterns.shape
        words = -(-count // place.size)
        padded = np.zeros((*leading, words * place.size), dtype=np.uint32)
        padded[..., :count] = patterns
        whole = padded.reshape(*leading, words, place.size)
        return np.asarray(np.bitwise_or.reduce(whole[..., place] << shifts, axis=-1)).view(np.int32)

    def unpack(words: Array, bits: int) -> Array:
        place, shifts = places(bits)
        unsigned = words.view(np.uint32)
        if bits * place.size < 32 and (unsigned >> np.uint32(bits * place.size)).any():
            raise InputError(f"the bits above the {place.size} codes of a word are not zero")
        codes = (unsigned[..., None] >> shifts) & np.uint32((1 << bits) - 1)
        return codes[..., np.argsort(place)].reshape(*words.shape[:-1], words.shape[-1] * place.size)

    return pack, unpack


def _pack_columns(patterns: Array, bits: int) -> Array:
    """Words down the columns of the transpose: (outputs, inputs) to (inputs * bits / 32, outputs)."""
    return np.ascontiguousarray(_stream_words(patterns, bits).swapaxes(-1, -2))


def _unpack_columns(words: Array, bits: int) -> Array:
    if words.shape[-2] % bits:
        raise InputError(
            f"{words.shape[-2]} rows of words are not whole groups of {bits}, which hold 32 codes a column"
        )
    return _from_stream_words(words.swapaxes(-1, -2), bits)


def _pack_tinychat(patterns: Array, _bits: int) -> Array:
    *leading, rows, columns = patterns.shape
    tiles = patterns.reshape(*leading, rows // TINYCHAT_ROWS, TINYCHAT_ROWS, columns // TINYCHAT_TILE, 2, 4, 8)
    dealt = np.moveaxis(tiles.swapaxes(-1, -2), -4, -5)  # of 32 codes 0, 8, 16, 24, 1, 9, ...; tiles before their rows
    nibbles = dealt.reshape(*leading, rows // TINYCHAT_ROWS, columns, 4).astype(np.uint16)
    return np.asarray(np.bitwise_or.reduce(nibbles << np.arange(0, 16, 4, dtype=np.uint16), axis=-1)).view(np.int16)


def _unpack_tinychat(words: Array, _bits: int) -> Array:
    *leading, rows, columns = words.shape
    if columns % TINYCHAT_TILE:
        raise InputError(f"rows of {columns} words are not whole tiles of {TINYCHAT_TILE}")
    nibbles = words.view(np.uint16)[..., None] >> np.arange(0, 16, 4, dtype=np.uint16) & np.uint16(15)
    dealt = nibbles.reshape(*leading, rows, columns // TINYCHAT_TILE, TINYCHAT_ROWS, 2, 8, 4)
    tiles = np.moveaxis(dealt, -5, -4).swapaxes(-1, -2)
    return tiles.reshape(*leading, TINYCHAT_ROWS * rows, columns)


def _pack_scales(patterns: Array, _bits: int) -> Array:
    *leading, rows, columns = patterns.shape
    tiles = patterns.reshape(*leading, rows // SCALE_ROWS, 4, 32, columns // SCALE_COLUMNS, SCALE_COLUMNS)
    return (
        tiles.swapaxes(-2, -4)
        .reshape(*leading, rows // SCALE_ROWS, columns // SCALE_COLUMNS, SCALE_ROWS * SCALE_COLUMNS)
        .astype(np.uint8)
    )


def _unpack_scales(octets: Array, _bits: int) -> Array:
    if octets.ndim < 3 or octets.shape[-1] != SCALE_ROWS * SCALE_COLUMNS:
        raise InputError(
            f"swizzled scales have the shape (..., {SCALE_ROWS}-row tiles, {SCALE_COLUMNS}-column tiles, 512), not "
            f"{octets.shape}",
            hint="reshape the flat buffer",
        )
    *leading, rows, columns, _ = octets.shape
    tiles = octets.reshape(*leading, rows, columns, 32, 4, SCALE_COLUMNS)
    return tiles.swapaxes(-2, -4).reshape(*leading, SCALE_ROWS * rows, SCALE_COLUMNS * columns)


def _pack_spqr(patterns: Array, bits: int) -> Array:
    *leading, count = patterns.shape
    codes = patterns.reshape(*leading, count // SPQR_CODES, SPQR_CODES).astype(np.uint64)
    shifts = np.arange(0, bits * SPQR_CODES, bits, dtype=np.uint64)
    return np.asarray(np.bitwise_or.reduce(codes << shifts, axis=-1))


def _unpack_spqr(words: Array, bits: int) -> Array:
    shifts = np.arange(0, bits * SPQR_CODES, bits, dtype=np.uint64)
    codes = words[..., None] >> shifts & np.uint64((1 << bits) - 1)
    return codes.reshape(*words.shape[:-1], words.shape[-1] * SPQR_CODES)


STREAM: Placement = (_pack_stream, _unpack_stream)
BYTES: Placement = (_pack_bytes, _unpack_bytes)
TF32: Placement = (_pack_tf32, _unpack_tf32)
STREAM_WORDS: Placement = (_stream_words, _from_stream_words)
COLUMNS: Placement = (_pack_columns, _unpack_columns)
TINYCHAT: Placement = (_pack_tinychat, _unpack_tinychat)
SCALES: Placement = (_pack_scales, _unpack_scales)
SPQR: Placement = (_pack_spqr, _unpack_spqr)
