"""Bit patterns, as files hold them, and codes, as arrays hold them: they differ for signed integers only."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.format.protocol import Element
from lowbit.format.scalar import Scalar
from lowbit.vectors.cast.points import Signed, Unsigned
from lowbit.vectors.splitmix import random_patterns


def from_patterns(patterns: Unsigned, fmt: Element) -> Signed | Unsigned:
    """Bit patterns as codes: two's complement becomes signed values; uint64 is kept for unsigned 64-bit codes only."""
    if fmt.bits == 64 and not fmt.signed_codes:
        return patterns
    if fmt.signed_codes:
        shift = np.int64(64 - fmt.bits)
        return (patterns.view(np.int64) << shift) >> shift
    return patterns.astype(np.int64)


def random_codes(fmt: Scalar, shape: tuple[int, ...], seed: int) -> NDArray[Any]:
    """Random codes, every bit pattern equally likely, the same for the same seed for ever.

    A narrow range has the lowest code twice: for itself, and for the pattern below it.
    """
    count = int(np.prod(shape, dtype=np.int64))
    codes = from_patterns(random_patterns(fmt, count, seed), fmt)
    return np.maximum(codes, codes.dtype.type(fmt.codes[0])).astype(fmt.code_dtype).reshape(shape)


def to_patterns(codes: NDArray[np.integer], fmt: Element) -> Unsigned:
    """Codes as bit patterns, the inverse of ``from_patterns``."""
    mask = np.uint64((1 << fmt.bits) - 1)
    wide = codes.astype(np.uint64) if codes.dtype.kind == "u" else codes.astype(np.int64).view(np.uint64)
    return wide & mask
