"""A block tensor as the structs of a product, one after the other: ``layout="ggml"``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Element
from lowbit.ops.arrays import Array
from lowbit.ops.memory import reused_empty
from lowbit.ops.pack.struct_runs import available, pack_codes, pieces_of, unpack_codes
from lowbit.ops.pack.structs import CODES, STRUCTS, Struct, placed, struct_bytes

LAYOUT = "ggml"


def struct_size(fmt: BlockFormat) -> int:
    """The bytes of one struct, which holds ``fmt.block[0]`` values.

    Raises
    ------
    InputError
        The format has no struct.
    """
    return struct_bytes(struct_of(fmt))


def structs_of(fmt: BlockFormat, shape: Shape, arrays: Mapping[str, Array]) -> bytes:
    """The structs of a tensor from the codes of its elements and of each scale, the axis of the blocks last.

    Raises
    ------
    InputError
        The format has no struct, or the axis of the blocks is not whole structs.
    """
    struct, count = struct_of(fmt), _count(fmt, shape)
    result = reused_empty((count, struct_size(fmt)), np.uint8)
    left = placed(struct) if count else []
    if count and available():
        codes = np.ascontiguousarray(arrays[CODES]).reshape(count, -1)
        pack_codes(struct, codes, lowest_stored(fmt.element), result)
        left = [*pieces_of(struct).left]
    names = set().union(*(words.fields for _, words in left))
    fields = {
        name: _written(arrays[name], part).reshape(count, size)
        for name, (part, size) in _fields(fmt).items()
        if name in names
    }
    for place, words in left:
        words.pack(fields, result, place)
    return result.tobytes()


def require_size(size: int, fmt: BlockFormat, shape: Shape) -> None:
    """Refuse bytes that are not the structs of a tensor, the axis of the blocks last.

    Raises
    ------
    InputError
        As above, or there are more or fewer bytes than such a tensor has.
    """
    whole = _size(fmt, shape)
    if size != whole:
        raise InputError(f"{size} bytes are not the {whole} of {fmt.id} of shape {shape}", hint="is the shape right?")


def from_structs(data: bytes, fmt: BlockFormat, shape: Shape) -> dict[str, Array]:
    """The codes of elements and scales by name, in the shapes of a tensor whose axis of the blocks is the last one."""
    struct, count = struct_of(fmt), _count(fmt, shape)
    octets = np.frombuffer(data, np.uint8).reshape(count, struct_size(fmt))
    shapes = {CODES: shape} | {field.name: field.grid(shape) for field in fmt.scales}
    parts, result = _fields(fmt), {}
    if count and available():
        codes, size = parts.pop(CODES)
        result[CODES] = np.empty((count, size), codes.code_dtype)
        unpack_codes(struct, octets, lowest_stored(codes), result[CODES])
    fields = {
        name: np.zeros((count, size), f"u{np.dtype(part.code_dtype).itemsize}") for name, (part, size) in parts.items()
    }
    for place, words in placed(struct):
        if count and words.fields <= set(fields):
            words.unpack(octets, place, fields)
    result |= {name: read_patterns(fields[name], part) for name, (part, _) in parts.items()}
    return {name: array.reshape(shapes[name]) for name, array in result.items()}


def struct_of(fmt: BlockFormat) -> Struct:
    """The struct of a format; InputError where it has none."""
    if fmt.id not in STRUCTS:
        raise InputError(f"{fmt.id} has no struct in layout {LAYOUT!r}", hint=f"those of {', '.join(STRUCTS)}")
    return STRUCTS[fmt.id]


@lru_cache(maxsize=256)
def _size(fmt: BlockFormat, shape: Shape) -> int:
    return _count(fmt, shape) * struct_size(fmt)


def _count(fmt: BlockFormat, shape: Shape) -> int:
    values = fmt.block[0]
    if shape[-1] % values:
        what = f"{fmt.id}: structs of {values} values do not fill an axis of {shape[-1]}"
        raise InputError(what, hint="pad the array")
    return math.prod(shape) // values


def _fields(fmt: BlockFormat) -> dict[str, tuple[Element, int]]:
    """The format of each field, and how many codes of it a struct has."""
    values = fmt.block[0]
    return {CODES: (fmt.element, values)} | {
        field.name: (field.format, values // field.block[0]) for field in fmt.scales
    }


def _written(codes: Array, fmt: Element) -> Array:
    """Unsigned patterns: signed codes that do not fill their container are stored less the lowest one."""
    lowest = lowest_stored(fmt)
    moved = np.asarray(codes - codes.dtype.type(lowest)) if lowest else np.ascontiguousarray(codes)
    return moved.view(f"u{codes.dtype.itemsize}")


def lowest_stored(fmt: Element) -> int:
    """The code whose pattern in a struct is 0."""
    whole = not fmt.signed_codes or fmt.bits == 8 * np.dtype(fmt.code_dtype).itemsize
    return 0 if whole else fmt.codes[0]


def read_patterns(patterns: Array, fmt: Element) -> Array:
    """The codes of patterns in a struct."""
    codes, lowest = patterns.view(fmt.code_dtype), lowest_stored(fmt)
    return np.asarray(codes + codes.dtype.type(lowest)) if lowest else codes
