"""Files of codes, one a row: the inputs of a device, and the answers of one that is somewhere else.

``.hex``, ``.txt`` and ``.mem``: hexadecimal codes, row 0 at address 0 (``lowbit.dut.memory_file``). ``.npy``: a vector
of integers. ``.bin``: the containers of the codes, little-endian. ``.vec``: the first column of a vector file (inputs
only).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.device import CANNOT_LOAD
from lowbit.dut.memory_file import Memory, read_memory
from lowbit.errors import DeviceError, InputError, VectorFileError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import from_patterns

TEXT_SUFFIXES = (".hex", ".txt", ".mem")


def read_codes(path: str | Path, fmt: Scalar) -> NDArray[Any]:
    """Read a vector of codes of a format.

    Raises InputError: the file cannot be read, is truncated, lacks a row, or holds what is not a code of the format.
    """
    file = Path(path)
    patterns = _read(file, fmt)
    if isinstance(patterns, Memory):
        patterns = _without_holes(patterns, file)
    return _checked(patterns, fmt, file, stray=False)


def read_results(path: str | Path, fmt: Scalar, count: int, *, beside: str, hint: str) -> NDArray[Any]:
    """Read the results of a device: codes of a format, or what is to be compared although it is not a code.

    ``count``: how many there should be. ``beside`` and ``hint``: what an error says after the number of results in the
    file, and how to mend it.

    Returns a masked array where some results were not written: their addresses were skipped, or have unknown digits.

    Raises InputError: the file cannot be read or is truncated; DeviceError: it holds another number of results.
    """
    file = Path(path)
    patterns = _read(file, fmt)
    if not isinstance(patterns, Memory):
        if len(patterns) != count:
            raise DeviceError(f"{path} holds {len(patterns)} results{beside}", hint=hint, code="LB604")
        return _checked(patterns, fmt, file, stray=True)
    if patterns.length > count or (patterns.length < count and not patterns.addressed):
        last = patterns.length - 1
        holds = f"results up to row {last} (@{last:x})" if patterns.addressed else f"{patterns.length} results"
        raise DeviceError(f"{path} holds {holds}{beside}", hint=hint, code="LB604")
    known = {address: word for address, word in patterns.words.items() if word is not None}
    rows = np.fromiter(known, np.intp)
    words, unwritten = np.zeros(count, np.uint64), np.ones(count, bool)
    words[rows], unwritten[rows] = np.fromiter(known.values(), np.uint64), False
    codes = _checked(words, fmt, file, stray=True)
    return np.ma.masked_array(codes, unwritten) if unwritten.any() else codes


def _read(file: Path, fmt: Scalar) -> NDArray[Any] | Memory:
    try:
        if file.suffix == ".vec":
            return _read_vec(file)
        if file.suffix == ".npy":
            return _read_npy(file)
        if file.suffix == ".bin":
            return _read_binary(file, fmt)
        if file.suffix in TEXT_SUFFIXES:
            return read_memory(file)
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}", code=CANNOT_LOAD) from error
    raise InputError(f"{file}: the suffix {file.suffix!r} is not known", hint="one of .hex .txt .mem .npy .bin .vec")


def _without_holes(memory: Memory, file: Path) -> NDArray[np.uint64]:
    hole = memory.first_hole()
    if hole is not None:
        raise InputError(
            f"{file}: the word at address {hole:#x} is missing; the last one is at {memory.length - 1:#x}",
            hint="inputs need a word at every address from 0 on; @ says where the next word goes",
        )
    words = [memory.words[address] for address in range(memory.length)]
    if None in words:
        raise InputError(
            f"{file}: the word at address {words.index(None):#x} is unresolved (x or z)",
            hint="inputs are known in every bit; 0x stands before every word, or before none",
        )
    return np.array(words, dtype=np.uint64)


def _read_vec(file: Path) -> NDArray[Any]:
    from lowbit.vectors.vec import read_vectors

    return np.ascontiguousarray(read_vectors(file).rows[:, 0])


def _read_npy(file: Path) -> NDArray[Any]:
    try:
        with file.open("rb") as stream:
            array = np.lib.format.read_array(stream, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:  # a damaged header can ask for any size
        raise VectorFileError(f"{file}: is damaged or truncated: {error}") from error
    if array.dtype.names:
        raise InputError(
            f"{file}: is a table of {', '.join(array.dtype.names)}, not a vector of integers",
            hint=f"save one field, numpy.load(...)[{array.dtype.names[0]!r}], or generate it without --expected",
        )
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise InputError(f"{file}: holds {array.dtype} of shape {array.shape}, not a vector of integers")
    return np.asarray(array)


def _read_binary(file: Path, fmt: Scalar) -> NDArray[Any]:
    data = file.read_bytes()
    width = np.dtype(fmt.code_dtype).itemsize
    if len(data) % width:
        raise VectorFileError(
            f"{file}: {len(data)} bytes are not a multiple of {width}: truncated, or of another format"
        )
    return np.frombuffer(data, np.dtype(fmt.code_dtype).newbyteorder("<")).astype(fmt.code_dtype)


def _checked(patterns: NDArray[Any], fmt: Scalar, file: Path, *, stray: bool) -> NDArray[Any]:
    """Patterns as codes; negative values are taken as codes of a signed integer format."""
    low, high = 0, (1 << fmt.bits) - 1
    if fmt.signed_codes and patterns.dtype.kind == "i":
        low, high = fmt.codes[0], fmt.codes[-1]
    wrong = np.asarray((patterns < low) | (patterns > high))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        if stray and int(patterns.max()) <= np.iinfo(np.int64).max:
            mixed = patterns.astype(np.int64)
            mixed[~wrong] = _as_codes(patterns[~wrong], fmt, signed=low < 0)
            return mixed
        raise InputError(
            f"{file}: row {row}: {int(patterns[row]):#x} is not a code of {fmt.id}, which has {fmt.bits} bits"
        )
    return _as_codes(patterns, fmt, signed=low < 0)


def _as_codes(patterns: NDArray[Any], fmt: Scalar, *, signed: bool) -> NDArray[Any]:
    """Bit patterns as codes; ``signed`` patterns are codes already."""
    return patterns.astype(fmt.code_dtype) if signed else from_patterns(patterns, fmt)
