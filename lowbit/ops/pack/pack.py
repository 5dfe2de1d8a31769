"""Codes narrower than a byte, packed: named bit layouts and their exact inverses.

A layout is a fact of a file format or an instruction, so each has a name and a source. The last axis is packed; the
others are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import (
    Array,
    Codes,
    FormatLike,
    check_range,
    checked_codes,
    from_patterns,
    integer_array,
    scalar_format,
)

GGML_BLOCK = 32
"""QK4_0, QK4_1 and QK_MXFP4 of ggml (ggml-common.h)."""

TF32_DROPPED_BITS = 13
"""binary32 has 23 mantissa bits, TF32 keeps the leading 10."""


@dataclass(frozen=True)
class Layout:
    """A way to place codes in bytes or words."""

    summary: str  # where each bit goes, and who does it so
    # low, high: the widths of code that it takes
    low: int
    high: int
    group: int  # the number of codes must be a multiple of this
    pack: Callable[[Array, int], Array]  # ``(patterns, bits) -> words`` along the last axis; patterns are unsigned
    # Its inverse, ``(words, bits) -> patterns``; may return more than were packed where ``group`` is 1.
    unpack: Callable[[Array, int], Array]
    word: str = "uint8"  # dtype of what it packs into


def _pack_stream(patterns: Array, bits: int) -> Array:
    """Each code's bits, lowest first, one after the other; the first bit of the stream is bit 0 of byte 0."""
    leading, count = patterns.shape[:-1], patterns.shape[-1]
    container = patterns.astype("<u2" if bits > 8 else "u1")
    octets = np.ascontiguousarray(container).view(np.uint8).reshape(*leading, count, container.itemsize)
    spread = np.unpackbits(octets, axis=-1, bitorder="little")
    return np.packbits(spread[..., :bits].reshape(*leading, count * bits), axis=-1, bitorder="little")


def _unpack_stream(packed: Array, bits: int) -> Array:
    leading = packed.shape[:-1]
    stream = np.unpackbits(packed, axis=-1, bitorder="little")
    count = stream.shape[-1] // bits
    if stream[..., count * bits :].any():
        raise InputError(f"the padding bits after the last {bits}-bit code are not zero", hint="is `count` missing?")
    width = 16 if bits > 8 else 8
    spread = np.zeros((*leading, count, width), dtype=np.uint8)
    spread[..., :bits] = stream[..., : count * bits].reshape(*leading, count, bits)
    container = np.packbits(spread, axis=-1, bitorder="little")
    return container.view("<u2" if bits > 8 else "u1").reshape(*leading, count)


def _nibbles(summary: str, block: int, low: int) -> Layout:
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

    return Layout(summary, 4, 4, 2 * block, pack, unpack)


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


LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        "lsb_first": Layout(
            "dense bit stream: code i occupies bits i*b to i*b+b-1, bit 0 of byte 0 first, zeros after the last code "
            "(ONNX int2, int4, float4, float6; zarr packbits)",
            1,
            16,
            1,
            _pack_stream,
            _unpack_stream,
        ),
        "low_nibble_first": _nibbles(
            "two a byte, the first in bits 3:0 (ONNX int4 and float4e2m1; CUDA __nv_fp4x2_storage_t; PyTorch "
            "float4_e2m1fn_x2)",
            1,
            0,
        ),
        "high_nibble_first": _nibbles("two a byte, the first in bits 7:4 (bitsandbytes 4-bit weights)", 1, 1),
        "ggml_split": _nibbles(
            "blocks of 32 in 16 bytes: code j in the low nibble of byte j, code j+16 in its high nibble (ggml Q4_0, "
            "Q4_1, MXFP4)",
            GGML_BLOCK // 2,
            0,
        ),
        "fp6_dense": Layout(
            "four 6-bit codes in three bytes, code i in bits 6i+5:6i of the little-endian 24-bit word: lsb_first in "
            "whole groups (ONNX FLOAT6E2M3 and FLOAT6E3M2)",
            6,
            6,
            4,
            _pack_stream,
            _unpack_stream,
        ),
        "one_per_byte": Layout(
            "a byte each, in its low bits, zeros above (ml_dtypes; CUDA __nv_fp6_storage_t)",
            1,
            8,
            1,
            _pack_bytes,
            _unpack_bytes,
        ),
        "tf32_in_float32": Layout(
            "a 19-bit TF32 code as the leading bits of a binary32 word, 13 zeros below (PTX .tf32 operands)",
            19,
            19,
            1,
            _pack_tf32,
            _unpack_tf32,
            "uint32",
        ),
    }
)
"""Name -> layout."""


def pack(codes: Codes, fmt: FormatLike | int, *, layout: str = "lsb_first") -> Array:
    """Pack codes along the last axis.

    Parameters
    ----------
    codes : (..., n) array of int
        Codes of the format; with a plain number of bits, unsigned patterns.
    fmt : format, its name, or int
        The format of the codes, or only how many bits each has.
    layout : str
        A name out of ``LAYOUTS``.

    Returns
    -------
    (..., m) array
        uint8, or uint32 for ``tf32_in_float32``.

    Raises
    ------
    InputError
        The layout is unknown or does not take codes of this width, a code is out of range, the number of codes is
        not a multiple of the layout's group, or there is no axis to pack along.

    See Also
    --------
    unpack : the exact inverse.

    Examples
    --------
    >>> pack([1, 2, 3, 4], 6).tolist()
    [129, 48, 16]
    >>> pack([1, -2], "int4", layout="high_nibble_first").tolist()
    [30]
    """
    bits, known = _width(fmt)
    chosen = _layout(layout, bits)
    array = integer_array(codes, "codes", "uint8") if known is None else checked_codes(codes, known)
    if known is None:
        if array.dtype.kind not in "iu":
            raise InputError(f"codes are integers, not {array.dtype}")
        check_range(array, 0, (1 << bits) - 1, f"{bits} bits")
    _check_axis(array)
    if array.shape[-1] % chosen.group:
        raise InputError(
            f"layout {layout!r} packs {chosen.group} codes at a time; the last axis has {array.shape[-1]}",
            hint="pad with zero codes, and pass `count` to unpack",
        )
    patterns = (array.astype(np.int64) & ((1 << bits) - 1)).astype(_pattern_dtype(bits))
    return chosen.pack(patterns, bits)


def unpack(
    packed: npt.ArrayLike, fmt: FormatLike | int, *, layout: str = "lsb_first", count: int | None = None
) -> Array:
    """Unpack codes along the last axis.

    Parameters
    ----------
    packed : (..., m) array of uint8
        Or of uint32 for ``tf32_in_float32``.
    fmt : format, its name, or int
        As for ``pack``; a signed integer or fixed-point format gives signed codes.
    layout : str
        A name out of ``LAYOUTS``.
    count : int, optional
        How many codes were packed; as many as fit unless given. What is left after them must be zero.

    Returns
    -------
    (..., n) array
        Codes in the format's dtype, or in the smallest unsigned dtype for a plain number of bits.

    Raises
    ------
    InputError
        As for ``pack``; also where ``count`` is not an integer or more than there are, or something other than zeros is
        left over.
    """
    bits, known = _width(fmt)
    chosen = _layout(layout, bits)
    _check_count(count)
    array = np.asarray(packed)
    if array.size == 0:
        array = array.astype(chosen.word)
    if array.dtype != np.dtype(chosen.word):
        raise InputError(f"layout {layout!r} unpacks {chosen.word}, not {array.dtype}")
    _check_axis(array)
    words = chosen.group * bits // (8 * array.itemsize) if chosen.group > 1 else 1
    if array.shape[-1] % words:
        raise InputError(f"layout {layout!r} unpacks {words} bytes at a time; the last axis has {array.shape[-1]}")
    patterns = _take(_unpack(chosen, np.ascontiguousarray(array), bits, count), count)
    return _from_patterns(patterns, bits, known)


def _unpack(chosen: Layout, array: Array, bits: int, count: int | None) -> Array:
    """The stream is cut to the bytes that ``count`` codes take first: what follows them may not be a whole code."""
    if chosen.group == 1 and count is not None and chosen.unpack is _unpack_stream:
        length = -(-count * bits // 8)
        if array[..., length:].any():
            raise InputError(f"something other than zeros follows the {count} codes")
        array = np.ascontiguousarray(array[..., :length])
    return chosen.unpack(array, bits)


def _check_count(count: object) -> None:
    if count is not None and (not isinstance(count, int | np.integer) or isinstance(count, bool)):
        raise InputError(f"count = {count!r} is not an integer")
    if count is not None and count < 0:
        raise InputError(f"count = {count} is negative")


def _take(patterns: Array, count: int | None) -> Array:
    if count is None:
        return patterns
    if count > patterns.shape[-1]:
        raise InputError(f"count = {count}, but {patterns.shape[-1]} codes are there")
    if patterns[..., count:].any():
        raise InputError(f"something other than zeros follows the {count} codes")
    return patterns[..., :count]


def _from_patterns(patterns: Array, bits: int, fmt: Scalar | None) -> Array:
    if fmt is None:
        return patterns.astype(_pattern_dtype(bits))
    codes = from_patterns(patterns, fmt)
    check_range(codes, fmt.codes[0], fmt.codes[-1], fmt.id)
    return codes


def _width(fmt: FormatLike | int) -> tuple[int, Scalar | None]:
    if isinstance(fmt, (int, np.integer)) and not isinstance(fmt, bool):
        return int(fmt), None
    scalar = scalar_format(fmt)
    return scalar.bits, scalar


def _pattern_dtype(bits: int) -> type[np.unsignedinteger[Any]]:
    return np.uint32 if bits > 16 else np.uint16 if bits > 8 else np.uint8


def _layout(name: object, bits: int) -> Layout:
    if not isinstance(name, str) or name not in LAYOUTS:
        close = get_close_matches(str(name), list(LAYOUTS), n=1)
        suggestion = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(f"layout {name!r} is unknown", hint=f"{suggestion}one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[name]
    if not layout.low <= bits <= layout.high:
        widths = f"{layout.low}" if layout.low == layout.high else f"{layout.low} to {layout.high}"
        raise InputError(f"layout {name!r} takes codes of {widths} bits, not {bits}")
    return layout


def _check_axis(array: Array) -> None:
    if array.ndim == 0:
        raise InputError("a single number has no axis to pack along", hint="pass an array with one element")
