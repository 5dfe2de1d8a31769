"""Safetensors files, read and written one tensor at a time: memory maps, nothing copied, any dtype NumPy can be taught.

Nothing that a header claims is believed before it fits the file, so a hostile one costs no more memory than itself. The
format: eight bytes with the header's length (little endian), a JSON header of name -> dtype, shape, offsets, then
the raw little-endian data. (https://github.com/huggingface/safetensors, README "Format". The package of that name is
not used here: its NumPy front end reads no 8-bit floats, and a header is all that there is to it.)
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files import coded
from lowbit.files.kinds import SAFETENSORS, wrong_kind
from lowbit.files.reading import unreadable
from lowbit.files.whole import whole_file
from lowbit.ops.pack.pack import pack, unpack
from lowbit.printable import excerpt

_LENGTH_BYTES = 8
_LONGEST_HEADER = 100_000_000
"""The format's own limit on the header, in bytes."""
_MOST_AXES = 64
_MOST_BYTES = (1 << 63) - 1
"""NumPy's limits of an array, axes of length 0 left out."""

DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "F8_E5M2": ml_dtypes.float8_e5m2,
    "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz,
    "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E8M0": ml_dtypes.float8_e8m0fnu,
    "C64": np.complex64,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
FLOATING = frozenset(name for name in DTYPES if name.startswith(("F", "BF"))) - {"F8_E8M0"}
"""Of weights: E8M0 has scales only."""

PACKED = {"F4": ml_dtypes.float4_e2m1fn, "F6_E2M3": ml_dtypes.float6_e2m3fn, "F6_E3M2": ml_dtypes.float6_e3m2fn}
"""Dtypes of less than a byte, as NumPy has them: codes one after the other from the lowest bit on."""


@dataclass(frozen=True)
class Entry:
    """What the header says of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    stop: int

    @property
    def size(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)

    @property
    def bits(self) -> int | None:
        """How many bits a number has; None where the dtype is unknown."""
        if self.dtype in PACKED:
            return int(self.dtype[1])
        return 8 * np.dtype(DTYPES[self.dtype]).itemsize if self.dtype in DTYPES else None

    @property
    def floating(self) -> bool:
        """Whether it holds floating-point numbers."""
        return self.dtype in FLOATING


@dataclass(frozen=True)
class TensorFile:
    """A safetensors file whose header has been read and checked.

    Parameters
    ----------
    path : Path
    entries : dict of str to Entry
        In the order of the file's data.
    metadata : dict of str to str
        Text about the model: which framework wrote it, for example.
    coders : dict of str to str
        How tensors are coded whose data are streams; entries say what they are without that.
    """

    path: Path
    entries: dict[str, Entry]
    metadata: dict[str, str] = field(default_factory=dict)
    coders: dict[str, str] = field(default_factory=dict, kw_only=True)

    def raw(self, name: str) -> NDArray[np.uint8]:
        """The bytes of one tensor, whatever its dtype, as a read-only view of the file, or decoded.

        Raises
        ------
        InputError
            There is no such tensor, or its stream is damaged.
        """
        entry = self._entry(name)
        if name in self.coders:
            return coded.decoded_from(self.path, entry.start, entry.stop, entry.dtype, entry.size, self.coders[name])
        if entry.stop == entry.start:
            return np.empty(0, dtype=np.uint8)
        return np.memmap(self.path, np.uint8, "r", offset=entry.start, shape=(entry.stop - entry.start,))

    def tensor(self, name: str) -> NDArray[Any]:
        """One tensor as a read-only view of the file; one of ``PACKED`` as a new array with a number a byte.

        Raises
        ------
        InputError
            There is no such tensor, or its dtype is not one of ``DTYPES`` and ``PACKED``.
        """
        entry = self._entry(name)
        if entry.dtype in PACKED:
            codes = unpack(self.raw(name), entry.bits or 0, count=entry.size)
            numbers: NDArray[Any] = codes.astype(np.uint8).view(PACKED[entry.dtype]).reshape(entry.shape)
            return numbers
        if entry.dtype not in DTYPES:
            what = f"tensor {excerpt(name)} is of dtype {excerpt(entry.dtype)}, which cannot be read"
            raise InputError(f"{self.path}: {what}")
        dtype = np.dtype(DTYPES[entry.dtype]).newbyteorder("<")
        tensor: NDArray[Any] = self.raw(name).view(dtype).reshape(entry.shape)
        return tensor

    def _entry(self, name: str) -> Entry:
        if name not in self.entries:
            raise InputError(f"{self.path} has no tensor {excerpt(name)}")
        return self.entries[name]


def read_header(path: str | Path) -> TensorFile:
    """Read and check the header of a safetensors file.

    Raises
    ------
    InputError
        The file cannot be read, is truncated, or its header contradicts itself; the message says where.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            total = path.stat().st_size
            length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
            if total < _LENGTH_BYTES or length > min(_LONGEST_HEADER, total - _LENGTH_BYTES):
                what = f"its first eight bytes announce a header of {length:,} bytes, and it is truncated at {total:,}"
                raise wrong_kind(path, SAFETENSORS, what)
            header = file.read(length)
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        document = json.loads(header.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: the header is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: the header is not a JSON object")
    metadata = document.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: the header's __metadata__ is not a table of text")
    data = _LENGTH_BYTES + length
    entries = [_entry(path, name, value, data, total) for name, value in document.items()]
    entries.sort(key=lambda entry: (entry.start, entry.stop))
    _check_places(path, entries, data, total)
    records = coded.read(path, metadata.pop(coded.KEY)) if coded.KEY in metadata else {}
    by_name = {entry.name: entry for entry in entries}
    coders = {name: record.coder for name, record in records.items() if name in by_name}
    for name in coders:
        by_name[name] = _uncoded(path, by_name[name], records[name])
    return TensorFile(path, by_name, metadata, coders=coders)


def _uncoded(path: Path, entry: Entry, record: coded.Record) -> Entry:
    """What a coded tensor is without that."""
    if entry.dtype != "U8" or len(entry.shape) != 1 or len(record.shape) > _MOST_AXES:
        raise InputError(f"{path}: tensor {excerpt(entry.name)}, which is coded, is not a list of bytes")
    return replace(entry, dtype=record.dtype, shape=record.shape)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose names are all different."""
    if len(dict(pairs)) != len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"{excerpt(twice)} is there twice")
    return dict(pairs)


def _check_places(path: Path, entries: list[Entry], data: int, total: int) -> None:
    """The format wants every byte of the data in one tensor: no overlaps, no holes."""
    end = data
    for entry in entries:
        if entry.start != end:
            what = "overlaps the one before" if entry.start < end else "leaves a hole after the one before"
            place = f"tensor {excerpt(entry.name)} at byte {entry.start:,}"
            raise InputError(f"{path}: {place} {what}, which ends at {end:,}")
        end = entry.stop
    if end != total:
        raise InputError(f"{path}: the tensors end at byte {end:,} of {total:,}; the rest belongs to none")


def _entry(path: Path, name: str, value: Any, data: int, total: int) -> Entry:
    where = f"{path}: tensor {excerpt(name)}"
    try:
        dtype, shape, (start, stop) = value["dtype"], tuple(value["shape"]), value["data_offsets"]
    except (TypeError, KeyError, ValueError) as error:
        raise InputError(f"{where} lacks dtype, shape or data_offsets in the header") from error
    if not isinstance(dtype, str) or any(type(n) is not int or n < 0 for n in (*shape, start, stop)):
        raise InputError(f"{where} is {excerpt(str(value))} in the header: counts of bytes and lengths are needed")
    entry = Entry(name, dtype, shape, data + start, data + stop)
    if any("\ud800" <= letter <= "\udfff" for letter in name):
        raise InputError(f"{where}: its name is not text: it has half a surrogate pair")
    if len(shape) > _MOST_AXES:
        raise InputError(f"{where} has {len(shape)} axes; {_MOST_AXES} are the most that can be read")
    if stop < start:
        raise InputError(f"{where} ends at {stop:,}, before it starts at {start:,}")
    if data + stop > total:
        raise InputError(f"{path} is truncated: tensor {excerpt(name)} ends at byte {data + stop:,} of {total:,}")
    if entry.bits is not None:
        if entry.size * entry.bits != 8 * (stop - start):
            what = f"of shape {excerpt(str(shape), quoted=False)} and dtype {dtype}"
            raise InputError(f"{where} {what} does not fill its {stop - start:,} bytes")
        if prod(length for length in shape if length) * entry.bits > 8 * _MOST_BYTES:
            what = f"and the others of {excerpt(str(shape), quoted=False)} are beyond 2^63 bytes"
            raise InputError(f"{where} has an axis of length 0, {what}")
    return entry


def write_tensors(
    path: str | Path,
    entries: Iterable[Entry],
    tensors: Iterable[NDArray[Any]],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file, one tensor at a time: whole, or not at all.

    Parameters
    ----------
    path : path
    entries : iterable of Entry
        Name, dtype and shape of each; where they stood in another file does not matter.
    tensors : iterable of numpy.ndarray
        Their data, in the same order: of that dtype and shape, or the bytes as they are.
    metadata : mapping of str to str, optional
        Text for the header.

    Raises
    ------
    InputError
        The file cannot be written, or a tensor is not of the announced dtype and shape.
    """
    entries = list(entries)
    header: dict[str, Any] = {"__metadata__": dict(metadata)} if metadata else {}
    offset = 0
    for entry in entries:
        stop = offset + bytes_of(entry)
        header[entry.name] = {"dtype": entry.dtype, "shape": list(entry.shape), "data_offsets": [offset, stop]}
        offset = stop
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH_BYTES)  # data starts at a multiple of eight bytes, as the format asks
    with whole_file(path) as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        for entry, tensor in zip(entries, tensors, strict=True):
            raw = tensor.dtype == np.uint8 and tensor.shape == (bytes_of(entry),)
            own = {**DTYPES, **PACKED}.get(entry.dtype, object)
            if not raw and (tensor.shape != entry.shape or tensor.dtype != own):
                what = f"tensor {excerpt(entry.name)} is {tensor.dtype} {tensor.shape}"
                raise InputError(f"{what}, not {entry.dtype} {entry.shape} as announced")
            data = np.ascontiguousarray(tensor).reshape(-1).view(np.uint8)
            file.write(data.data if raw or entry.dtype not in PACKED else pack(data, entry.bits or 0).data)


def bytes_of(entry: Entry) -> int:
    """How many bytes a tensor takes in a file."""
    if entry.bits is None:
        return entry.stop - entry.start
    if entry.size * entry.bits % 8:
        raise InputError(f"tensor {excerpt(entry.name)} of {entry.size:,} {entry.dtype} numbers does not end at a byte")
    return entry.size * entry.bits // 8
