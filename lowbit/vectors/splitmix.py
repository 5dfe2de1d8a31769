"""Random codes from a generator of our own, so that a seed means the same rows for ever.

SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014, figure 14): the n-th
output depends on seed and n alone. NumPy promises its raw bit streams only, and not its distributions (NEP 19).
"""

from __future__ import annotations

import numpy as np

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.vectors.cast.points import Points, Signed, Unsigned, floor_codes

DISTRIBUTIONS = ("bits", "normal")
_GAMMA = np.uint64(0x9E3779B97F4A7C15)
_MIX_1, _MIX_2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_UNIFORMS = 12
"""A sum of twelve uniform numbers has variance 1."""


def splitmix64(seed: int, count: int, start: int = 0) -> Unsigned:
    """Outputs ``start`` to ``start + count - 1`` of SplitMix64 from a seed."""
    index = np.arange(start + 1, start + count + 1, dtype=np.uint64)
    state = np.uint64(seed % (1 << 64)) + index * _GAMMA  # uint64 arrays wrap modulo 2**64, as meant
    state = (state ^ (state >> np.uint64(30))) * _MIX_1
    state = (state ^ (state >> np.uint64(27))) * _MIX_2
    return state ^ (state >> np.uint64(31))


def random_patterns(fmt: Scalar, count: int, seed: int, distribution: str = "bits") -> Unsigned:
    """Random bit patterns of a format.

    ``fmt``: Scalar format. ``count`` and ``seed``: how many, and from which seed. ``distribution``: ``"bits"``: every
    pattern is equally likely, NaNs included. ``"normal"``: values close to N(0, 1), a sum of twelve uniform numbers
    rounded toward zero (their absolute value where the format is unsigned).

    Raises InputError: the distribution is unknown or the count negative.
    """
    if count < 0:
        raise InputError(f"count = {count} is negative")
    if distribution == "bits":
        return splitmix64(seed, count) >> np.uint64(64 - fmt.bits)
    if distribution != "normal":
        raise InputError(f"distribution {distribution!r} is unknown", hint=f"one of {', '.join(DISTRIBUTIONS)}")
    return _normal_patterns(fmt, count, seed)


def _normal_patterns(fmt: Scalar, count: int, seed: int) -> Unsigned:
    uniforms = (splitmix64(seed, count * _UNIFORMS) >> np.uint64(16)).astype(np.int64).reshape(count, _UNIFORMS)
    total: Signed = uniforms.sum(axis=1) - (_UNIFORMS // 2 << 48)
    place = Points(np.abs(total).astype(np.uint64), np.full(count, -48, dtype=np.int64))
    codes, _, valid = floor_codes(place, fmt)
    codes = np.where(valid, codes, np.uint64(0))
    if not fmt.signed:
        return codes
    if not fmt.signed_codes:
        negative = (total < 0) & ((codes > 0) | fmt.negative_zero)
        return codes | np.where(negative, np.uint64(fmt.sign_bit), np.uint64(0))
    mask = np.uint64((1 << fmt.bits) - 1)
    inside = np.minimum(codes, np.uint64(fmt.codes[-1]))
    return np.where(total < 0, ~inside + np.uint64(1), inside) & mask
