"""A device somewhere else: its inputs and its answers as files, one code a row.

``.hex`` and ``.txt``: hexadecimal, one code a line, ``//`` and ``#`` comments (what ``$readmemh`` and ``$writememh``
exchange). ``.npy``: a vector of integers. ``.bin``: the containers of the codes, little-endian. ``.vec``: the first
column of a vector file (inputs only).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.device import CANNOT_LOAD
from lowbit.errors import DeviceError, InputError, VectorFileError
from lowbit.spec import FixedFormat, Scalar

PACKED_ROWS = "// input: ["
"""In the header of ``lowbit gen --layout hex``, whose words hold the flag too."""

MEND_PACKED_ROWS = "use .vec or .bin, or --layout vec"
TEXT_SUFFIXES = (".hex", ".txt", ".mem")


class FileDevice:
    """Answers that were computed elsewhere, in the order of the inputs."""

    def __init__(self, path: str, target: Scalar) -> None:
        self.name = path
        self._results = read_codes(path, target, stray=True)

    def run(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The answers, if there are as many as inputs."""
        if len(codes) != len(self._results):
            raise DeviceError(
                f"{self.name} holds {len(self._results)} results for {len(codes)} inputs",
                hint="give the inputs with --inputs FILE, or the same --set, --n and --seed as they were made with",
                code="LB604",
            )
        return self._results


def read_codes(path: str | Path, fmt: Scalar, *, stray: bool = False) -> NDArray[Any]:
    """Read a vector of codes of a format.

    With ``stray``, what is no code of the format is let through, as results of a device that are to be compared.

    Raises
    ------
    InputError
        The file cannot be read, is truncated, or holds what is no code of the format.
    """
    file = Path(path)
    try:
        if file.suffix == ".vec":
            patterns = _read_vec(file)
        elif file.suffix == ".npy":
            patterns = _read_npy(file)
        elif file.suffix == ".bin":
            patterns = _read_binary(file, fmt)
        elif file.suffix in TEXT_SUFFIXES:
            patterns = _read_text(file)
        else:
            raise InputError(
                f"{file}: the suffix {file.suffix!r} is not known", hint="one of .hex .txt .mem .npy .bin .vec"
            )
    except OSError as error:
        raise InputError(f"{file}: cannot be read: {error.strerror}", code=CANNOT_LOAD) from error
    return _checked(patterns, fmt, file, stray=stray)


def _read_vec(file: Path) -> NDArray[Any]:
    from lowbit.vectors.vec import read_vectors

    return np.ascontiguousarray(read_vectors(file).rows[:, 0])


def _read_npy(file: Path) -> NDArray[Any]:
    try:
        array = np.load(file, allow_pickle=False)
    except (ValueError, EOFError) as error:
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
        raise VectorFileError(f"{file}: {len(data)} bytes are no multiple of {width}: truncated, or of another format")
    return np.frombuffer(data, np.dtype(fmt.code_dtype).newbyteorder("<")).astype(fmt.code_dtype)


def _read_text(file: Path) -> NDArray[Any]:
    codes = []
    for number, line in enumerate(file.read_text("ascii", errors="replace").splitlines(), 1):
        if line.startswith(PACKED_ROWS):
            raise InputError(f"{file}: holds packed rows of several columns, not codes", hint=MEND_PACKED_ROWS)
        word = line.split("//")[0].split("#")[0].strip().removeprefix("0x").replace("_", "")
        if not word or word.startswith("@"):
            continue
        try:
            codes.append(int(word, 16))
        except ValueError:
            unresolved = set(word.lower()) & set("xz")
            what = "is unresolved (x or z)" if unresolved else "is no hexadecimal code"
            raise InputError(f"{file}:{number}: {word!r} {what}") from None
    wide = [code for code in codes if code >> 64]
    if wide:
        raise InputError(f"{file}: {wide[0]:#x} has more than 64 bits")
    return np.array(codes, dtype=np.uint64)


def _checked(patterns: NDArray[Any], fmt: Scalar, file: Path, *, stray: bool) -> NDArray[Any]:
    """Patterns as codes; negative values are taken as codes of a signed integer format."""
    low, high = 0, (1 << fmt.bits) - 1
    if isinstance(fmt, FixedFormat) and fmt.signed and patterns.dtype.kind == "i":
        low, high = fmt.min_code, fmt.max_code
    wrong = np.asarray((patterns < low) | (patterns > high))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        if stray and int(patterns.max()) <= np.iinfo(np.int64).max:
            mixed = patterns.astype(np.int64)
            mixed[~wrong] = _as_codes(patterns[~wrong], fmt, signed=low < 0)
            return mixed
        raise InputError(
            f"{file}: row {row}: {int(patterns[row]):#x} is no code of {fmt.id}, which has {fmt.bits} bits"
        )
    return _as_codes(patterns, fmt, signed=low < 0)


def _as_codes(patterns: NDArray[Any], fmt: Scalar, *, signed: bool) -> NDArray[Any]:
    """Bit patterns as codes; ``signed`` patterns are codes already."""
    if signed or fmt.kind == "float" or not fmt.signed:
        return patterns.astype(fmt.code_dtype)
    shift = np.int64(64 - fmt.bits)
    return ((patterns.astype(np.uint64).view(np.int64) << shift) >> shift).astype(fmt.code_dtype)
