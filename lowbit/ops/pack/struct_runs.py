"""Structs of block formats as tables for kernels: which bits of which bytes the codes of a struct are."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.ops.arrays import Array
from lowbit.ops.memory import aligned_empty
from lowbit.ops.pack.structs import CODES, OCTET, Piece, Struct, Trits, Words, placed, struct_bytes

LANES, DIGITS = 16, 2
"""Codes of a run, and how many digits one has at most: of its low bits and of those above."""
BITS, JOINED, TERNARY = range(3)

ROW = np.dtype(
    [
        ("amounts", "<i4", (DIGITS, LANES)),
        ("masks", "<i4", (DIGITS, LANES)),
        ("index", "u1", (DIGITS, LANES)),
        ("starts", "<i8", DIGITS),
        ("unused", "u1", 16),
    ]
)
"""A row of the table of runs. Of each digit: by how many bits the byte of each code is rotated to the right, or the
power of three that it is multiplied by; which bits it has then; which byte that is of the sixteen that are loaded;
where these are. Rows are whole cache lines."""
NO_BYTE = 0x80
"""Of a lane without a code."""


class Runs(NamedTuple):
    """The codes of a field, sixteen a run, as ``kernels/pack/simd_structs.py`` takes them: ``ROW``s, as bytes."""

    kind: int
    table: npt.NDArray[np.uint8]


@lru_cache(maxsize=256)
def runs_of(struct: Struct, field: str = CODES) -> Runs | None:
    """The runs of the codes of a field; None where a code is not one or two digits of at most a byte each."""
    size, ternary = struct_bytes(struct), field == CODES and any(isinstance(words, Trits) for words in struct)
    digits = _trits(struct) if ternary else _bits(struct, field)
    count = -(-(1 + max(code for code, *_ in digits)) // LANES) * LANES
    places = np.full((DIGITS, count), -1)
    amounts, masks = np.zeros((2, DIGITS, count), np.int32)
    for code, octet, amount, mask in digits:
        digit = int(not ternary and mask & 1 == 0)
        if places[digit, code] >= 0 or mask > (1 << OCTET) - 1:
            return None
        places[digit, code], amounts[digit, code], masks[digit, code] = octet, amount, mask
    by_run, amounts, masks = (part.reshape(DIGITS, -1, LANES).swapaxes(0, 1) for part in (places, amounts, masks))
    starts = np.minimum(np.where(by_run < 0, size, by_run).min(axis=-1), size - LANES)
    table = aligned_empty((len(starts),), ROW)
    table["amounts"], table["masks"], table["starts"] = amounts, masks, starts
    table["index"] = np.where(by_run < 0, NO_BYTE, by_run - starts[..., None])
    return Runs(TERNARY if ternary else JOINED if masks[:, 1].any() else BITS, table.view(np.uint8))


def _pieces(struct: Struct, field: str) -> Iterator[tuple[Piece, int, int]]:
    """Each piece of a field with the code that it is of, and its first bit in the struct."""
    for place, words in placed(struct):
        if isinstance(words, Words):
            yield from (row for row in words.bits_of(place) if row[0].field == field)


def _bits(struct: Struct, field: str) -> list[tuple[int, int, int, int]]:
    """Of each piece of a code the code, the byte, the rotation of this to the right, and the mask after it."""
    return [
        (code, bit // OCTET, (bit % OCTET - piece.low) % 32, ((1 << piece.bits) - 1) << piece.low)
        for piece, code, bit in _pieces(struct, field)
    ]


def _trits(struct: Struct) -> list[tuple[int, int, int, int]]:
    """Of each digit the code, the byte, the power of three that leaves it on top of a fraction, and no mask."""
    return [
        (words.first + digit * words.count + octet, place + octet, 3**digit, 0)
        for place, words in placed(struct)
        if isinstance(words, Trits)
        for digit in range(words.digits)
        for octet in range(words.count)
    ]


@lru_cache(maxsize=256)
def numbers_of(struct: Struct, field: str) -> tuple[npt.NDArray[np.int64], int] | None:
    """Where the codes of a field are that are whole bytes, and their bits; None where they are not."""
    rows = [(code, bit // OCTET, piece.bits) for piece, code, bit in _pieces(struct, field)]
    bits = {bits for *_, bits in rows}
    if bits not in ({OCTET}, {2 * OCTET}, {4 * OCTET}):
        return None
    return np.array([place for _, place, _ in sorted(rows)], np.int64), bits.pop()


PAIR = 2
"""Bytes that have a bit of each of sixteen codes."""


class Pieces(NamedTuple):
    """What a kernel packs of a struct, a row for each sixteen codes, and the words that are left, with their places.

    A row is the place of the codes, their bit, its mask, the place of their bytes, and the bit there. A mask of 0: one
    bit of each code into two bytes.
    """

    rows: npt.NDArray[np.int64]
    left: tuple[tuple[int, Words | Trits], ...]


@lru_cache(maxsize=64)
def pieces_of(struct: Struct) -> Pieces:
    """How a struct is packed."""
    rows, left = [], []
    for place, words in placed(struct):
        own = _rows(place, words) if isinstance(words, Words) else []
        rows += own
        left += [] if own else [(place, words)]
    return Pieces(np.array(rows, np.int64).reshape(-1, 5), tuple(left))


def _rows(place: int, words: Words) -> list[tuple[int, ...]]:
    pieces = words.pieces
    if words.bits != OCTET or any(piece.field != CODES for piece in pieces):
        return []
    if not words.count % LANES and all(piece.step == 1 for piece in pieces):
        shifts = np.cumsum([0, *(piece.bits for piece in pieces)]).tolist()
        return [
            (piece.first + start, piece.low, (1 << piece.bits) - 1, place + start, shift)
            for piece, shift in zip(pieces, shifts, strict=False)
            for start in range(0, words.count, LANES)
        ]
    if len(pieces) == OCTET and not words.count % PAIR and all(piece.step == OCTET for piece in pieces):
        return [(OCTET * start, pieces[0].low, 0, place + start, 0) for start in range(0, words.count, PAIR)]
    return []


def available() -> bool:
    """Whether this processor has the instructions of the kernels."""
    from lowbit.kernels.lib.cpu import features

    return "avx2" in features()


def unpack_codes(struct: Struct, octets: Array, lowest: int, codes: Array) -> None:
    """Fill codes of 8 bits, of shape (structs, count), from structs of shape (structs, size)."""
    from lowbit.kernels.pack import simd_structs

    runs, flat = runs_of(struct), octets.reshape(-1)
    assert runs is not None
    simd_structs.unpack(flat, octets.shape[1], *runs, lowest, codes.reshape(-1).view(np.int8))


def pack_codes(struct: Struct, codes: Array, lowest: int, octets: Array) -> None:
    """Write the bytes of structs that ``pieces_of`` has rows for, from the codes."""
    from lowbit.kernels.pack import simd_structs

    rows, flat = pieces_of(struct).rows, codes.reshape(-1).view(np.int8)
    simd_structs.pack(flat, codes.shape[1], rows, lowest, octets.reshape(-1), octets.shape[1])
