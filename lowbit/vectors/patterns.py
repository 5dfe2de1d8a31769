"""Bit patterns, as files hold them, and codes, as arrays hold them: they differ for signed integers only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowbit.format.protocol import Element
from lowbit.vectors.cast.points import Signed, Unsigned


def from_patterns(patterns: Unsigned, fmt: Element) -> Signed | Unsigned:
    """Bit patterns as codes: two's complement becomes signed values; uint64 is kept for unsigned 64-bit codes only."""
    if fmt.bits == 64 and not fmt.signed_codes:
        return patterns
    if fmt.signed_codes:
        shift = np.int64(64 - fmt.bits)
        return (patterns.view(np.int64) << shift) >> shift
    return patterns.astype(np.int64)


def to_patterns(codes: NDArray[np.integer], fmt: Element) -> Unsigned:
    """Codes as bit patterns, the inverse of ``from_patterns``."""
    mask = np.uint64((1 << fmt.bits) - 1)
    wide = codes.astype(np.uint64) if codes.dtype.kind == "u" else codes.astype(np.int64).view(np.uint64)
    return wide & mask
