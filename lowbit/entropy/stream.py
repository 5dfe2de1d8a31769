"""The frame of a coded stream: header, table, blocks. ``docs/explanation/entropy-coded-weights.md`` has every byte.

Both coders share it. What a stream says of itself is checked before anything of the size that it claims is allocated.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from lowbit.entropy.symbols import DTYPES, Symbols
from lowbit.errors import InputError
from lowbit.ops.types import Array

MAGIC = b"lbEC"
VERSION = 1
CODERS = ("huffman", "rans")
"""By their numbers in a header, from 1 on."""

HEADER = struct.Struct("<4sBBBBiIQI")
CHECKSUM = struct.Struct("<I")
BLOCK = 1 << 22
"""Symbols of a block: each is decoded by itself."""

LENGTH = struct.Struct("<I")
MOST_SPAN = 1 << 16
HINT = "is it complete, and a stream of lowbit.entropy?"


@dataclass(frozen=True)
class Stream:
    """What a stream is made of.

    Attributes
    ----------
    coder : str
    dtype : dtype
        Of the codes.
    parameter : int
        The coder's own.
    lowest : int
        What symbol 0 stands for.
    count : int
        How many symbols there are.
    table : ndarray of int64
        A number for each symbol from 0 on.
    blocks : sequence of memoryview
        16-bit words, the low byte first.
    """

    coder: str
    dtype: np.dtype[np.generic]
    parameter: int
    lowest: int
    count: int
    table: npt.NDArray[np.int64]
    blocks: Sequence[memoryview] = ()

    def codes(self, symbols: Array) -> Array:
        """What symbols stand for, which are the bits of the result less its lowest code."""
        codes = symbols.view(self.dtype)
        codes += np.array(self.lowest).astype(self.dtype)
        return codes


def with_blocks(stream: Stream, blocks: Sequence[bytes]) -> bytes:
    """A stream as bytes."""
    table = bytes(_packed(stream.table.tolist()))
    coder, dtype = CODERS.index(stream.coder) + 1, DTYPES.index(stream.dtype.name)
    numbers = (coder, dtype, stream.parameter, stream.lowest, len(stream.table), stream.count, len(table))
    head = HEADER.pack(MAGIC, VERSION, *numbers)
    parts = [table, *(part for block in blocks for part in (LENGTH.pack(len(block) // 2), block))]
    checksum = zlib.crc32(head)
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    return b"".join([head, CHECKSUM.pack(checksum), *parts])


def stream_of(coder: str, symbols: Symbols, parameter: int, table: Array) -> Stream:
    """A stream without its blocks."""
    dtype = np.dtype(symbols.dtype)
    return Stream(coder, dtype, parameter, symbols.lowest, symbols.array.size, table.astype(np.int64))


Data: TypeAlias = bytes | bytearray | memoryview | Array
"""What a stream may be given as."""


def read(data: Data, coder: str, size: int | None) -> Stream:
    """Take a stream apart.

    Raises
    ------
    InputError
        It is damaged, of another coder, or has not ``size`` codes.
    """
    view = _bytes_of(data)
    if len(view) < HEADER.size + CHECKSUM.size or bytes(view[:4]) != MAGIC:
        raise InputError("this is not a coded stream: it does not begin with its header", hint=HINT)
    _, version, kind, dtype, parameter, lowest, span, count, length = HEADER.unpack_from(view)
    start = HEADER.size + CHECKSUM.size
    (checksum,) = CHECKSUM.unpack_from(view, HEADER.size)
    if version != VERSION or zlib.crc32(view[start:], zlib.crc32(view[: HEADER.size])) != checksum:
        what = f"of version {version}" if version != VERSION else "damaged: its checksum is another"
        raise InputError(f"the coded stream is {what}", hint=HINT)
    if kind != CODERS.index(coder) + 1:
        other = f"{CODERS[kind - 1]}_decode reads it" if 1 <= kind <= len(CODERS) else HINT
        raise InputError(f"the coded stream is not one of {coder}", hint=other)
    if size is not None and count != size:
        raise InputError(f"the stream has {count:,} codes, not {size:,}", hint=HINT)
    if dtype >= len(DTYPES) or span > MOST_SPAN or (count > 0) != (span > 0) or length > len(view) - start:
        raise InputError("the header of the coded stream contradicts itself", hint=HINT)
    limits = np.iinfo(DTYPES[dtype])
    if span and not limits.min <= lowest <= lowest + span - 1 <= limits.max:
        raise InputError(f"symbols from {lowest} to {lowest + span - 1} are beyond {DTYPES[dtype]}", hint=HINT)
    table = np.array(_unpacked(view[start : start + length], span), np.int64)
    frame = Stream(coder, np.dtype(DTYPES[dtype]), parameter, lowest, count, table)
    return replace(frame, blocks=_blocks(view[start + length :], -(-count // BLOCK)))


def _bytes_of(data: Any) -> memoryview:
    try:
        view = memoryview(data)
        return view.cast("B") if view.contiguous else memoryview(view.tobytes())
    except TypeError as error:
        raise InputError(
            f"a coded stream is bytes, not {type(data).__name__}", hint="what encoding returned"
        ) from error


def _blocks(rest: memoryview, wanted: int) -> list[memoryview]:
    """As many blocks as there must be: no more are looked for, and the bytes must be used up."""
    blocks: list[memoryview] = []
    if wanted > len(rest) // LENGTH.size:
        raise InputError(f"the coded stream ends before its {wanted:,} blocks", hint=HINT)
    start = 0
    for _ in range(wanted):
        if start + LENGTH.size > len(rest):
            break
        stop = start + LENGTH.size + 2 * LENGTH.unpack_from(rest, start)[0]
        blocks.append(rest[start + LENGTH.size : stop])
        start = stop
    if len(blocks) < wanted or start != len(rest):
        raise InputError(f"the {wanted:,} blocks of the coded stream do not fill it", hint=HINT)
    return blocks


def _packed(numbers: Sequence[int]) -> Iterator[int]:
    """Numbers in groups of seven bits, the low ones first (LEB128); behind a 0, how many more zeros follow."""
    place = 0
    while place < len(numbers):
        number, step = numbers[place], 1
        yield from _leb128(number)
        if number == 0:
            while place + step < len(numbers) and numbers[place + step] == 0:
                step += 1
            yield from _leb128(step - 1)
        place += step


def _leb128(number: int) -> Iterator[int]:
    while number >= 0x80:
        yield number & 0x7F | 0x80
        number >>= 7
    yield number


def _unpacked(data: memoryview, count: int) -> list[int]:
    """The inverse.

    Raises InputError: there are more numbers or fewer, or a number has more than three groups.
    """
    numbers: list[int] = []
    place = 0
    zeros = False
    while place < len(data):
        number, shift = 0, 0
        while True:
            if place == len(data) or shift == 21:
                raise InputError("a number in the table of the coded stream does not end", hint=HINT)
            byte = data[place]
            number |= (byte & 0x7F) << shift
            place, shift = place + 1, shift + 7
            if byte < 0x80:
                break
        more = number if zeros else 1
        if len(numbers) + more > count:
            break
        numbers += [0] * more if zeros else [number]
        zeros = number == 0 and not zeros
    if len(numbers) != count or place != len(data) or zeros:
        raise InputError(f"the table of the coded stream does not have {count:,} numbers", hint=HINT)
    return numbers
