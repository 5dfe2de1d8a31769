"""Structs of block formats: which bits of which codes and scales each byte has, as data.

A struct is a list of words, and a word a list of pieces: some bits of one code each, the lowest first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from lowbit.ops.arrays import Array

CODES = "codes"
"""The name of the elements beside those of the scales."""

OCTET = 8
TRITS, ROUND_UP = 5, 242
"""Ternary digits in a byte, 3^5 - 1 at most; the byte is their number times 256 / 243, rounded up."""


@dataclass(frozen=True)
class Piece:
    """``bits`` bits of code ``first + j * step`` of a field in word j of its words, from bit ``low`` of the code on."""

    field: str
    bits: int
    low: int = 0
    first: int = 0
    step: int = 1

    def codes(self, count: int) -> slice:
        """Those that ``count`` words have a piece of."""
        return slice(self.first, self.first + self.step * (count - 1) + 1, self.step)


@dataclass(frozen=True)
class Words:
    """``count`` words of some bits, little-endian; the first piece is in the lowest bits."""

    count: int
    pieces: tuple[Piece, ...]
    bits: int = 8

    @property
    def size(self) -> int:
        return self.count * self.bits // 8

    @property
    def fields(self) -> set[str]:
        return {piece.field for piece in self.pieces}

    def bits_of(self, place: int) -> Iterator[tuple[Piece, int, int]]:
        """Each piece with the code that it is of, and its first bit in a struct that has the words from a byte on."""
        for word in range(self.count):
            bit = OCTET * place + word * self.bits
            for piece in self.pieces:
                yield piece, piece.first + word * piece.step, bit
                bit += piece.bits

    def pack(self, fields: Mapping[str, Array], octets: Array, place: int) -> None:
        """Write the words of each struct, which begin at a byte, from the unsigned patterns of its fields."""
        words, shift, dtype = None, 0, np.dtype(f"u{self.bits // OCTET}")
        for piece in self.pieces:
            part = fields[piece.field][:, piece.codes(self.count)]
            if piece.bits < OCTET * part.itemsize:
                part = (part >> part.dtype.type(piece.low)) & part.dtype.type((1 << piece.bits) - 1)
            part = part.astype(dtype, copy=False) << dtype.type(shift) if shift else part.astype(dtype, copy=False)
            words = part if words is None else words | part
            shift += piece.bits
        self._of(octets, place)[...] = words

    def unpack(self, octets: Array, place: int, fields: Mapping[str, Array]) -> None:
        """Set the bits of the fields, which are zeros before."""
        words, shift = self._of(octets, place), 0
        for piece in self.pieces:
            field = fields[piece.field]
            part = words if piece.bits == self.bits else (words >> shift) & ((1 << piece.bits) - 1)
            part = part.astype(field.dtype)
            field[:, piece.codes(self.count)] |= part << field.dtype.type(piece.low) if piece.low else part
            shift += piece.bits

    def _of(self, octets: Array, place: int) -> Array:
        """The words in structs, as a view."""
        dtype = np.dtype(f"<u{self.bits // OCTET}")
        strides = octets.strides[0], dtype.itemsize
        return np.ndarray((len(octets), self.count), dtype, octets, place, strides)


@dataclass(frozen=True)
class Trits:
    """``count`` bytes of ternary digits: byte j has those of the codes ``first + j + i * count``, i = 0 the highest."""

    count: int
    first: int
    digits: int = TRITS

    @property
    def size(self) -> int:
        return self.count

    @property
    def fields(self) -> set[str]:
        return {CODES}

    def pack(self, fields: Mapping[str, Array], octets: Array, place: int) -> None:
        """Write the bytes of each struct, which begin at one, from its fields."""
        number = np.zeros((len(fields[CODES]), self.count), np.uint16)
        for digit in range(TRITS):
            number *= 3
            if digit < self.digits:
                number += fields[CODES][:, self._codes(digit)]
        octets[:, place : place + self.size] = (number * 256 + np.uint16(ROUND_UP)) // np.uint16(ROUND_UP + 1)

    def unpack(self, octets: Array, place: int, fields: Mapping[str, Array]) -> None:
        """The highest digit is the carry of three times the byte; the digits below follow from what is left."""
        rest = octets[:, place : place + self.size].astype(np.uint16)
        for digit in range(self.digits):
            rest *= 3
            fields[CODES][:, self._codes(digit)] = rest >> 8
            rest &= 255

    def _codes(self, digit: int) -> slice:
        return slice(self.first + digit * self.count, self.first + (digit + 1) * self.count)


Struct = tuple[Words | Trits, ...]


def _number(field: str, bits: int = 16, count: int = 1) -> Words:
    return Words(count, (Piece(field, bits),), bits)


def _apart(bits: int, distance: int, values: int, field: str = CODES, low: int = 0) -> Struct:
    """Bytes whose codes lie ``distance`` apart, ``8 / bits`` of them in each."""
    parts = 8 // bits
    if distance == 1:
        pieces = tuple(Piece(field, bits, low, part, parts) for part in range(parts))
        return (Words(values // parts, pieces),)
    starts = range(0, values, distance * parts)
    return tuple(
        Words(distance, tuple(Piece(field, bits, low, start + part * distance) for part in range(parts)))
        for start in starts
    )


_D = _number("block")
_SUPER = _number("super")
_PAIR = (_SUPER, _number("super_min"))

_SIX_BITS: Struct = (  # get_scale_min_k4 of ggml-quants.c
    Words(4, (Piece("block", 6), Piece("block", 2, 4, 4))),
    Words(4, (Piece("min", 6), Piece("min", 2, 4, 4))),
    Words(4, (Piece("block", 4, 0, 4), Piece("min", 4, 0, 4))),
)
"""Scales and minima of 6 bits; the highest two of the last four lie above the first four."""

STRUCTS: Mapping[str, Struct] = {
    "ggml_q1_0": (_D, *_apart(1, 1, 128)),
    "ggml_q2_0": (_D, *_apart(2, 1, 64)),
    "ggml_q4_0": (_D, *_apart(4, 16, 32)),
    "ggml_q4_1": (_D, _number("offset"), *_apart(4, 16, 32)),
    "ggml_q5_0": (_D, *_apart(1, 1, 32, low=4), *_apart(4, 16, 32)),
    "ggml_q5_1": (_D, _number("offset"), *_apart(1, 1, 32, low=4), *_apart(4, 16, 32)),
    "ggml_q8_0": (_D, _number(CODES, 8, 32)),
    "ggml_q8_1": (_D, _number("sum"), _number(CODES, 8, 32)),
    "ggml_mxfp4": (_number("block", 8), *_apart(4, 16, 32)),
    "ggml_nvfp4": (_number("block", 8, 4), *_apart(4, 8, 64)),
    "ggml_tq1_0": (Trits(32, 0), Trits(16, 160), Trits(4, 240, 4), _D),
    "ggml_tq2_0": (*_apart(2, 32, 256), _D),
    "ggml_q2_k": (Words(16, (Piece("block", 4), Piece("min", 4))), *_apart(2, 32, 256), *_PAIR),
    "ggml_q3_k": (
        *_apart(1, 32, 256, low=2),
        *_apart(2, 32, 256),
        *_apart(4, 8, 16, "block"),
        *_apart(2, 4, 16, "block", 4),
        _SUPER,
    ),
    "ggml_q4_k": (*_PAIR, *_SIX_BITS, *_apart(4, 32, 256)),
    "ggml_q5_k": (*_PAIR, *_SIX_BITS, *_apart(1, 32, 256, low=4), *_apart(4, 32, 256)),
    "ggml_q6_k": (*_apart(4, 64, 256), *_apart(2, 32, 256, low=4), _number("block", 8, 16), _SUPER),
    "ggml_q8_k": (_number("block", 32), _number(CODES, 8, 256), _number("sums", 16, 16)),
    "ggml_iq4_nl": (_D, *_apart(4, 16, 32)),
    "ggml_iq4_xs": (
        _SUPER,
        Words(1, tuple(Piece("block", 2, 4, place) for place in range(8)), 16),
        *_apart(4, 1, 8, "block"),
        *_apart(4, 16, 256),
    ),
}
"""By the id of the format, the struct of one block in the order of its bytes (ggml-common.h, block_q4_0 and so on)."""


def placed(struct: Struct) -> list[tuple[int, Words | Trits]]:
    """The words with the bytes at which they begin."""
    starts = accumulate((words.size for words in struct), initial=0)
    return list(zip(starts, struct, strict=False))


def struct_bytes(struct: Struct) -> int:
    """The size of a struct."""
    return sum(words.size for words in struct)
