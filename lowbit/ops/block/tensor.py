"""A tensor in a block format: codes, and scales by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Scalar
from lowbit.format.registry import block_format_of
from lowbit.format.types import FormatLike
from lowbit.ops.arrays import Array, checked_codes, is_whole
from lowbit.ops.block import structs
from lowbit.ops.block.stored import DENSE, little_endian, stored_parts

PLAIN = ("float16", "float32", "float64")
"""Formats of NumPy's own: scales in them are values, those in other formats codes."""

MOST_VALUES = 1 << 48
"""Of a tensor whose shape is only told: what no memory holds is refused."""


@dataclass(frozen=True, eq=False)
class BlockTensor:
    """Codes and scales: what :func:`lowbit.quantize` returns and :func:`lowbit.dequantize` takes.

    Attributes
    ----------
    format : BlockFormat
    shape : tuple of int
        Of the values.
    axis : int
        The axis of the blocks, not negative.
    codes : ndarray
        Codes of the element format, of this shape; where an element is a vector of d values, the axis of the blocks is
        d times shorter, and a code stands for d neighbours along it.
    scales : mapping of str to ndarray
        By the name of the field, with the axes of the values: the lengths are the numbers of blocks. A scale in a
        format of NumPy's own (float16, float32, float64) is its value, one in another format its code.

    Raises
    ------
    InputError
        A scale is missing, or an array has the wrong dtype or shape, or holds what is not a code.
    """

    format: BlockFormat
    shape: Shape
    axis: int
    codes: Array
    scales: Mapping[str, Array]

    def __post_init__(self) -> None:
        fmt = self.format
        _check_types(fmt, self.shape, self.scales)
        axis = checked_axis(self.axis, self.shape, fmt)
        codes = checked_codes(self.codes, fmt.element)
        fmt.check_shape(axis_last(self.shape, axis), short=True)
        if codes.shape != (lengths := axis_back(fmt.codes_shape(axis_last(self.shape, axis)), axis)):
            of = "" if lengths == tuple(self.shape) else f", whose codes have {lengths}"
            raise InputError(f"codes have the shape {codes.shape}, but the tensor {tuple(self.shape)}{of}")
        names = [field.name for field in fmt.scales]
        if sorted(names) != sorted(map(str, self.scales)):
            others = ", ".join(map(str, self.scales)) or "none"
            raise InputError(f"scales of {fmt.id} are {', '.join(names)}, not {others}")
        scales = {}
        for field in fmt.scales:
            array = to_codes(self.scales[field.name], field.format, f"scale {field.name!r}")
            grid = axis_back(field.grid(axis_last(self.shape, axis)), axis)
            if array.shape != grid:
                raise InputError(f"scale {field.name!r} has the shape {array.shape}, not {grid}")
            scales[field.name] = from_codes(array, field.format)
        for name, value in (("axis", axis), ("codes", codes), ("shape", tuple(self.shape))):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "scales", MappingProxyType(scales))

    @classmethod
    def trusted(cls, fmt: BlockFormat, axis: int, codes: Array, scale_codes: Mapping[str, Array]) -> BlockTensor:
        """A tensor of codes that were made here, and need no check."""
        tensor = object.__new__(cls)
        scales = {field.name: from_codes(scale_codes[field.name], field.format) for field in fmt.scales}
        shape = axis_back(fmt.values_shape(axis_last(codes.shape, axis)), axis)
        parts = {"format": fmt, "shape": shape, "axis": axis, "codes": codes, "scales": MappingProxyType(scales)}
        for name, value in parts.items():
            object.__setattr__(tensor, name, value)
        return tensor

    @classmethod
    def _of_structs(cls, data: bytes, fmt: BlockFormat, shape: Shape, axis: int) -> BlockTensor:
        """A tensor whose codes and scales are taken out of its structs when somebody asks for them."""
        tensor = object.__new__(cls)
        tensor.__dict__.update(format=fmt, shape=shape, axis=axis, structs=data)
        return tensor

    @property
    def held_structs(self) -> bytes | None:
        """The structs that the tensor was read from, as long as nobody has asked for its codes."""
        return self.__dict__.get("structs")

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            """Codes and scales that are still in their structs."""
            parts = self.__dict__
            data = parts.get("structs")
            if data is not None and name in {"codes", "scales"}:
                arrays = structs.from_structs(data, self.format, axis_last(self.shape, self.axis))
                moved = {key: moved_back(array, self.axis) for key, array in arrays.items()}
                whole = self.trusted(self.format, self.axis, moved.pop("codes"), moved)
                parts.update(codes=whole.codes, scales=whole.scales)
                parts.pop("structs", None)
            if name not in parts:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
            return parts[name]

    def scale_codes(self, name: str) -> Array:
        """The codes of a scale, be they its values or not."""
        field = next((field for field in self.format.scales if field.name == name), None)
        if field is None:
            known = ", ".join(self.scales)
            raise InputError(f"{self.format.id} has no scale {name!r}", hint=f"one of {known}")
        return to_codes(self.scales[name], field.format, f"scale {name!r}")

    @property
    def bits_per_value(self) -> Fraction:
        """Bits of all codes and scales, packed densely, over the number of values; 0 for an empty tensor."""
        size = math.prod(self.shape)
        return Fraction(self.format.bits_of(axis_last(self.shape, self.axis)), size) if size else Fraction(0)

    def to_bytes(self, layout: str = DENSE) -> bytes:
        """The codes, packed along the axis of the blocks, and then the scales of each field.

        Parameters
        ----------
        layout : str
            Of the codes, a name out of ``LAYOUTS``. Scales are packed from the lowest bit on, whatever this is. Or
            "ggml": the structs of llama.cpp's blocks, each with its scales, for the formats ``ggml_*``.

        Returns
        -------
        bytes
            In C order with the axis of the blocks last; words are little-endian, and the codes of a row and the scales
            of a field begin at a byte. The fields are in the order of the format.

        Raises
        ------
        InputError
            The layout is unknown or does not take these codes: see ``pack``.

        See Also
        --------
        from_bytes : the exact inverse.

        Examples
        --------
        >>> import lowbit
        >>> lowbit.quantize([1.0, -2.0, 3.0, 6.0] * 4, "bfp4_b").to_bytes().hex(" ")
        'a1 63 a1 63 a1 63 a1 63 81'
        """
        arrays = [self.codes, *(self.scale_codes(field.name) for field in self.format.scales)]
        turned = [moved_last(array, self.axis) for array in arrays]
        last, names = axis_last(self.shape, self.axis), ("codes", *self.scales)
        if layout == structs.LAYOUT:
            return structs.structs_of(self.format, last, dict(zip(names, turned, strict=True)))
        parts = stored_parts(self.format, last, layout)
        pairs = zip(parts, turned, strict=True)
        return b"".join(little_endian(part.words(array.reshape(part.shape))) for part, array in pairs)

    @classmethod
    def from_bytes(
        cls, data: bytes, fmt: FormatLike, shape: Shape, *, axis: int = -1, layout: str = DENSE
    ) -> BlockTensor:
        """The tensor that :meth:`to_bytes` wrote.

        Parameters
        ----------
        data : bytes
        fmt : str or BlockFormat
        shape : tuple of int
            Of the values.
        axis : int
            The axis of the blocks.
        layout : str
            Of the codes.

        Raises
        ------
        InputError
            There are more or fewer bytes than such a tensor has, or something in them is not a code.
        """
        target = block_format_of(fmt)
        lengths = _checked_shape(shape)
        place = checked_axis(axis, lengths, target)
        last = _checked_blocks(target, lengths, place)
        if not isinstance(data, (bytes, bytearray)):
            raise InputError(f"data: {type(data).__name__} is not bytes", hint="what to_bytes returns")
        if layout == structs.LAYOUT:
            structs.require_size(len(data), target, last)
            return cls._of_structs(bytes(data), target, lengths, place)
        given, what = len(data), f"{target.id} of shape {lengths}"
        least = target.bits_of(last) // 8  # before a shape that is too large allocates anything
        if given < least:
            raise InputError(f"{given} bytes are too few for {what}, which has {least}", hint="is the shape right?")
        parts = stored_parts(target, last, layout)
        sizes = [part.empty().nbytes for part in parts]
        if given != sum(sizes):
            raise InputError(f"{given} bytes are not the {sum(sizes)} of {what}", hint="is the layout right?")
        ends = np.cumsum(sizes).tolist()
        rows = [
            part.codes(memoryview(data)[end - size : end]) for part, size, end in zip(parts, sizes, ends, strict=True)
        ]
        shapes = [target.codes_shape(last), *(field.grid(last) for field in target.scales)]
        turned = (row.reshape(own) for row, own in zip(rows, shapes, strict=True))
        codes, *scales = (np.moveaxis(array, -1, place).copy("C") if array.ndim else array for array in turned)
        names = [field.name for field in target.scales]
        return cls.trusted(target, place, codes, dict(zip(names, scales, strict=True)))

    def __getstate__(self) -> dict[str, object]:
        """For pickle and copy, which take no read-only mapping."""
        scales = dict(self.scales)
        return self.__dict__ | {"scales": scales}

    def __repr__(self) -> str:
        return f"BlockTensor({self.format.id}, shape={self.shape}, axis={self.axis})"


def _checked_shape(shape: object) -> Shape:
    sequence = shape if isinstance(shape, (tuple, list)) else ("",)
    lengths = [int(length) for length in sequence if is_whole(length)]
    if len(lengths) < len(sequence) or min(lengths, default=0) < 0:
        raise InputError(f"shape = {shape!r} is not a tuple of lengths", hint="that of the values")
    if math.prod(length or 1 for length in lengths) > MOST_VALUES:
        raise InputError(f"shape = {shape!r} is more than {MOST_VALUES} values", hint="is it in elements?")
    return tuple(lengths)


@lru_cache(maxsize=256)
def _checked_blocks(fmt: BlockFormat, shape: Shape, axis: int) -> Shape:
    """The shape with the axis of the blocks last, which they divide but for the last one."""
    last = axis_last(shape, axis)
    fmt.check_shape(last, short=True)
    return last


def _check_types(fmt: object, shape: object, scales: object) -> None:
    if not isinstance(fmt, BlockFormat):
        raise InputError(f"format = {fmt!r} is not a BlockFormat", hint="lowbit.get_format('mxfp4'), say")
    if not isinstance(shape, (tuple, list)):
        raise InputError(f"shape = {shape!r} is not a tuple of lengths", hint="that of the codes")
    if not isinstance(scales, Mapping):
        known = ", ".join(field.name for field in fmt.scales)
        raise InputError(f"scales: {type(scales).__name__} is not a mapping", hint=f"a dict with {known}")


def checked_axis(axis: object, shape: Shape, fmt: BlockFormat) -> int:
    """The axis of the blocks, not negative.

    Raises
    ------
    InputError
    """
    axes = len(shape)
    if not axes:
        raise InputError(f"a number has no axis that blocks of {fmt.id} could lie along", hint="give an array")
    if not is_whole(axis) or not -axes <= axis < axes:
        raise InputError(f"axis = {axis!r} is not an axis of an array of shape {shape}", hint=f"-{axes} to {axes - 1}")
    return int(axis) % axes


def moved_last(array: Array, axis: int) -> Array:
    """A view with the axis of the blocks last; a number without axes as it is."""
    return array if _is_last(array, axis) else np.moveaxis(array, axis, -1)


def moved_back(array: Array, axis: int) -> Array:
    """The inverse of :func:`moved_last`, C-contiguous."""
    if not array.ndim:
        return array
    return np.ascontiguousarray(array if _is_last(array, axis) else np.moveaxis(array, -1, axis))


def _is_last(array: Array, axis: int) -> bool:
    """Whether nothing moves: np.moveaxis takes longer to find that out than the fastest kernels for a row."""
    return array.ndim == 0 or axis in (-1, array.ndim - 1)


def axis_last(shape: Shape, axis: int) -> Shape:
    """A shape with the axis of the blocks last."""
    return (*shape[:axis], *shape[axis + 1 :], shape[axis])


def axis_back(grid: Shape, axis: int) -> Shape:
    """The inverse of :func:`axis_last`; a grid of no axes stays."""
    return (*grid[:-1][:axis], grid[-1], *grid[:-1][axis:]) if grid else ()


def to_codes(array: Array, fmt: Scalar, role: str) -> Array:
    """The codes of scales as a BlockTensor has them."""
    if fmt.id in PLAIN and np.asarray(array).dtype == np.dtype(fmt.id):
        return np.ascontiguousarray(array).view(fmt.code_dtype).reshape(np.shape(array))
    try:
        return checked_codes(array, fmt)
    except InputError as error:
        raise InputError(f"{role}: {error.message}", hint=error.hint) from error


def from_codes(codes: Array, fmt: Scalar) -> Array:
    """Scales as a BlockTensor has them."""
    return np.ascontiguousarray(codes).view(fmt.id).reshape(codes.shape) if fmt.id in PLAIN else codes
