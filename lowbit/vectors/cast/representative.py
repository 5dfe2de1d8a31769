"""Which magnitude codes of a format stand for all: every one where there are few, a choice per binade where not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_infinite, is_nan, is_zero
from lowbit.vectors.cast.points import Unsigned, max_magnitude
from lowbit.vectors.flags import cast as f

WHOLE_UP_TO = 300
"""A format with at most that many magnitudes is taken whole."""

BINADES = 20
"""About that many binades of a wider one are taken."""


def representative_magnitudes(fmt: Scalar) -> Unsigned:
    """Magnitude codes of finite values in rising order.

    A wide format gives, of each chosen binade, the first two and last two mantissas, both alternating patterns and
    the two in the middle.
    """
    top = max_magnitude(fmt)
    if top < WHOLE_UP_TO:
        return np.arange(top + 1, dtype=np.uint64)
    chosen = _of_integers(fmt) if fmt.wraps else _of_floats(fmt)
    chosen |= {top - 1, top}
    return np.array(sorted(code for code in chosen if 0 <= code <= top), dtype=np.uint64)


def _patterns(width: int) -> set[int]:
    mask = (1 << width) - 1
    alternating = int("aaaaaaaaaaaaaaaa", 16)
    half = 1 << width >> 1
    found = {0, 1, mask - 1, mask, alternating, alternating >> 1, half, half - 1}
    return {pattern & mask for pattern in found}


def _of_integers(fmt: Scalar) -> set[int]:
    codes = {0, 1, 2}
    for width in range(1, fmt.bits):
        codes |= {(1 << width) + low for low in _patterns(width)}
    rails = {fmt.codes[-1], -fmt.codes[0]}
    return codes | {rail + step for rail in rails for step in (-2, -1, 0, 1)}


def _of_floats(fmt: Scalar) -> set[int]:
    width = fmt.precision - 1
    codes: set[int] = set()
    for field in _exponent_fields(fmt):
        codes |= {(field << width) + low for low in _patterns(width)}
    if fmt.subnormals:
        places = range(width) if width <= 10 else {0, 1, width // 2, width - 2, width - 1}
        codes |= {(1 << place) + step for place in places for step in (-1, 0, 1)}
    return codes


def _exponent_fields(fmt: Scalar) -> set[int]:
    """All exponent fields, or the lowest, those around 1.0, the highest, and some evenly spread between them."""
    top = fmt.largest_code() >> (fmt.precision - 1)
    if top < 2 * BINADES:
        return set(range(top + 1))
    middle = min(max(fmt.parameters["bias"], 2), top - 2)
    spread = {top * step // (BINADES - 10) for step in range(BINADES - 9)}
    return spread | {0, 1, 2, middle - 1, middle, middle + 1, top - 2, top - 1, top}


def representative_codes(fmt: Scalar) -> Unsigned:
    """All codes of a format of at most 10 bits as bit patterns, or representative ones with every kind of special."""
    if fmt.bits <= 10:
        return np.arange(1 << fmt.bits, dtype=np.uint64)
    magnitudes = representative_magnitudes(fmt).tolist()
    if fmt.wraps:
        codes = {sign * code for code in magnitudes for sign in (1, -1) if sign * code in fmt.codes}
    else:
        specials = [*fmt.infinities[:1], *nan_magnitudes(fmt)]
        codes = {code | sign for code in [*magnitudes, *specials] for sign in (0, fmt.sign_bit)}
    return np.array(sorted(fmt.pattern(code) for code in codes), dtype=np.uint64)


def nan_magnitudes(fmt: Scalar) -> list[int]:
    """Magnitude codes of a NaN of every kind at the top of the range.

    Kinds: the canonical one, the lowest (signalling, where IEEE 754 tells them apart), all ones, and each payload
    with one bit at the edge of the field, quiet and signalling.
    """
    positive = [(low, high) for low, high in fmt.nan_ranges if not low & fmt.sign_bit]
    if not positive or fmt.canonical_nan is None:
        return []
    (lowest, top), width = positive[0], fmt.precision - 1
    base = top >> width << width
    quiet = 1 << width >> 1
    places = {place for place in (0, 1, 2, width // 2, width - 4, width - 3, width - 2) if 0 <= place < width}
    payloads = {1 << place for place in places} | {quiet - 1, quiet | quiet >> 1}
    codes = {fmt.canonical_nan, lowest, top} | {base | payload | extra for payload in payloads for extra in (0, quiet)}
    return sorted(code for code in codes if lowest <= code <= top)


def class_flags(patterns: Unsigned, fmt: Scalar) -> NDArray[np.uint8]:
    """What kind of value each bit pattern of a format is, as the flag of a decode row."""
    flags = np.full(patterns.shape, f.EXACT, dtype=np.uint8)
    if fmt.wraps:
        return flags
    magnitude = patterns & ~np.uint64(fmt.sign_bit)
    flags[magnitude < np.uint64(fmt.min_normal_code)] = f.SUBNORMAL
    flags[is_zero(patterns, fmt)] = f.NEGATIVE_ZERO
    flags[is_infinite(patterns, fmt)] = f.INFINITY
    nan = is_nan(patterns, fmt)
    flags[nan] = f.NAN_PAYLOAD
    if fmt.canonical_nan is not None:
        flags[nan & (magnitude == np.uint64(fmt.canonical_nan & ~fmt.sign_bit))] = f.NAN_SIGN
    return flags
