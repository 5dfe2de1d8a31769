"""Other forms of a vector set: CSV, NumPy arrays and packed words for ``$readmemh``."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.patterns import from_patterns
from lowbit.vectors.vec import VectorFile, render

LAYOUTS = ("vec", "csv", "npy", "hex")
BINARY_LAYOUTS = ("npy",)


def render_layout(file: VectorFile, layout: str) -> bytes:
    """A set in one of ``LAYOUTS``.

    ``vec``: see ``lowbit.vectors.vec``. ``csv``: a line of names, then hexadecimal with 0x and the name of the flag.
    ``npy``: a vector of the input codes, as ``lowbit check --inputs`` and ``lowbit.convert`` take it; with expected
    codes a structured array of the fields input, expected and flag. ``hex``: one word a row, its columns concatenated
    with the first one on top, and a header that says which bits are which.

    Raises InputError: the layout is unknown.
    """
    if layout == "vec":
        return render(file)
    if layout == "csv":
        return _csv(file)
    if layout == "npy":
        buffer = io.BytesIO()
        np.save(buffer, _codes(file), allow_pickle=False)
        return buffer.getvalue()
    if layout == "hex":
        return _packed_words(file)
    raise InputError(f"layout {layout!r} is unknown", hint=f"one of {', '.join(LAYOUTS)}")


def _codes(file: VectorFile) -> NDArray[Any]:
    """The columns in the code dtypes of their formats: signed values for integers and fixed point."""
    arrays = {"input": _column(file, "input", "source")}
    if all(column.name != "expected" for column in file.columns):
        return arrays["input"]
    arrays |= {"expected": _column(file, "expected", "target"), "flag": file.flags}
    table = np.empty(len(file.rows), dtype=[(name, array.dtype) for name, array in arrays.items()])
    for name, array in arrays.items():
        table[name] = array
    return table


def _column(file: VectorFile, name: str, key: str) -> NDArray[Any]:
    fmt = scalar_format(file.header[key].partition(",")[0])
    return from_patterns(file.column(name), fmt).astype(fmt.code_dtype)


def _csv(file: VectorFile) -> bytes:
    lines = [",".join(column.name for column in file.columns)]
    digits = [column.digits for column in file.columns[:-1]]
    for *codes, flag in file.rows.tolist():
        cells = [f"0x{code:0{width}x}" for code, width in zip(codes, digits, strict=True)]
        lines.append(",".join([*cells, FLAGS[flag].name]))
    return "\n".join(lines).encode("ascii") + b"\n"


def _packed_words(file: VectorFile) -> bytes:
    digits = [column.digits for column in file.columns]
    total = 4 * sum(digits)
    lines = [f"// {key}: {value}" for key, value in file.header.items()]
    lines.append(f"// reg [{total - 1}:0] vectors [0:{len(file.rows) - 1}]; $readmemh reads one row a word")
    top = total - 1
    for column in file.columns:
        lines.append(f"// {column.name}: [{top}:{top - 4 * column.digits + 1}]")
        top -= 4 * column.digits
    lines += [
        "".join(f"{code:0{width}x}" for code, width in zip(row, digits, strict=True)) for row in file.rows.tolist()
    ]
    return "\n".join(lines).encode("ascii") + b"\n"
