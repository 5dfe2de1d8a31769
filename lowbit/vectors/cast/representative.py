"""Which magnitude codes of a format stand for all: every one where there are few, a choice per binade where not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.vectors.cast.points import Unsigned, max_magnitude
from lowbit.vectors.flags import cast as f

WHOLE_UP_TO = 300
"""A format with at most so many magnitudes is taken whole."""

BINADES = 20
"""About so many binades of a wider one are taken."""


def representative_magnitudes(fmt: Scalar) -> Unsigned:
    """Magnitude codes of finite values in rising order.

    A wide format gives, of each chosen binade, the first two and last two mantissas, both alternating patterns and
    the two in the middle.
    """
    top = max_magnitude(fmt)
    if top < WHOLE_UP_TO:
        return np.arange(top + 1, dtype=np.uint64)
    chosen = _of_integers(fmt) if isinstance(fmt, FixedFormat) else _of_floats(fmt)
    chosen |= {top - 1, top}
    return np.array(sorted(code for code in chosen if 0 <= code <= top), dtype=np.uint64)


def _patterns(width: int) -> set[int]:
    mask = (1 << width) - 1
    alternating = int("aaaaaaaaaaaaaaaa", 16)
    half = 1 << width >> 1
    found = {0, 1, mask - 1, mask, alternating, alternating >> 1, half, half - 1}
    return {pattern & mask for pattern in found}


def _of_integers(fmt: FixedFormat) -> set[int]:
    codes = {0, 1, 2}
    for width in range(1, fmt.bits):
        codes |= {(1 << width) + low for low in _patterns(width)}
    rails = {fmt.max_code, -fmt.min_code}
    return codes | {rail + step for rail in rails for step in (-2, -1, 0, 1)}


def _of_floats(fmt: FloatFormat) -> set[int]:
    width = fmt.mantissa_bits
    codes: set[int] = set()
    for field in _exponent_fields(fmt):
        codes |= {(field << width) + low for low in _patterns(width)}
    if fmt.subnormals:
        places = range(width) if width <= 10 else {0, 1, width // 2, width - 2, width - 1}
        codes |= {(1 << place) + step for place in places for step in (-1, 0, 1)}
    return codes


def _exponent_fields(fmt: FloatFormat) -> set[int]:
    """All exponent fields, or the lowest, those around 1.0, the highest, and some evenly spread between them."""
    top = fmt.max_code >> fmt.mantissa_bits
    if top < 2 * BINADES:
        return set(range(top + 1))
    middle = min(max(fmt.bias, 2), top - 2)
    spread = {top * step // (BINADES - 10) for step in range(BINADES - 9)}
    return spread | {0, 1, 2, middle - 1, middle, middle + 1, top - 2, top - 1, top}


def representative_codes(fmt: Scalar) -> Unsigned:
    """All codes of a format of at most 10 bits as bit patterns, or representative ones with every kind of special."""
    if fmt.bits <= 10:
        return np.arange(1 << fmt.bits, dtype=np.uint64)
    codes = {int(code) for code in representative_magnitudes(fmt)}
    if isinstance(fmt, FixedFormat):
        signed = {sign * code for code in codes for sign in (1, -1)}
        inside = sorted(code & ((1 << fmt.bits) - 1) for code in signed if fmt.min_code <= code <= fmt.max_code)
        return np.array(inside, dtype=np.uint64)
    codes = {code for code in codes if code <= fmt.max_code} | set(special_magnitudes(fmt))
    signs = {0, fmt.sign_bit}
    return np.array(sorted({code | sign for code in codes for sign in signs}), dtype=np.uint64)


def special_magnitudes(fmt: FloatFormat) -> list[int]:
    """Magnitude codes of the infinity and of a NaN of every kind.

    Kinds: the canonical one, the lowest (signalling, where IEEE 754 tells them apart), all ones, and each payload
    with one bit at the edge of the field, quiet and signalling.
    """
    specials = [] if fmt.infinity is None else [fmt.infinity]
    return specials + nan_magnitudes(fmt)


def nan_magnitudes(fmt: FloatFormat) -> list[int]:
    """Magnitude codes of NaNs at the top of the range: see ``special_magnitudes``."""
    if fmt.nan is None or fmt.canonical_nan is None:
        return []
    top, width = (1 << fmt.magnitude_bits) - 1, fmt.mantissa_bits
    base = top >> width << width
    quiet = 1 << width >> 1
    places = {place for place in (0, 1, 2, width // 2, width - 4, width - 3, width - 2) if 0 <= place < width}
    payloads = {1 << place for place in places} | {quiet - 1, quiet | quiet >> 1}
    codes = {fmt.canonical_nan, fmt.nan, top} | {base | payload | extra for payload in payloads for extra in (0, quiet)}
    return sorted(code for code in codes if fmt.nan <= code <= top)


def class_flags(patterns: Unsigned, fmt: Scalar) -> NDArray[np.uint8]:
    """What kind of value each bit pattern of a format is, as the flag of a decode row."""
    flags = np.full(patterns.shape, f.EXACT, dtype=np.uint8)
    if isinstance(fmt, FixedFormat):
        return flags
    magnitude = patterns & np.uint64((1 << fmt.magnitude_bits) - 1)
    flags[magnitude < np.uint64(fmt.min_normal_code)] = f.SUBNORMAL
    if fmt.zero:
        flags[magnitude == 0] = f.NEGATIVE_ZERO
    if fmt.infinity is not None:
        flags[magnitude == np.uint64(fmt.infinity)] = f.INFINITY
    if fmt.nan is not None:
        flags[magnitude >= np.uint64(fmt.nan)] = f.NAN_PAYLOAD
        flags[magnitude == np.uint64(fmt.canonical_nan or 0)] = f.NAN_SIGN
    if fmt.nan_at_negative_zero:
        flags[patterns == np.uint64(fmt.sign_bit)] = f.NAN_SIGN
    return flags
