"""Codes narrower than a byte, packed: named bit layouts and their exact inverses.

A layout is a fact of a file format or an instruction, so each has a name and a source (``layouts.py``). The last axis
is packed, in some layouts with that before it; the others are kept.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block_name import element_format
from lowbit.format.protocol import Element
from lowbit.ops.arrays import (
    Array,
    Codes,
    FormatLike,
    check_range,
    checked_codes,
    from_patterns,
    integer_array,
    is_whole,
)
from lowbit.ops.pack.layouts import LAYOUTS, Layout
from lowbit.ops.pack.placement import STREAM


def pack(codes: Codes, fmt: FormatLike | int, *, layout: str = "lsb_first") -> Array:
    """Pack codes along the last axis, or the last two.

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
        uint8 or the words of the layout: int32 where files have them, uint32 for ``tf32_in_float32``.

    Raises
    ------
    InputError
        The layout is unknown or does not take codes of this width, a code is out of range, the number of codes or rows
        is not a multiple of what the layout takes at a time, or there is no axis to pack along.

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
    chosen = layout_of(layout, bits)
    array = integer_array(codes, "codes", "uint8") if known is None else checked_codes(codes, known)
    if known is None:
        if array.dtype.kind not in "iu":
            raise InputError(f"codes are integers, not {array.dtype}")
        check_range(array, 0, (1 << bits) - 1, f"{bits} bits")
    _check_axes(array, chosen, layout)
    for axis, what, several in ((-1, "codes", chosen.group), (-2, "rows", chosen.rows or 1)):
        if several > 1 and array.shape[axis] % several:
            where = "the last axis" if axis == -1 else "the axis before the last"
            raise InputError(
                f"layout {layout!r} packs {several} {what} at a time; {where} has {array.shape[axis]}",
                hint="pad with zero codes, and pass `count` to unpack" if axis == -1 else "pad with rows of zero codes",
            )
    patterns = array.astype(_pattern_dtype(bits))
    patterns &= (1 << bits) - 1
    return chosen.pack(chosen.written(patterns, bits, known is not None and known.signed_codes), bits)


def unpack(
    packed: npt.ArrayLike, fmt: FormatLike | int, *, layout: str = "lsb_first", count: int | None = None
) -> Array:
    """Unpack codes along the last axis, or the last two.

    Parameters
    ----------
    packed : (..., m) array of uint8
        Or of the words of the layout, signed or unsigned.
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

    Examples
    --------
    >>> unpack(pack([1, 2, 3], "uint4"), "uint4", count=3).tolist()
    [1, 2, 3]
    """
    bits, known = _width(fmt)
    chosen = layout_of(layout, bits)
    _check_count(count)
    array = np.asarray(packed)
    if array.size == 0:
        array = array.astype(chosen.word)
    word = np.dtype(chosen.word)
    if (
        array.dtype.kind not in "iu"
        or array.dtype.itemsize != word.itemsize
        or (word.itemsize == 1 and array.dtype != word)
    ):
        raise InputError(f"layout {layout!r} unpacks {chosen.word}, not {array.dtype}")
    _check_axes(array, chosen, layout)
    words = 1 if chosen.rows or chosen.group == 1 else max(chosen.group * bits // (8 * word.itemsize), 1)
    if array.shape[-1] % words:
        what = "bytes" if word.itemsize == 1 else "words"
        raise InputError(f"layout {layout!r} unpacks {words} {what} at a time; the last axis has {array.shape[-1]}")
    stored = _take(_unpack(chosen, np.ascontiguousarray(array), bits, count), count).astype(_pattern_dtype(bits))
    return _from_patterns(chosen.read(stored, bits, known is not None and known.signed_codes), bits, known)


def _unpack(chosen: Layout, array: Array, bits: int, count: int | None) -> Array:
    """The stream is cut to the bytes that ``count`` codes take first: what follows them may not be a whole code."""
    if count is not None and chosen.group == 1 and chosen.unpack is STREAM[1]:
        length = -(-count * bits // 8)
        if array[..., length:].any():
            raise InputError(f"something other than zeros follows the {count} codes")
        array = np.ascontiguousarray(array[..., :length])
    return chosen.unpack(array, bits)


def _check_count(count: object) -> None:
    if count is None:
        return
    if not is_whole(count):
        raise InputError(f"count = {count!r} is not an integer")
    if count < 0:
        raise InputError(f"count = {count} is negative")


def _take(patterns: Array, count: int | None) -> Array:
    if count is None:
        return patterns
    if count > patterns.shape[-1]:
        raise InputError(f"count = {count}, but {patterns.shape[-1]} codes are there")
    if patterns[..., count:].any():
        raise InputError(f"something other than zeros follows the {count} codes")
    return patterns[..., :count]


def _from_patterns(patterns: Array, bits: int, fmt: Element | None) -> Array:
    if fmt is None:
        return patterns.astype(_pattern_dtype(bits))
    codes = from_patterns(patterns, fmt)
    check_range(codes, fmt.codes[0], fmt.codes[-1], fmt.id)
    return codes


def _width(fmt: FormatLike | int) -> tuple[int, Element | None]:
    if is_whole(fmt):
        return int(fmt), None
    element = element_format(fmt)
    return element.bits, element


def _pattern_dtype(bits: int) -> type[np.unsignedinteger[Any]]:
    return np.uint32 if bits > 16 else np.uint16 if bits > 8 else np.uint8


def layout_of(name: object, bits: int) -> Layout:
    """The layout of a name, which must take codes of a width; raises InputError."""
    if not isinstance(name, str) or name not in LAYOUTS:
        close = get_close_matches(str(name), list(LAYOUTS), n=1)
        suggestion = f"did you mean {close[0]!r}? " if close else ""
        raise InputError(f"layout {name!r} is unknown", hint=f"{suggestion}one of {', '.join(LAYOUTS)}")
    layout = LAYOUTS[name]
    if not layout.takes(bits):
        widths = f"{layout.low}" if layout.low == layout.high else f"{layout.low} to {layout.high}"
        if layout.except_widths:
            widths = ", ".join(str(width) for width in range(layout.low, layout.high + 1) if layout.takes(width))
        raise InputError(f"layout {name!r} takes codes of {widths} bits, not {bits}")
    return layout


def _check_axes(array: Array, layout: Layout, name: str) -> None:
    if array.ndim == 0:
        raise InputError("a single number has no axis to pack along", hint="pass an array with one element")
    if array.ndim == 1 and layout.rows:
        raise InputError(f"layout {name!r} takes matrices, not a row of {array.shape[0]}", hint="pass an array of rows")
