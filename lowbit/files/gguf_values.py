"""Metadata of GGUF files: typed values, text and arrays of these, read from bytes that may lie, and written.

The types and their numbers are those of ``gguf_type`` in https://github.com/ggml-org/ggml, include/gguf.h; the layout
is that of docs/gguf.md there. All numbers are little-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.printable import excerpt

STRING, ARRAY = "string", "array"
_NUMBERS = {
    "uint8": "<u1",
    "int8": "<i1",
    "uint16": "<u2",
    "int16": "<i2",
    "uint32": "<u4",
    "int32": "<i4",
    "float32": "<f4",
    "bool": "|b1",
    "uint64": "<u8",
    "int64": "<i8",
    "float64": "<f8",
}
KINDS = (*list(_NUMBERS)[:8], STRING, ARRAY, *list(_NUMBERS)[8:])
"""Names of the types of values, at their numbers."""
_DEEPEST = 8
"""Arrays in arrays: ggml has none, and deeper ones than this serve to exhaust a reader's stack."""
_ESCAPED = "surrogateescape"
"""Tokens need not be UTF-8: their bytes come back as they were."""


@dataclass(frozen=True, eq=False)
class Value:
    """A value of the metadata.

    Attributes
    ----------
    kind : str
        One of ``KINDS``.
    value : number, str, ndarray, list of str or list of Value
        An array of numbers is an ndarray, one of arrays a list of Value.
    of : str
        The kind of an array's elements.
    """

    kind: str
    value: Any
    of: str = ""


@dataclass
class Cursor:
    """A place in the bytes of a file; nothing is taken that is not there.

    Attributes
    ----------
    path : Path
        For errors.
    data : memoryview
    at : int
    """

    path: Path
    data: memoryview
    at: int = 0

    def take(self, count: int, what: str) -> memoryview:
        """The next bytes; InputError where the file does not have as many."""
        left = len(self.data) - self.at
        if count > left:
            asked = f"{what} at byte {self.at:,} takes {count:,} bytes, and {left:,} are left"
            raise InputError(f"{self.path} is truncated, or its header lies: {asked}")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, letter: str, what: str) -> Any:
        """The next number, of a type that ``struct`` has a letter for."""
        (number,) = struct.unpack(f"<{letter}", self.take(struct.calcsize(f"<{letter}"), what))
        return number

    def name(self, what: str) -> str:
        """The next text, which is UTF-8."""
        try:
            return str(self.take(self.number("Q", what), what), "utf-8")
        except UnicodeDecodeError as error:
            raise InputError(f"{self.path}: {what} that ends at byte {self.at:,} is not UTF-8") from error

    def text(self, what: str) -> str:
        """The next text; bytes that are not UTF-8 are kept as surrogates."""
        return str(self.take(self.number("Q", what), what), "utf-8", _ESCAPED)

    def kind(self, what: str) -> str:
        """The type of a value."""
        number: int = self.number("I", what)
        if number >= len(KINDS):
            raise InputError(f"{self.path}: {what} is of type {number}; GGUF has the types 0 to {len(KINDS) - 1}")
        return KINDS[number]

    def value(self, what: str) -> Value:
        """The next type, and the value of it."""
        kind = self.kind(what)
        return self._array(what, 1) if kind == ARRAY else Value(kind, self._scalar(kind, what))

    def _scalar(self, kind: str, what: str) -> Any:
        if kind == STRING:
            return self.text(what)
        return self._numbers(kind, 1, what)[0].item()

    def _numbers(self, kind: str, count: int, what: str) -> Any:
        dtype = np.dtype(_NUMBERS[kind])
        data = self.take(count * dtype.itemsize, what)
        if kind == "bool" and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise InputError(f"{self.path}: {what} has a byte that is neither true nor false")
        return np.frombuffer(data, dtype)

    def _array(self, what: str, depth: int) -> Value:
        of, count = self.kind(what), self.number("Q", what)
        if of not in (STRING, ARRAY):
            return Value(ARRAY, self._numbers(of, count, what), of)
        least = 8 if of == STRING else 12
        if count * least > len(self.data) - self.at:
            self.take(count * least, what)
        if of == STRING:
            return Value(ARRAY, [self.text(what) for _ in range(count)], of)
        if depth == _DEEPEST:
            raise InputError(f"{self.path}: {what} has arrays in arrays more than {_DEEPEST} deep")
        return Value(ARRAY, [self._array(what, depth + 1) for _ in range(count)], of)


def text_bytes(text: str) -> bytes:
    """A text as the file has it: its length and its bytes."""
    data = text.encode("utf-8", _ESCAPED)
    return struct.pack("<Q", len(data)) + data


def value_bytes(value: Value, name: str) -> Iterator[bytes]:
    """The type of a value and the value.

    Raises InputError: it is not of its type.
    """
    yield struct.pack("<I", _number_of(value.kind, name))
    yield from _content(value, name)


def _content(value: Value, name: str) -> Iterator[bytes]:
    if value.kind == STRING:
        yield text_bytes(value.value)
    elif value.kind != ARRAY:
        yield _as_numbers([value.value], value.kind, name)
    else:
        yield struct.pack("<IQ", _number_of(value.of, name), len(value.value))
        if value.of == STRING:
            yield from map(text_bytes, value.value)
        elif value.of == ARRAY:
            for item in value.value:
                yield from _content(item, name)
        else:
            yield _as_numbers(value.value, value.of, name)


def _number_of(kind: str, name: str) -> int:
    if kind not in KINDS:
        raise InputError(f"metadata {excerpt(name)} is of the type {kind!r}", hint=f"one of {', '.join(KINDS)}")
    return KINDS.index(kind)


def _as_numbers(numbers: Any, kind: str, name: str) -> bytes:
    try:
        given = np.asarray(numbers)
        array = given.astype(_NUMBERS[kind])
        same = np.array_equal(array, given) or kind.startswith("float")
    except (TypeError, ValueError, OverflowError):
        same = False
    if not same:
        raise InputError(f"metadata {excerpt(name)}: {excerpt(str(numbers))} is not of the type {kind}")
    return array.tobytes()
