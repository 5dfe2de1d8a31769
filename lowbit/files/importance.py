"""llama.cpp's importance matrices: how much the inputs of each tensor count, by the mean of their squares.

Both layouts that ``llama-imatrix`` writes (https://github.com/ggml-org/llama.cpp, tools/imatrix/imatrix.cpp): GGUF with
``NAME.in_sum2``, sums of squares, and ``NAME.counts``, by how many tokens, one or one for each matrix of a tensor
(``save_imatrix``); and the older .dat (``save_imatrix_legacy``). Sums are divided as ``llama-quantize`` does
(``load_imatrix`` of tools/quantize/quantize.cpp, and common/imatrix-loader.cpp), in binary32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.files.gguf import GgufFile, is_gguf, read_gguf
from lowbit.files.gguf_values import Cursor, Value
from lowbit.files.kinds import wrong_kind
from lowbit.files.reading import unreadable
from lowbit.printable import excerpt

Floats = npt.NDArray[np.float32]

SQUARES, COUNTS = ".in_sum2", ".counts"
KEYS = ("imatrix.datasets", "imatrix.chunk_count", "imatrix.chunk_size")
"""The metadata without which ``llama-quantize`` refuses a file."""
MOST_BYTES = 127
"""Of a text that ``llama-quantize`` sets in the metadata (``val_str`` of ``llama_model_kv_override``)."""
MATRICES = 3
"""The most axes of a tensor; an importance matrix has rows for the first of three."""


@dataclass(frozen=True, eq=False)
class Sums:
    """What a file says of a tensor.

    Attributes
    ----------
    squares : ndarray of float32
        Sums of squares, one row of inputs after the other; a view of the file.
    counts : ndarray of int64
        What each of as many equal parts of them is divided by; 0 where no input was seen.
    """

    squares: Floats
    counts: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Importance:
    """An importance matrix; means are computed when they are asked for.

    Attributes
    ----------
    path : Path
    sums : mapping of str to Sums
        By the names of tensors, which are those of GGUF files.
    text : str
        The name of the text that it was made of; "" where the file does not say.
    chunks : int
        How many chunks of it were seen; 0 where the file does not say.
    """

    path: Path
    sums: Mapping[str, Sums]
    text: str = ""
    chunks: int = 0

    def metadata(self) -> dict[str, Value]:
        """What ``llama-quantize`` writes of it into the metadata of a quantised file (tools/quantize/quantize.cpp)."""
        texts = {"file": str(self.path)} | ({"dataset": self.text} if self.text else {})
        counts = {"entries_count": len(self.sums)} | ({"chunks_count": self.chunks} if self.chunks > 0 else {})
        cut = {
            key: text.encode(errors="surrogateescape")[:MOST_BYTES].decode(errors="ignore")
            for key, text in texts.items()
        }
        values = {key: Value("string", text) for key, text in cut.items()}
        values |= {key: Value("uint32", count) for key, count in counts.items()}
        return {f"quantize.imatrix.{key}": value for key, value in values.items()}

    def rows(self, name: str, shape: tuple[int, ...]) -> Floats | None:
        """The mean squares of the inputs of a tensor; None where the file says nothing of it.

        Parameters
        ----------
        name : str
        shape : tuple of int
            The inputs last; of a tensor of three axes each matrix has a row of its own.

        Returns
        -------
        ndarray of float32, shape (matrices, inputs)

        Raises
        ------
        InputError
            There are more or fewer of them than inputs, or one is negative, infinite or NaN.
        """
        if name not in self.sums:
            return None
        own = self.sums[name]
        matrices = shape[0] if len(shape) == MATRICES else 1
        where = f"{self.path}: tensor {excerpt(name)}"
        if len(shape) > MATRICES or own.squares.size != matrices * shape[-1]:
            what = f"has {own.squares.size:,} inputs in the importance matrix, and in the model the shape {shape}"
            raise InputError(f"{where} {what}", hint="is the matrix of another model? --exclude leaves the tensor out")
        parts = own.squares.reshape(len(own.counts), -1)
        with np.errstate(all="ignore"):
            means = parts / own.counts.astype(np.float32)[:, None]
        means[own.counts == 0] = 1
        usable = np.isfinite(means) & (means >= 0)
        if not usable.all():
            raise InputError(f"{where} has the importance {means[~usable][0]}", hint="is the file damaged?")
        return means.reshape(matrices, shape[-1])


def read_importance(path: str | Path) -> Importance:
    """Read and check an importance matrix of llama.cpp, in either layout.

    Raises
    ------
    InputError
        The file cannot be read, is truncated, contradicts itself, or is not an importance matrix.
    """
    path = Path(path)
    if is_gguf(path):
        return _of_gguf(read_gguf(path))
    try:
        data = np.memmap(path, np.uint8, "r").data if path.stat().st_size else memoryview(b"")
    except OSError as error:
        raise unreadable(path, error) from error
    try:
        return _of_dat(Cursor(path, data))
    except InputError as error:
        why = error.message.removeprefix(f"{path} is ")
        hint = "llama-imatrix writes one, in GGUF or with --output-format dat"
        raise wrong_kind(path, "an importance matrix", why, hint=hint) from error


def _of_gguf(file: GgufFile) -> Importance:
    lacking = next((key for key in KEYS if key not in file.values), None)
    if lacking is not None:
        what = f"{file.path} is a GGUF file, but not an importance matrix: its metadata lacks {lacking}"
        raise InputError(what, hint="llama-imatrix writes one")
    names = [name.removesuffix(SQUARES) for name in file.entries if name.endswith(SQUARES)]
    if not names:
        raise InputError(f"{file.path} says nothing of any tensor: it has none that is named NAME{SQUARES}")
    texts, chunks = (file.values[key] for key in KEYS[:2])
    text = texts.value[0] if texts.of == "string" and texts.value else ""
    count = chunks.value if chunks.kind == "uint32" else 0
    return Importance(file.path, {name: _sums(file, name) for name in names}, text, count)


def _sums(file: GgufFile, name: str) -> Sums:
    where = f"{file.path}: tensor {excerpt(name)}"
    for suffix in (SQUARES, COUNTS):
        entry = file.entries.get(name + suffix)
        if entry is None or entry.dtype != "F32" or not entry.size:
            found = "missing" if entry is None else f"{entry.dtype} {entry.shape}"
            raise InputError(f"{where}: {name}{suffix} is {found}, and should be of F32")
    counts: Any = file.tensor(name + COUNTS).reshape(-1)
    squares = file.tensor(name + SQUARES).reshape(-1)
    if squares.size % counts.size:
        raise InputError(
            f"{where} has {squares.size:,} sums of squares and {counts.size:,} counts, which do not divide them"
        )
    whole = np.isfinite(counts) & (counts >= 0) & (counts == np.floor(counts)) & (counts < 1 << 62)
    if not whole.all():
        raise InputError(f"{where} has the count {counts[~whole][0]}, which is not a whole number from 0 on")
    return Sums(squares, counts.astype(np.int64))


def _of_dat(cursor: Cursor) -> Importance:
    """A number of tensors, and of each its name, calls and sums; then calls of all and the name of the text, or not."""
    count = _count(cursor, "the number of tensors", least=1)
    sums: dict[str, Sums] = {}
    for place in range(1, count + 1):
        what = f"of tensor {place:,} of {count:,}"
        name = _text(cursor, f"the name {what}")
        if name in sums:
            raise InputError(f"tensor {excerpt(name)} is there twice")
        calls = cursor.number("i", f"the calls {what}")
        size = _count(cursor, f"the number of sums {what}", least=1)
        squares = np.frombuffer(cursor.take(4 * size, f"sums {what}"), "<f4")
        sums[name] = Sums(squares, np.array([max(calls, 1)], np.int64))
    text, calls = "", 0
    if cursor.at < len(cursor.data):
        calls = int(cursor.number("i", "the number of calls"))
    if cursor.at < len(cursor.data):
        text = _text(cursor, "the name of the text")
    if cursor.at < len(cursor.data):
        raise InputError(f"it ends at byte {cursor.at:,} of {len(cursor.data):,}; the rest belongs to no tensor")
    return Importance(cursor.path, sums, text, calls)


def _count(cursor: Cursor, what: str, *, least: int) -> int:
    number = int(cursor.number("i", what))
    if number < least:
        raise InputError(f"{what} at byte {cursor.at - 4:,} is {number:,}")
    return number


def _text(cursor: Cursor, what: str) -> str:
    try:
        return str(cursor.take(_count(cursor, what, least=0), what), "utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} that ends at byte {cursor.at:,} is not UTF-8") from error
