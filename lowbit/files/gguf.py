"""GGUF files, read and written one tensor at a time: metadata, infos of tensors, and the data of ggml's types as it is.

Nothing that a header claims is believed before it fits the file, so a hostile one costs little more memory than its own
bytes. The format: docs/gguf.md of https://github.com/ggml-org/ggml, versions 2 and 3, little-endian; what ggml's own
reader (src/gguf.cpp) refuses is refused here. The PyPI package ``gguf`` is what tests compare with, and not used here:
it believes lengths, and a header that lies ends in its tracebacks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files.gguf_values import Cursor, Value, text_bytes, value_bytes
from lowbit.files.kinds import GGUF, wrong_kind
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import DTYPES, Entry, TensorFile
from lowbit.files.whole import whole_file
from lowbit.printable import excerpt

MAGIC = b"GGUF"
VERSIONS = (2, 3)
ALIGNMENT = "general.alignment"
_FILE_TYPE = "general.file_type"
"""Which type most tensors have, as llama.cpp numbers its mixtures."""
_USUAL_ALIGNMENT = 32
_MOST_AXES = 4
_LONGEST_NAME = 63
"""Bytes of a tensor's name that ggml keeps: GGML_MAX_NAME less the end (include/ggml.h)."""
_MOST_VALUES = (1 << 63) - 1

TYPES: Mapping[str, tuple[int, int, int]] = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q4_1": (3, 32, 20),
    "Q5_0": (6, 32, 22),
    "Q5_1": (7, 32, 24),
    "Q8_0": (8, 32, 34),
    "Q8_1": (9, 32, 36),
    "Q2_K": (10, 256, 84),
    "Q3_K": (11, 256, 110),
    "Q4_K": (12, 256, 144),
    "Q5_K": (13, 256, 176),
    "Q6_K": (14, 256, 210),
    "Q8_K": (15, 256, 292),
    "IQ2_XXS": (16, 256, 66),
    "IQ2_XS": (17, 256, 74),
    "IQ3_XXS": (18, 256, 98),
    "IQ1_S": (19, 256, 50),
    "IQ4_NL": (20, 32, 18),
    "IQ3_S": (21, 256, 110),
    "IQ2_S": (22, 256, 82),
    "IQ4_XS": (23, 256, 136),
    "I8": (24, 1, 1),
    "I16": (25, 1, 2),
    "I32": (26, 1, 4),
    "I64": (27, 1, 8),
    "F64": (28, 1, 8),
    "IQ1_M": (29, 256, 56),
    "BF16": (30, 1, 2),
    "TQ1_0": (34, 256, 54),
    "TQ2_0": (35, 256, 66),
    "MXFP4": (39, 32, 17),
    "NVFP4": (40, 64, 36),
    "Q1_0": (41, 128, 18),
    "Q2_0": (42, 64, 18),
}
"""Types of tensors -> number, values of a block, bytes of a block (include/ggml.h, src/ggml-common.h)."""
_NAMES = {number: name for name, (number, _, _) in TYPES.items()}


@dataclass(frozen=True)
class GgufFile(TensorFile):
    """A GGUF file whose header has been read and checked; shapes are NumPy's, so the rows of blocks are the last axis.

    Attributes
    ----------
    values : dict of str to Value
        The metadata with its types, in the order of the file; ``metadata``, text of safetensors, is empty.
    version : int
    header : int
        Where the header ends.
    """

    values: Mapping[str, Value] = field(default_factory=dict)
    version: int = VERSIONS[-1]
    header: int = 0


def padding_of(file: GgufFile) -> NDArray[np.uint8]:
    """The bytes between the header, the tensors and the end of a file, which belong to nothing."""
    data = np.memmap(file.path, np.uint8, "r")
    ends = sorted((entry.start, entry.stop) for entry in file.entries.values())
    gaps = pairwise([(0, file.header), *ends, (len(data), 0)])
    return np.concatenate([data[end:start] for (_, end), (start, _) in gaps])


def kept_values(file: TensorFile) -> dict[str, Value]:
    """The metadata that stays true of a file whose tensors are of other types; none of other files than GGUF."""
    values = file.values if isinstance(file, GgufFile) else {}
    return {key: value for key, value in values.items() if key != _FILE_TYPE}


def is_gguf(path: Path) -> bool:
    """Whether a file begins as a GGUF file does."""
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError:
        return False


def type_bytes(dtype: str, shape: tuple[int, ...]) -> int:
    """How many bytes a tensor takes.

    Raises InputError: the type is unknown, or its blocks do not fill the rows.
    """
    if dtype not in TYPES:
        raise InputError(f"GGUF has no type {excerpt(dtype)}", hint=f"one of {', '.join(TYPES)}")
    _, values, size = TYPES[dtype]
    row = shape[-1] if shape else 1
    if row % values:
        raise InputError(f"a row of {row:,} values is not a multiple of the {values} that a block of {dtype} has")
    return prod(shape) // values * size


def read_gguf(path: str | Path) -> GgufFile:
    """Read and check the header of a GGUF file.

    Raises
    ------
    InputError
        The file cannot be read, is truncated, not of a version that is read, or its header contradicts itself or the
        file; the message says where.
    """
    path = Path(path)
    try:
        with path.open("rb"):
            data = np.memmap(path, np.uint8, "r").data if path.stat().st_size else memoryview(b"")
    except OSError as error:
        raise unreadable(path, error) from error
    cursor = Cursor(path, data)
    version, tensors, pairs = _start(cursor)
    values: dict[str, Value] = {}
    for _ in range(pairs):
        key = cursor.name("a key of the metadata")
        if key in values:
            raise InputError(f"{path}: the metadata has {excerpt(key)} twice")
        values[key] = cursor.value(f"metadata {excerpt(key)}")
    infos = [_info(cursor) for _ in range(tensors)]
    alignment = alignment_of(values, path)
    start = _padded(cursor.at, alignment)
    return GgufFile(path, _entries(path, infos, start, alignment, len(data)), {}, values, version, cursor.at)


def _start(cursor: Cursor) -> tuple[int, int, int]:
    """The version, and the numbers of tensors and of values."""
    if bytes(cursor.data[: len(MAGIC)]) != MAGIC:
        raise wrong_kind(cursor.path, GGUF, f"it does not begin with {MAGIC.decode()}")
    cursor.at = len(MAGIC)
    version = cursor.number("I", "the version")
    if version not in VERSIONS:
        what = f"{cursor.path} is of GGUF version {version:,}, and {', '.join(map(str, VERSIONS))} are read"
        swapped = int.from_bytes(struct.pack(">I", version), "little") in VERSIONS
        hint = "it is big-endian: gguf-convert-endian of llama.cpp turns it" if swapped else "convert the model anew"
        raise InputError(what, hint=hint)
    tensors, pairs = cursor.number("Q", "the number of tensors"), cursor.number("Q", "the number of values")
    least = tensors * 24 + pairs * 13  # bytes of an info and of a pair whose names are empty
    if least > len(cursor.data) - cursor.at:
        cursor.take(least, f"a header of {tensors:,} tensors and {pairs:,} values")
    return version, tensors, pairs


def alignment_of(values: Mapping[str, Value], path: Path) -> int:
    """The alignment of the tensors.

    Raises InputError: it is not a power of two of type uint32, as ggml asks.
    """
    if ALIGNMENT not in values:
        return _USUAL_ALIGNMENT
    told = values[ALIGNMENT]
    if told.kind != "uint32" or told.value < 1 or told.value & (told.value - 1):
        what = f"{path}: {ALIGNMENT} is {told.kind} {excerpt(str(told.value), quoted=False)}"
        raise InputError(f"{what}, not a power of two of type uint32")
    return int(told.value)


def _info(cursor: Cursor) -> Entry:
    """What the header says of a tensor; offsets are from the start of the data."""
    name = cursor.name("the name of a tensor")
    where = f"{cursor.path}: tensor {excerpt(name)}"
    axes = cursor.number("I", f"tensor {excerpt(name)}")
    if axes > _MOST_AXES:
        raise InputError(f"{where} has {axes:,} axes; GGUF has {_MOST_AXES} at most")
    lengths = [cursor.number("Q", f"tensor {excerpt(name)}") for _ in range(axes)]
    number, offset = cursor.number("I", f"tensor {excerpt(name)}"), cursor.number("Q", f"tensor {excerpt(name)}")
    if number not in _NAMES:
        raise InputError(f"{where} is of type {number:,}, which is unknown or was removed from ggml")
    shape = tuple(reversed(lengths))
    if prod(length or 1 for length in shape) > _MOST_VALUES // 8:
        raise InputError(f"{where} of shape {shape} is beyond 2^63 bytes")
    try:
        size = type_bytes(_NAMES[number], shape)
    except InputError as error:
        raise InputError(f"{where}: {error.message}") from error
    return Entry(name, _NAMES[number], shape, offset, offset + size)


def _entries(path: Path, infos: list[Entry], start: int, alignment: int, total: int) -> dict[str, Entry]:
    """The tensors at their places in the file: none overlaps another, and nothing but padding is between them."""
    entries: dict[str, Entry] = {}
    end = 0
    for info in sorted(infos, key=lambda entry: (entry.start, entry.stop)):
        where = f"tensor {excerpt(info.name)} at byte {start + info.start:,}"
        if info.start != end:
            what = "overlaps the one before" if info.start < end else "leaves a hole after the one before"
            raise InputError(f"{path}: {where} {what}: it should begin at {start + end:,}")
        if start + info.stop > total:
            raise InputError(f"{path} is truncated: {where} ends at {start + info.stop:,} of {total:,}")
        end = _padded(info.stop, alignment)
    for info in infos:
        if info.name in entries:
            raise InputError(f"{path}: tensor {excerpt(info.name)} is there twice")
        entries[info.name] = Entry(info.name, info.dtype, info.shape, start + info.start, start + info.stop)
    if total > start + end:
        raise InputError(f"{path}: the tensors end at byte {start + end:,} of {total:,}; the rest belongs to none")
    return entries


def _padded(size: int, alignment: int) -> int:
    return -(-size // alignment) * alignment


def write_gguf(
    path: str | Path,
    entries: Iterable[Entry],
    tensors: Iterable[NDArray[Any]],
    values: Mapping[str, Value] | None = None,
    *,
    version: int = VERSIONS[-1],
) -> None:
    """Write a GGUF file, one tensor at a time: whole, or not at all.

    Parameters
    ----------
    path : path
    entries : iterable of Entry
        Name, type (one of ``TYPES``) and NumPy's shape of each; where they stood in another file does not matter.
    tensors : iterable of numpy.ndarray
        Their data, in the same order: of that dtype and shape, or the bytes as they are.
    values : mapping of str to Value, optional
        The metadata; ``general.alignment`` is obeyed.
    version : int

    Raises
    ------
    InputError
        The file cannot be written, a name or value has no place in it, or a tensor is not of the announced type.
    """
    entries, values = list(entries), values or {}
    alignment = alignment_of(values, Path(path))
    header = b"".join(_header(entries, values, version, alignment))
    with whole_file(path) as file:
        file.write(header + bytes(-len(header) % alignment))
        for entry, tensor in zip(entries, tensors, strict=True):
            size = type_bytes(entry.dtype, entry.shape)
            raw = tensor.dtype == np.uint8 and tensor.shape == (size,)
            if not raw and (tensor.shape != entry.shape or tensor.dtype != DTYPES.get(entry.dtype, object)):
                what = f"tensor {excerpt(entry.name)} is {tensor.dtype} {tensor.shape}"
                raise InputError(f"{what}, not {entry.dtype} {entry.shape} as announced")
            file.write(np.ascontiguousarray(tensor).reshape(-1).view(np.uint8).data)
            file.write(bytes(-size % alignment))


def _header(entries: list[Entry], values: Mapping[str, Value], version: int, alignment: int) -> Iterator[bytes]:
    if version not in VERSIONS:
        raise InputError(f"GGUF version {version} is not written", hint=f"one of {', '.join(map(str, VERSIONS))}")
    yield MAGIC + struct.pack("<IQQ", version, len(entries), len(values))
    for key, value in values.items():
        yield text_bytes(key)
        yield from value_bytes(value, key)
    offset = 0
    for entry in entries:
        name = text_bytes(entry.name)
        if len(name) - 8 > _LONGEST_NAME or len(entry.shape) > _MOST_AXES:
            what = f"tensor {excerpt(entry.name)} with {len(entry.shape)} axes has no place in a GGUF file"
            raise InputError(what, hint=f"names have at most {_LONGEST_NAME} bytes, tensors {_MOST_AXES} axes")
        size = type_bytes(entry.dtype, entry.shape)
        lengths = reversed(entry.shape)
        yield name + struct.pack(f"<I{len(entry.shape)}QIQ", len(entry.shape), *lengths, TYPES[entry.dtype][0], offset)
        offset += _padded(size, alignment)
