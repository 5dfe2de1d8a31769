"""Rows of elements in one wide column of a ``.vec`` file: element 0 in the last digits, every element in whole digits.

Elements are two's complement: 2 digits for int8, 1 for int4, 4 for int16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.protocol import Element
from lowbit.vectors.cast.points import Unsigned
from lowbit.vectors.patterns import from_patterns, to_patterns
from lowbit.vectors.vec import WIDEST_COLUMN, Column, VectorFile, digits_for

_SHIFTS = np.arange(0, 64, 4, dtype=np.uint64)


def elements(name: str, codes: NDArray[Any], fmt: Element) -> tuple[Column, Unsigned]:
    """A column of rows of codes, shape (rows, length), and its words.

    Raises InputError: it would be wider than a file's columns.
    """
    digits = codes.shape[1] * digits_for(fmt.bits)
    if digits > WIDEST_COLUMN:
        raise InputError(f"a column {name} of {digits:,} digits: files have at most {WIDEST_COLUMN:,}")
    return Column(name, digits), pack_elements(codes, fmt)


def elements_of(file: VectorFile, name: str, fmt: Element) -> NDArray[Any]:
    """The rows of codes of a column."""
    digits = next(column.digits for column in file.columns if column.name == name)
    return unpack_elements(file.words(name), digits, fmt)


def pack_elements(codes: NDArray[Any], fmt: Element) -> Unsigned:
    """Rows of codes, shape (rows, length), as the words of a wide column."""
    digits = digits_for(fmt.bits)
    patterns = to_patterns(codes, fmt)
    nibbles = [(patterns >> np.uint64(4 * digit)) & np.uint64(15) for digit in range(digits)]
    flat = np.stack(nibbles, axis=-1).reshape(len(codes), -1)  # the least significant digit first
    count = -(-flat.shape[1] // 16)
    flat = np.pad(flat, ((0, 0), (0, 16 * count - flat.shape[1])))
    words = (flat.reshape(len(codes), count, 16) << _SHIFTS).sum(axis=-1, dtype=np.uint64)
    return np.asarray(words[:, ::-1])


def unpack_elements(words: Unsigned, digits: int, fmt: Element) -> NDArray[Any]:
    """The inverse of ``pack_elements`` for a column of that many digits."""
    each = digits_for(fmt.bits)
    flat = ((words[:, ::-1, None] >> _SHIFTS) & np.uint64(15)).reshape(len(words), -1)[:, :digits]
    grouped = flat.reshape(len(words), -1, each) << (np.arange(each, dtype=np.uint64) * np.uint64(4))
    return np.asarray(from_patterns(grouped.sum(axis=-1, dtype=np.uint64), fmt)).astype(fmt.code_dtype)
