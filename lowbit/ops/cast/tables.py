"""Codes of narrow sources through a table of all answers, by the quickest way that the processor has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.format.scalar import Scalar

Array = npt.NDArray[Any]
TABLE_BITS = 16

Run = Callable[[Array, Array, bool], None]


class Table:
    """An answer for every code of a source of at most 16 bits.

    ``entries`` are indexed by the bits of the array element that holds a code: those beyond the format's width repeat
    the sign, or are no code.
    """

    def __init__(self, source: Scalar, answers: Array) -> None:
        self.entries = answers[np.arange(1 << source.container_bits) & ((1 << source.bits) - 1)]
        self.entries.setflags(write=False)
        self.run = _in_registers(self.entries) or _gathered(self.entries)
        """``run(codes, out, stream)``: the answer for each of the flat codes; ``stream`` writes past the caches."""


def registers_available() -> bool:
    """Whether this processor looks bytes up in vector registers."""
    from lowbit.kernels.nonlinear.simd_lookup import is_available

    return is_available()


def _in_registers(entries: Array) -> Run | None:
    """Look-up in vector registers, where the processor can and two bytes an entry say all."""
    width = entries.dtype.itemsize
    if entries.size != 256 or width > 4 or not registers_available():
        return None
    from lowbit.kernels._jit import entry
    from lowbit.kernels.cast import simd_decode
    from lowbit.kernels.lib.types import BOOLEAN, array_type

    planes = entries.astype(f"<u{width}").view(np.uint8).reshape(256, width).T
    if width == 4:
        if planes[:2].any():
            return None
        planes = planes[2:]
    kernels = {1: simd_decode.decode_bytes, 2: simd_decode.decode_words, 4: simd_decode.decode_upper_halves}
    decode = entry(kernels[width], array_type("uint8"), array_type("uint8", 2), BOOLEAN, array_type(f"uint{8 * width}"))
    lowered = np.ascontiguousarray(planes)
    return lambda codes, out, stream: decode(codes, lowered, stream, out)


def _gathered(entries: Array) -> Run:
    from lowbit.kernels._jit import entry
    from lowbit.kernels.cast.gather import gather
    from lowbit.kernels.lib.types import array_type

    index, answer = (array_type(f"uint{8 * width}") for width in (1 if entries.size == 256 else 2, entries.itemsize))
    look_up = entry(gather, index, answer, answer)
    return lambda codes, out, _stream: look_up(codes, entries, out)
