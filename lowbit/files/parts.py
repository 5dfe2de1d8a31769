"""The tensors of a file that hold one tensor in a block format: its codes, and the scales of each field."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.files.safetensors import DTYPES, PACKED, Entry, TensorFile
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.protocol import Element
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import Array, check_range
from lowbit.ops.block.dequantize import dequantize, lost_blocks
from lowbit.ops.block.rows import each_slab, extremes, quantize_slabs, slabs
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import encode
from lowbit.ops.pack.pack import pack, unpack
from lowbit.policy.block import BlockPolicy
from lowbit.printable import excerpt

CODES, SHAPE = "codes", "shape"
"""The roles of the codes and of the lengths of the axes; the others are names of scale fields."""

LEFT_AS_IS = "leave the tensor out with --exclude"
"""The way out where a tensor cannot be quantised."""


INPUT_SCALE, INPUT_ORDER = "input_scale", "input_order"
"""The roles of a factor of each input of a matrix, and of the order that its inputs are in."""


@dataclass(frozen=True, eq=False)
class CodedTensor:
    """A matrix (outputs, inputs) that is quantised already.

    Attributes
    ----------
    tensor : BlockTensor
        The blocks along the last axis.
    inputs : pair of str and ndarray, optional
        "input_scale" and factors, shape (inputs,), that the columns were multiplied with; or "input_order" and places:
        column k was column ``places[k]``.
    lost : int
        Its blocks that are zero although the weights are not.
    """

    tensor: BlockTensor
    inputs: tuple[str, Array] | None = None
    lost: int = 0


def _unscaled(values: Array, codes: Array) -> Array:
    factors = codes.view(np.float64)
    if not (np.isfinite(factors) & (factors != 0)).all():
        raise InputError("a factor of an input is zero or not finite", hint="is the checkpoint damaged?")
    return values / factors


def _in_own_order(values: Array, places: Array) -> Array:
    if not np.array_equal(np.sort(places), np.arange(values.shape[-1])):
        raise InputError("the order of the inputs does not have each of them once", hint="is the checkpoint damaged?")
    result = np.empty_like(values)
    result[..., places] = values
    return result


UNDO: Mapping[str, Callable[[Array, Array], Array]] = {INPUT_SCALE: _unscaled, INPUT_ORDER: _in_own_order}


@dataclass(frozen=True)
class Part:
    """One of them.

    Attributes
    ----------
    name : str
        In the file.
    role : str
        "codes", "shape" or the name of a scale field.
    format : Element
        Of what it holds.
    grid : tuple of int
        The shape of the codes.
    dtype : str
        As safetensors calls it.
    shape : tuple of int
        In the header.
    layout : str
        How rows are packed, a name out of ``LAYOUTS``; "" for codes of whole bytes, as they are.
    columns : bool
        Whether columns are packed instead.
    """

    name: str
    role: str
    format: Element
    grid: Shape
    dtype: str
    shape: Shape
    layout: str = ""
    columns: bool = False

    @property
    def entry(self) -> Entry:
        """For the header."""
        return Entry(self.name, self.dtype, self.shape, 0, 0)

    @property
    def _word(self) -> np.dtype[np.generic]:
        if not self.layout:
            return np.dtype(self.format.code_dtype).newbyteorder("<")
        return np.dtype(np.uint8 if self.dtype in PACKED else DTYPES[self.dtype]).newbyteorder("<")

    def words(self, codes: Array) -> Array:
        """Codes as the file has them, row for row."""
        if self.layout:
            words = pack(codes.T if self.columns else codes, self.format, layout=self.layout)
            codes = words.T if self.columns else words
        elif self.dtype == "I8" and self.format.wraps and not self.format.signed_codes:
            # less half of their range, as packed ones are (pack-quantized has no unsigned codes)
            codes = (codes.astype(np.int16) - (1 << (self.format.bits - 1))).astype(np.int8).view(np.uint8)
        return codes.astype(self._word, copy=False)

    def codes(self, file: TensorFile, rows: slice = slice(None), *, padded: bool = False) -> Array:
        """The codes of some rows of the grid; ``padded``: bits that belong to none may be set.

        Raises
        ------
        InputError
            They are packed wrongly.
        """
        words = file.raw(self.name).view(self._word)
        if not self.layout:
            part = words.reshape(self.grid)[rows if self.grid else ()]
            codes = np.ascontiguousarray(part, self.format.code_dtype).reshape(part.shape)
            if self.format.bits < 8 * codes.itemsize:
                check_range(codes, self.format.codes[0], self.format.codes[-1], self.format.id)
            return codes
        if self.columns:
            turned = words.reshape(-1, self.grid[1]).T
            turned = turned & self._code_bits if padded else turned
            return unpack(turned, self.format, layout=self.layout, count=self.grid[0]).T[rows]
        some = words.reshape(*self.grid[:-1], -1)[rows]
        some = some & self._code_bits.reshape(-1) if padded else some
        return unpack(some, self.format, layout=self.layout, count=self.grid[-1])

    @property
    def pad_bits(self) -> int:
        """How many bits of the words belong to no code."""
        if not self.layout:
            return 0
        return math.prod(self.shape) * 8 * self._word.itemsize - math.prod(self.grid) * self.format.bits

    @property
    def _code_bits(self) -> Array:
        """The bits of the words of a row that belong to its codes."""
        ends = (self.format.codes[0], self.format.codes[-1])
        rows = (np.full((1, self.grid[0 if self.columns else -1]), code, self.format.code_dtype) for code in ends)
        first, last = (pack(row, self.format, layout=self.layout) for row in rows)
        return first | last  # whichever of them is all zeros: offset binary and two's complement differ there

    def pads_set(self, file: TensorFile) -> int:
        """How many of these bits are not zero."""
        if not self.pad_bits:
            return 0
        words = file.raw(self.name).view(self._word)
        rows = words.reshape(-1, self.grid[1]).T if self.columns else words.reshape(-1, self._code_bits.shape[-1])
        return int(np.bitwise_count(rows & ~self._code_bits).sum())

    def check(self, file: TensorFile) -> None:
        """Refuse a file that has it not, or in another dtype or shape; axes of length 1 do not matter.

        Raises
        ------
        InputError
        """
        what = f"{file.path}: tensor {excerpt(self.name)}"
        entry = file.entries.get(self.name)
        if entry is None:
            role = "codes" if self.role == CODES else f"scales {self.role!r}"
            raise InputError(f"{what} is missing, which has the {role}", hint="is the checkpoint complete?")
        lengths = [tuple(length for length in shape if length != 1) for shape in (entry.shape, self.shape)]
        if entry.dtype != self.dtype or lengths[0] != lengths[1]:
            found = f"{excerpt(entry.dtype, quoted=False)} {excerpt(str(entry.shape), quoted=False)}"
            raise InputError(f"{what} is {found}, not {self.dtype} {self.shape}")


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in a block format as a file has it, the axis of the blocks last.

    Attributes
    ----------
    name : str
        Of the tensor of values.
    shape : tuple of int
    format : BlockFormat
    parts : tuple of Part
    """

    name: str
    shape: Shape
    format: BlockFormat
    parts: tuple[Part, ...]

    @property
    def size(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)

    def scale_codes(self, file: TensorFile, *, padded: bool = False) -> dict[str, Array]:
        """The codes of each scale field; ``padded``: as for :meth:`Part.codes`."""
        fields = {field.name for field in self.format.scales}
        return {part.role: part.codes(file, padded=padded) for part in self.parts if part.role in fields}

    def block(self, file: TensorFile, scales: Mapping[str, Array], rows: slice, *, padded: bool = False) -> BlockTensor:
        """Some rows as they are stored; no block of ``scales``, those of the whole tensor, lies across their ends."""
        some, codes = {}, self._codes.codes(file, rows, padded=padded)
        for field in self.format.scales:
            extent = field.extents(self.shape)[0]
            own = scales[field.name]
            some[field.name] = own[rows.start // extent : -(-rows.stop // extent)] if field.block else own
        return BlockTensor.trusted(self.format, len(self.shape) - 1, codes, some)

    @property
    def _codes(self) -> Part:
        return next(part for part in self.parts if part.role == CODES)

    def check(self, file: TensorFile) -> None:
        """Refuse a file in which a part is missing or misshapen."""
        for part in self.parts:
            if part.role != SHAPE:  # which is known by now
                part.check(file)

    def quantized(
        self, values: Array, policy: BlockPolicy | str | None, threads: int, importance: Array | None = None
    ) -> tuple[list[Array], int]:
        """The words of each part, for values of the shape, and how many blocks are zero although their values are not.

        ``importance`` is as for :func:`quantize_slabs`.

        Raises
        ------
        InputError
            The policy refuses a value, or a value or a scale is NaN or infinite. One such value spoils its block, and
            all of them where a scale is of the whole tensor; a policy may hide it behind the largest scale. Nor is a
            NaN scale safe in a file: compressed-tensors reads E8M0's, code 255, as infinity.
        """
        lost = []

        def use(tensor: BlockTensor, values: Array) -> dict[str, Array]:
            lost.append(lost_blocks(tensor, values))
            scales = {field.name: tensor.scale_codes(field.name) for field in self.format.scales}
            return {CODES: self._codes.words(tensor.codes), **scales}

        options: dict[str, Any] = {"policy": policy, "threads": threads, "importance": importance}
        rows = quantize_slabs(values, self.format, use, refuse=refusal(values), **options)
        self._refuse_scales(rows)
        return [self._joined(part, rows) for part in self.parts], sum(lost)

    def coded(self, coded: CodedTensor) -> list[Array]:
        """The words of each part, for codes and scales that are there already.

        Raises InputError: a scale is NaN or infinite.
        """
        tensor = coded.tensor
        rows = {CODES: self._codes.words(tensor.codes)}
        rows |= {field.name: tensor.scale_codes(field.name) for field in self.format.scales}
        if coded.inputs is not None:
            role, vector = coded.inputs
            rows[role] = np.ascontiguousarray(vector).view(np.uint64 if role == INPUT_SCALE else np.int64)
        self._refuse_scales([rows])
        return [self._joined(part, [rows]) for part in self.parts]

    def _refuse_scales(self, scales: Sequence[Mapping[str, Array]]) -> None:
        for field in self.format.scales:
            if not all(np.isfinite(field_values(some[field.name], field)).all() for some in scales):
                raise InputError(f"a scale {field.name!r} is NaN or infinite", hint=LEFT_AS_IS)

    def _joined(self, part: Part, slabs_of: Sequence[Mapping[str, Array]]) -> Array:
        if part.role == SHAPE:
            return np.array(self.shape, "<i8")
        arrays = [slab[part.role] for slab in slabs_of]
        if part.role == CODES:
            return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)
        return part.words(np.concatenate(arrays) if part.grid else arrays[0])

    def dequantized(
        self, file: TensorFile, dtype: np.dtype[np.generic], decode: Callable[[BlockTensor], Array], threads: int
    ) -> Array:
        """The values, as a function of the block tensor of each slab gives them.

        Raises
        ------
        InputError
            Values are beyond the dtype: the function made infinities of them.
        """
        result = np.empty(self.shape, dtype)
        scales = self.scale_codes(file)
        inputs = [(UNDO[part.role], part.codes(file)) for part in self.parts if part.role in UNDO]

        def work(rows: slice) -> int:
            block = self.block(file, scales, rows)
            wide = dequantize(block, dtype=np.float64) if inputs else None
            if wide is None:
                result[rows] = decode(block)
            else:
                ((undo, vector),) = inputs
                result[rows] = encode(undo(wide, vector), scalar_format(dtype), policy="ieee").view(dtype)
            if np.isfinite(extremes(result[rows])).all():
                return 0
            # infinities and NaN of the checkpoint's own are values like others
            finite = np.isfinite(dequantize(block, dtype=np.float64) if wide is None else wide)
            return int(np.count_nonzero(np.isinf(result[rows]) & finite))

        beyond = sum(each_slab(work, slabs(self.format, self.shape), threads))
        if beyond:
            words = f"{beyond:,} of its {self.size:,} values {'is' if beyond == 1 else 'are'} beyond {dtype.name}"
            hint = "are its scales damaged?" if dtype.name == "float32" else "a wider dtype holds them: --to float32"
            raise InputError(words, hint=hint)
        return result


def refusal(values: Array) -> Callable[[slice, Array], None]:
    """What refuses a slab of values of which one is NaN or infinite, as ``quantize_slabs`` takes it."""

    def refuse(rows: slice, few: Array) -> None:
        if not np.isfinite(few).all():
            row, *others = (int(at) for at in np.argwhere(~np.isfinite(values[rows]))[0])
            place = (rows.start + row, *others)
            what = f"a block has NaN or infinity: the value at {place} is {values[place]}"
            raise InputError(what, hint=LEFT_AS_IS)

    return refuse


def raw_bytes(words: Array) -> Array:
    """Words as ``write_tensors`` takes bytes."""
    return np.ascontiguousarray(words).reshape(-1).view(np.uint8)


def word_shape(shape: Shape, bits: int, word_bits: int) -> Shape:
    """The shape of rows that are packed densely into words."""
    return (*shape[:-1], math.ceil(shape[-1] * bits / word_bits))
