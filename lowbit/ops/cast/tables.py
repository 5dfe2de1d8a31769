"""Codes of narrow sources through a table of all answers, by the quickest way that the processor has."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import Array, all_codes

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

TABLE_BITS = 16


class Table:
    """An answer for every code of a source of at most 16 bits.

    ``entries`` are indexed by the bits of the array element that holds a code: those beyond the format's width repeat
    the sign, or are not a code.
    """

    def __init__(self, source: Scalar, answers: Array) -> None:
        self.entries = answers[np.arange(1 << source.container_bits) & ((1 << source.bits) - 1)]
        self.entries.setflags(write=False)
        self.run = in_registers(self.entries) or gathered(self.entries)
        """``run(codes, out, stream)``: the answer for each of the flat codes; ``stream`` writes past the caches."""


class Answers(NamedTuple):
    """The results of every code of a source and, where they were asked for, the flags."""

    codes: Table
    flags: Table | None


def run(
    tables: Answers,
    codes: Array,
    out: Array,
    flags: Array | None = None,
    _random: Array | None = None,
    stream: bool = False,
) -> None:
    """Look the answers up."""
    tables.codes.run(codes, out, stream)
    if flags is not None and tables.flags is not None:
        tables.flags.run(codes, flags, False)


@lru_cache(maxsize=128)
def answers(cast: Cast) -> Answers:
    """The answers of the path that makes the cast without a table."""
    from lowbit.ops.cast.paths import runner

    codes = all_codes(cast.source)
    out = np.empty(codes.size, dtype=cast.target.code_dtype)
    flags = np.empty(codes.size, dtype=np.uint8) if cast.flags else None
    way = runner(cast._replace(many=False))
    for start in range(0, codes.size, way.chunk):
        part = slice(start, start + way.chunk)
        way.run(codes[part], out[part], None if flags is None else flags[part])
    return Answers(Table(cast.source, out), None if flags is None else Table(cast.source, flags))


def registers_available() -> bool:
    """Whether this processor looks bytes up in vector registers."""
    from lowbit.kernels.nonlinear.simd_lookup import is_available

    return is_available()


Run = Callable[[Array, Array, bool], None]


def in_registers(entries: Array) -> Run | None:
    """Look-up in vector registers, where the processor can and an entry has at most four bytes."""
    width = entries.dtype.itemsize
    if entries.size != 256 or width > 4 or not registers_available():
        return None
    from lowbit.kernels._jit import array_type, entry
    from lowbit.kernels.cast import simd_decode
    from lowbit.kernels.lib.types import BOOLEAN

    planes = entries.astype(f"<u{width}").view(np.uint8).reshape(256, width).T
    kernels = {1: simd_decode.decode_bytes, 2: simd_decode.decode_words, 4: simd_decode.decode_whole_words}
    kernel = kernels[width]
    if width == 4 and not planes[:2].any():
        kernel, planes = simd_decode.decode_upper_halves, planes[2:]
    decode = entry(kernel, array_type("uint8"), array_type("uint8", 2), BOOLEAN, array_type(f"uint{8 * width}"))
    lowered = np.ascontiguousarray(planes)
    return lambda codes, out, stream: decode(codes, lowered, stream, out)


def gathered(entries: Array) -> Run:
    """Look-up an element at a time."""
    from lowbit.kernels._jit import array_type, entry
    from lowbit.kernels.cast.gather import gather

    index, answer = (array_type(f"uint{8 * width}") for width in (1 if entries.size == 256 else 2, entries.itemsize))
    look_up = entry(gather, index, answer, answer)
    return lambda codes, out, _stream: look_up(codes, entries, out)
