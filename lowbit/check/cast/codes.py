"""Codes of a format: all of them, or some at random."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar

MOST_BITS = 32


def codes_between(fmt: Scalar, start: int, stop: int) -> NDArray[Any]:
    """The codes whose bit patterns lie in a range, all with the same leading bit."""
    if fmt.signed_codes and start >> (fmt.bits - 1):
        whole = 1 << fmt.bits
        start, stop = max(start - whole, fmt.codes[0]), stop - whole
    return np.arange(start, stop, dtype=fmt.code_dtype)


def all_codes(fmt: Scalar) -> NDArray[Any]:
    """Every code of a format, for formats of few bits, in the order of the bit patterns."""
    half = 1 << (fmt.bits - 1)
    return np.concatenate([codes_between(fmt, 0, half), codes_between(fmt, half, 2 * half)])


def check_exhaustive_bits(fmt: Scalar) -> None:
    """Raise InputError where a format has too many codes to try."""
    if fmt.bits > MOST_BITS:
        raise InputError(
            f"{fmt.id} has 2^{fmt.bits} codes: too many to try",
            hint=f"at most {MOST_BITS} bits can be exhausted; use --set boundary, or --set random with --n N",
        )
