"""Answers that cannot be results: bits set beside the code, or an integer out of the range of its format.

They fit the container (``uint8_t`` for 4 bits, say), so a device can give them; each counts as a difference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import from_patterns


def is_code(code: int, fmt: Scalar) -> bool:
    """Whether a number is a code of the format."""
    return code in fmt.codes


def stray_rows(codes: NDArray[Any], fmt: Scalar) -> NDArray[np.bool_]:
    """Which elements are not codes of the format."""
    low, high = fmt.codes[0], fmt.codes[-1]
    container = np.iinfo(fmt.code_dtype)
    if codes.dtype == fmt.code_dtype and (low, high) == (container.min, container.max):
        return np.zeros(codes.shape, dtype=bool)
    return np.asarray((codes < low) | (codes > high))


def without_stray_bits(codes: NDArray[Any], fmt: Scalar) -> NDArray[Any]:
    """The codes that the low bits alone would be."""
    patterns = codes.astype(np.int64)
    return from_patterns(patterns & np.int64((1 << fmt.bits) - 1) if fmt.bits < 64 else patterns, fmt)
