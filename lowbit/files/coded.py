"""Tensors of a safetensors file that are streams of :mod:`lowbit.entropy`: their codes, each in whole bytes, are coded.

The header says U8 and the length of the stream. What the tensor is stands in the metadata, under ``lowbit.entropy``, as
JSON: for each name its dtype, I8, U8, I16 or U16, its shape and its coder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from math import prod
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.files.reading import records_of_tensors

KEY = "lowbit.entropy"
SCHEMA = "lowbit/entropy/1"
CODERS = ("huffman", "rans")
DTYPES = {"U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16"}

_ONE = Lock()
"""Threads that want rows of one tensor wait for the first of them to decode it."""


def encoded(words: NDArray[np.uint8], dtype: str, coder: str) -> NDArray[np.uint8]:
    """The stream of codes, given as bytes."""
    from lowbit import entropy

    encode = entropy.rans_encode if coder == "rans" else entropy.huffman_encode
    return np.frombuffer(encode(words.view(np.dtype(DTYPES[dtype]).newbyteorder("<"))), np.uint8)


def decoded(stream: NDArray[np.uint8], dtype: str, size: int, coder: str) -> NDArray[np.uint8]:
    """The codes of a stream, as bytes.

    Raises InputError: it is damaged, or holds codes of another dtype or number.
    """
    from lowbit import entropy

    decode = entropy.rans_decode if coder == "rans" else entropy.huffman_decode
    codes = decode(stream, size=size)
    if codes.dtype.name != DTYPES[dtype]:
        raise InputError(f"the stream has codes of {codes.dtype}, not {DTYPES[dtype]}", hint="is the file damaged?")
    return codes.astype(codes.dtype.newbyteorder("<"), copy=False).view(np.uint8)


@lru_cache(maxsize=1)
def _kept(path: Path, state: tuple[int, int], start: int, stop: int, *what: Any) -> NDArray[np.uint8]:
    del state
    codes = decoded(np.memmap(path, np.uint8, "r", offset=start, shape=(stop - start,)), *what)
    codes.setflags(write=False)
    return codes


def decoded_from(path: Path, start: int, stop: int, dtype: str, size: int, coder: str) -> NDArray[np.uint8]:
    """The same of some bytes of a file; the tensor that was read last is kept, since it is read in slabs."""
    stat = path.stat()
    with _ONE:
        return _kept(path, (stat.st_mtime_ns, stat.st_size), start, stop, dtype, size, coder)


class Record(NamedTuple):
    """What a coded tensor is, and how it is coded."""

    dtype: str
    shape: tuple[int, ...]
    coder: str


def metadata(records: Mapping[str, Record]) -> dict[str, str]:
    """What the header says of coded tensors, by their names."""
    tensors = {name: {**record._asdict(), "shape": list(record.shape)} for name, record in records.items()}
    return {KEY: json.dumps({"schema": SCHEMA, "tensors": tensors})} if records else {}


def read(path: Path, text: str) -> dict[str, Record]:
    """The records of coded tensors.

    Raises InputError: the metadata is not such a record.
    """
    return records_of_tensors(text, SCHEMA, f"{path}: the metadata under {KEY!r}", "what is coded", _record)


def _record(record: Mapping[str, Any]) -> Record:
    dtype, shape, coder = record["dtype"], tuple(record["shape"]), record["coder"]
    if dtype not in DTYPES or coder not in CODERS:
        raise ValueError(f"dtype {dtype!r}, coder {coder!r}")
    if any(type(length) is not int or length < 0 for length in shape) or prod(shape) >= 1 << 62:
        raise ValueError(f"shape {shape}")
    return Record(dtype, shape, coder)
