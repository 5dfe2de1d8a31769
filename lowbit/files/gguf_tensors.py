"""Tensors of GGUF files in ggml's blocks: type ``Q4_K`` there is the format ``ggml_q4_k`` here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.errors import FormatError, InputError
from lowbit.files.compressed_tensors import GGML
from lowbit.files.gguf import TYPES, GgufFile
from lowbit.files.gguf_values import Value
from lowbit.files.parts import CODES, CodedTensor, Part, StoredTensor, refusal
from lowbit.files.safetensors import DTYPES, Entry, TensorFile
from lowbit.format.block import BlockFormat, Shape
from lowbit.format.registry import block_format_of
from lowbit.ops.arrays import Array
from lowbit.ops.block.dequantize import dequantize, lost_blocks
from lowbit.ops.block.rows import quantize_slabs
from lowbit.ops.block.tensor import BlockTensor
from lowbit.policy.block import BlockPolicy
from lowbit.printable import counted, excerpt

OF_ACTIVATIONS = ("ggml_q8_1", "ggml_q8_k")
"""Types that ggml makes of activations to multiply by: ``ggml_quantize_chunk`` (src/ggml.c) has no weights in them."""
LAYOUT = "ggml"
BLOCKS_VERSION = {"general.quantization_version": Value("uint32", 2)}
"""GGML_QNT_VERSION (include/ggml.h)."""


def type_of(fmt: BlockFormat) -> str | None:
    """The type that GGUF has for a format; None where it has none."""
    name = fmt.id.removeprefix(GGML).upper()
    return name if fmt.id.startswith(GGML) and name in TYPES else None


def format_of(dtype: str) -> BlockFormat | None:
    """The format of a type of blocks; None for plain types, and for those that are not decoded here (IQ1 to IQ3)."""
    if TYPES[dtype][1] == 1:
        return None
    try:
        return block_format_of(f"{GGML}{dtype.lower()}")
    except FormatError:
        return None


def formats() -> list[BlockFormat]:
    """The formats that GGUF has a type for."""
    return [fmt for fmt in map(format_of, TYPES) if fmt is not None]


@dataclass(frozen=True)
class StructTensor(StoredTensor):
    """A tensor whose scales lie in the structs of its blocks."""

    def scale_codes(self, file: TensorFile, *, padded: bool = False) -> dict[str, Array]:
        """None: they come with the codes."""
        del file, padded
        return {}

    def block(self, file: TensorFile, scales: Mapping[str, Array], rows: slice, *, padded: bool = False) -> BlockTensor:
        """Some rows; of a tensor of one axis all of it."""
        del scales, padded
        data = file.raw(self.name)
        shape = self.shape
        if len(shape) > 1:
            size = len(data) // shape[0]
            data, shape = data[rows.start * size : rows.stop * size], (rows.stop - rows.start, *shape[1:])
        return BlockTensor.from_bytes(data.tobytes(), self.format, shape, layout=LAYOUT)

    def quantized(
        self, values: Array, policy: BlockPolicy | str | None, threads: int, importance: Array | None = None
    ) -> tuple[list[Array], int]:
        """The structs of values, and how many blocks are zero although their values are not."""

        def use(tensor: BlockTensor, some: Array) -> tuple[Array, int]:
            self._refuse_scales([{field.name: tensor.scale_codes(field.name) for field in self.format.scales}])
            return structs(tensor), lost_blocks(tensor, some)

        options: dict[str, Any] = {"policy": policy, "threads": threads, "importance": importance}
        parts = quantize_slabs(values, self.format, use, refuse=refusal(values), **options)
        return [np.concatenate([data for data, _ in parts])], sum(lost for _, lost in parts)

    def coded(self, coded: CodedTensor) -> list[Array]:
        """The structs of codes and scales that are there already."""
        self._refuse_scales([{field.name: coded.tensor.scale_codes(field.name) for field in self.format.scales}])
        return [structs(coded.tensor)]


def structs(tensor: BlockTensor) -> Array:
    """A tensor as GGUF has it."""
    return np.frombuffer(tensor.to_bytes(layout=LAYOUT), np.uint8)


def trits_audit(octets: Array) -> tuple[int, int, float]:
    """Of bytes of TQ1_0 that others stand for as well: how many encoding writes otherwise, all, and their bits.

    A byte has five digits to the base of 3, the last four of a block four: 243 and 81 numbers for 256 bytes.
    """
    count, places, bits = 0, 0, 0.0
    blocks = octets.reshape(-1, TYPES["TQ1_0"][2])
    for part, digits in ((blocks[:, :48], 5), (blocks[:, 48:52], 4)):
        number, rest = np.zeros(256, np.int64), np.arange(256)
        for _ in range(digits):
            rest = rest * 3
            number, rest = 3 * number + (rest >> 8), rest & 255
        scaled = number * 3 ** (5 - digits)
        canonical = -(-scaled * 256 // 243)
        alike = np.bincount(number)[number]
        here = np.bincount(part.reshape(-1), minlength=256)
        count += int(here[canonical != np.arange(256)].sum())
        places += int(here[alike > 1].sum())
        bits += float((here * np.log2(alike)).sum())
    return count, places, bits


def stored(name: str, shape: Shape, fmt: BlockFormat) -> StructTensor:
    """How a tensor is stored in a format that GGUF has."""
    dtype = type_of(fmt) or ""
    return StructTensor(name, shape, fmt, (Part(name, CODES, fmt.element, shape, dtype, shape),))


def read(file: GgufFile) -> list[StructTensor]:
    """The tensors of a file that are in formats of lowbit."""
    formats = {entry.name: format_of(entry.dtype) for entry in file.entries.values() if entry.size}
    return [stored(name, file.entries[name].shape, fmt) for name, fmt in formats.items() if fmt is not None]


def undecoded(file: GgufFile) -> list[Entry]:
    """The tensors of types that are not decoded here."""
    return [entry for entry in file.entries.values() if entry.dtype not in DTYPES and format_of(entry.dtype) is None]


def decoded(tensor: BlockTensor, dtype: np.dtype[np.generic]) -> Array:
    """The values as llama.cpp has them: in binary32, and rounded from there."""
    values = dequantize(tensor, dtype=np.float32)
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(dtype)


def values_of(file: GgufFile, name: str) -> Array:
    """A tensor in binary32: numbers as they are, and of ggml's blocks what llama.cpp makes of them.

    Raises InputError: there is no such tensor, or it is of a type that is not decoded.
    """
    data = file.raw(name)  # which refuses a name that is not there
    entry = file.entries[name]
    if entry.dtype in DTYPES:
        with np.errstate(over="ignore", invalid="ignore"):  # binary64 beyond binary32, a signalling NaN
            return np.asarray(file.tensor(name)).astype(np.float32)
    fmt = format_of(entry.dtype)
    if fmt is None:
        raise InputError(f"{file.path}: tensor {excerpt(name)} is {entry.dtype}, which is not decoded here")
    return decoded(BlockTensor.from_bytes(data.tobytes(), fmt, entry.shape, layout=LAYOUT), np.dtype(np.float32))


def why_not(entry: Entry, fmt: BlockFormat) -> str:
    """Why a tensor cannot be in a format, so that it stays as it is; "" where it can."""
    dtype = type_of(fmt) or ""
    values = TYPES[dtype][1]
    if entry.shape[-1] % values:
        return f"a row of {entry.shape[-1]:,} values is not a multiple of the {values} of a block of {dtype}"
    return ""


def require_plain(file: TensorFile, names: Sequence[str]) -> None:
    """Refuse tensors that are copied and of a dtype that GGUF lacks: InputError."""
    for name in names:
        dtype = file.entries[name].dtype
        if dtype not in TYPES:
            what = f"tensor {excerpt(name)} is {excerpt(dtype, quoted=False)}, for which GGUF has no type"
            raise InputError(f"{file.path}: {what}", hint="write it without that tensor, or into a safetensors file")


def notes_on(file: TensorFile, formats: Mapping[str, BlockFormat], names: Sequence[str]) -> tuple[str, ...]:
    """What a user should know of a GGUF file: of tensors with formats, ``names`` have a place in it."""
    count = len(formats) - len(names)
    left = "left as it is; llama.cpp takes it" if count == 1 else "left as they are; llama.cpp takes them"
    notes = [f"{counted(count, 'tensor')} with rows that are not whole blocks {left}"]
    activations = [name for name in OF_ACTIVATIONS if name in {formats[one].id for one in names}]
    if activations:
        notes.append(f"{' and '.join(activations)}: types of activations, in which llama.cpp runs no weights")
    if not isinstance(file, GgufFile):
        notes.append("names are those of the source and there is no model's metadata: convert the model to GGUF first")
    return tuple(notes[not count :])


def require_types(formats: Sequence[BlockFormat]) -> None:
    """Refuse formats that GGUF does not have: InputError."""
    for fmt in formats:
        if type_of(fmt) is None:
            raise InputError(f"GGUF has no type for {excerpt(fmt.id)}", hint="ggml_q4_k, ggml_q8_0, for example")
