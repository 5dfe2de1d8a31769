"""The frame of a coded stream: a header of 32 bytes, a table of numbers, blocks of 16-bit words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import NamedTuple

CODERS = {"huffman": 1, "rans": 2}
DTYPES = {"uint8": 0, "int8": 1, "uint16": 2, "int16": 3}
BLOCK = 4194304


class Stream(NamedTuple):
    """What a stream says: codes are symbols plus the lowest code; a block is a list of words."""

    coder: str
    dtype: str
    parameter: int
    lowest: int
    size: int
    table: list[int]
    blocks: list[list[int]]


def write(stream: Stream) -> bytes:
    """The bytes of a stream, numbers of several bytes with the low byte first."""
    table = b""
    for number, repeated in _runs(stream.table):
        table += _groups(number)
        table += _groups(repeated - 1) if number == 0 else _groups(number) * (repeated - 1)
    head = b"lbEC" + bytes([1, CODERS[stream.coder], DTYPES[stream.dtype], stream.parameter])
    head += stream.lowest.to_bytes(4, "little", signed=True) + len(stream.table).to_bytes(4, "little")
    head += stream.size.to_bytes(8, "little") + len(table).to_bytes(4, "little")
    body = table
    for words in stream.blocks:
        body += len(words).to_bytes(4, "little") + b"".join(word.to_bytes(2, "little") for word in words)
    return head + zlib.crc32(head + body).to_bytes(4, "little") + body


def read(data: bytes) -> Stream:
    """The inverse; whoever calls knows that the stream is sound, but for the checksum."""
    if zlib.crc32(data[:28] + data[32:]) != int.from_bytes(data[28:32], "little"):
        raise ValueError("the checksum is another")
    span, length = int.from_bytes(data[12:16], "little"), int.from_bytes(data[24:28], "little")
    place, table = 32, list[int]()
    while place < 32 + length:
        number, place = _group(data, place)
        zeros = 0
        if number == 0:
            zeros, place = _group(data, place)
        table += [number] + [0] * zeros
    blocks = []
    while place < len(data):
        size = int.from_bytes(data[place : place + 4], "little")
        words = range(place + 4, place + 4 + 2 * size, 2)
        blocks.append([int.from_bytes(data[word : word + 2], "little") for word in words])
        place = words.stop
    if len(table) != span:
        raise ValueError(f"the table has {len(table)} numbers, not {span}")
    coder = next(name for name, number in CODERS.items() if number == data[5])
    dtype = next(name for name, number in DTYPES.items() if number == data[6])
    lowest = int.from_bytes(data[8:12], "little", signed=True)
    return Stream(coder, dtype, data[7], lowest, int.from_bytes(data[16:24], "little"), table, blocks)


def in_blocks(symbols: Sequence[int]) -> list[Sequence[int]]:
    """The symbols of each block."""
    return [symbols[start : start + BLOCK] for start in range(0, len(symbols), BLOCK)]


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Each number, and how often it stands there in a row."""
    runs: list[tuple[int, int]] = []
    for number in numbers:
        before, repeated = runs[-1] if runs else (None, 0)
        if number == before:
            runs[-1] = (number, repeated + 1)
        else:
            runs.append((number, 1))
    return runs


def _groups(number: int) -> bytes:
    """A number in groups of seven bits, the low ones first, a bit of 128 on all but the last (LEB128)."""
    groups = [number & 127]
    while number >> 7:
        number >>= 7
        groups[-1] += 128
        groups.append(number & 127)
    return bytes(groups)


def _group(data: bytes, place: int) -> tuple[int, int]:
    number = shift = 0
    while data[place] >= 128:
        number += (data[place] - 128) << shift
        place, shift = place + 1, shift + 7
    return number + (data[place] << shift), place + 1
