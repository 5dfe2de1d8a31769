"""A block tensor as the structs of a product, one after the other: ``layout="ggml"``."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Element
from lowbit.ops.arrays import Array
from lowbit.ops.pack.structs import CODES, STRUCTS, Struct, pack_structs, unpack_structs

LAYOUT = "ggml"


def struct_size(fmt: BlockFormat) -> int:
    """The bytes of one struct, which holds ``fmt.block[0]`` values.

    Raises
    ------
    InputError
        The format has no struct.
    """
    return sum(words.size for words in _struct(fmt))


def structs_of(fmt: BlockFormat, shape: Shape, arrays: Mapping[str, Array]) -> bytes:
    """The structs of a tensor from the codes of its elements and of each scale, the axis of the blocks last.

    Raises
    ------
    InputError
        The format has no struct, or the axis of the blocks is not whole structs.
    """
    struct, count = _struct(fmt), _count(fmt, shape)
    fields = {name: _written(arrays[name], part).reshape(count, size) for name, (part, size) in _fields(fmt).items()}
    return pack_structs(struct, fields).tobytes()


def from_structs(data: bytes | bytearray, fmt: BlockFormat, shape: Shape) -> dict[str, Array]:
    """The codes of elements and scales by name, in the shapes of a tensor whose axis of the blocks is the last one.

    Raises
    ------
    InputError
        As above, or there are more or fewer bytes than such a tensor has.
    """
    struct, count = _struct(fmt), _count(fmt, shape)
    if len(data) != count * struct_size(fmt):
        what = f"{len(data)} bytes are not the {count * struct_size(fmt)} of {fmt.id} of shape {shape}"
        raise InputError(what, hint="is the shape right?")
    fields = {
        name: np.zeros((count, size), f"u{np.dtype(part.code_dtype).itemsize}")
        for name, (part, size) in _fields(fmt).items()
    }
    unpack_structs(struct, np.frombuffer(data, np.uint8).reshape(count, struct_size(fmt)), fields)
    shapes = {CODES: shape} | {field.name: field.grid(shape) for field in fmt.scales}
    return {name: _read(fields[name], part).reshape(shapes[name]) for name, (part, _) in _fields(fmt).items()}


def _struct(fmt: BlockFormat) -> Struct:
    if fmt.id not in STRUCTS:
        raise InputError(f"{fmt.id} has no struct in layout {LAYOUT!r}", hint=f"those of {', '.join(STRUCTS)}")
    return STRUCTS[fmt.id]


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
    unsigned = f"u{codes.dtype.itemsize}"
    if not fmt.signed_codes or fmt.bits == 8 * codes.dtype.itemsize:
        return np.ascontiguousarray(codes).view(unsigned)
    return np.asarray(codes - codes.dtype.type(fmt.codes[0])).view(unsigned)


def _read(patterns: Array, fmt: Element) -> Array:
    codes = patterns.view(fmt.code_dtype)
    whole = not fmt.signed_codes or fmt.bits == 8 * codes.dtype.itemsize
    return codes if whole else np.asarray(codes + codes.dtype.type(fmt.codes[0]))
