"""Answers that are no code of the target: bits set beside the code, or an integer out of its range.

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
    """Which elements are no codes of the format."""
    low, high = fmt.codes[0], fmt.codes[-1]
    container = np.iinfo(fmt.code_dtype)
    if codes.dtype == fmt.code_dtype and (low, high) == (container.min, container.max):
        return np.zeros(codes.shape, dtype=bool)
    return np.asarray((codes < low) | (codes > high))


def stray_hexadecimal(code: int, fmt: Scalar) -> str:
    """What was given instead of a code, with all bits of its container, or of 64 bits where that is too narrow."""
    fits = code >= np.iinfo(fmt.code_dtype).min
    pattern = code & ((1 << (fmt.container_bits if fits else 64)) - 1) if code < 0 else code
    return f"{pattern:#0{2 + fmt.container_bits // 4}x}"


def stray_words(code: int, fmt: Scalar) -> str:
    """``0x80 is no code of float4_e2m1fn: upper bits are not zero``."""
    low, high = fmt.codes[0], fmt.codes[-1]
    if not fmt.wraps:
        return f"{stray_hexadecimal(code, fmt)} is no code of {fmt.id}: upper bits are not zero"
    reason = f"the codes are {low} to {high}"
    if fmt.signed and high < code < 1 << fmt.bits:
        reason += f", sign-extended to {fmt.code_dtype}"
    return f"{stray_hexadecimal(code, fmt)} = {code} is no code of {fmt.id}: {reason}"


def without_stray_bits(codes: NDArray[Any], fmt: Scalar) -> NDArray[Any]:
    """The codes that the low bits alone would be."""
    patterns = codes.astype(np.int64)
    return from_patterns(patterns & np.int64((1 << fmt.bits) - 1) if fmt.bits < 64 else patterns, fmt)
