"""Casts from binary32 into a format that is known by the list of its values, in 32-bit lanes (``fast_intervals.py``).

The answers are those of the comparison with all values, asked for on both sides of every place where they may change.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import Array
from lowbit.ops.cast import comparison
from lowbit.ops.cast.binary32 import BINARY32_MANTISSA_BITS, Lanes, is_binary32

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

DEFECTS_REACH = 3
"""Binary32 numbers by which a defect may move the place where answers change."""

MOST_BUCKET_BITS = 17
"""2^17 buckets take a megabyte, of which little is touched."""


Tables = tuple[int, Array, Array]
"""The width of the buckets in bits, where the answer of each changes, and both answers."""


def tables(cast: Cast) -> Tables | None:
    """The tables of a cast; None for another source or rounding, or where two answers change side by side."""
    source, target, policy = cast[:3]
    if cast.flags or policy.stochastic or not is_binary32(source):
        return None
    compared = comparison.lower(cast)
    patterns = _where_answers_may_change(source, compared)
    codes = np.empty(patterns.size, dtype=target.code_dtype)
    comparison.run(compared, patterns, codes)
    return narrowest(patterns, codes)


def tables_with_defects(cast: Cast, answers: Callable[[Array], Array]) -> Tables | None:
    """The same where the defects of a policy move the places a little; None if an answer changes elsewhere."""
    plain = cast._replace(policy=cast.policy.without_defects())
    if tables(plain) is None:
        return None
    places = _where_answers_may_change(cast.source, comparison.lower(plain), DEFECTS_REACH)
    patterns = np.union1d(places, np.uint32(cast.source.sign_bit - 1))  # the last NaN without a sign
    codes = answers(patterns)
    apart = np.diff(patterns.astype(np.int64)) > 1
    return None if (apart & (codes[1:] != codes[:-1])).any() else narrowest(patterns, codes)


def narrowest(patterns: Array, codes: Array) -> Tables | None:
    """The fewest buckets for answers of 8 bits that change only from one pattern to the next, in rising order."""
    for shift in range(BINARY32_MANTISSA_BITS, 32 - MOST_BUCKET_BITS - 1, -1):
        buckets = _buckets(patterns, codes, shift)
        if buckets is not None:
            return shift, *buckets
    return None


def applies(cast: Cast) -> Lanes | None:
    """Lanes into listed values, where there are such tables."""
    found = tables(cast)
    return None if found is None else _compiled(*found)


def look_up(found: Tables, patterns: Array) -> Array:
    """The answers to flat int32 patterns."""
    codes = np.empty(patterns.size, np.uint8)
    _compiled(*found)(patterns, codes)
    return codes


def run(lanes: Lanes, codes: Array, out: Array, *_: object) -> None:
    """Run the lanes on codes as they are."""
    lanes(codes, out)


def _where_answers_may_change(source: Scalar, compared: comparison.Comparison, reach: int = 0) -> Array:
    """Bit patterns in rising order: on either side of every start of an interval, and of all special values."""
    low, high = source.ordinals[0], source.ordinals[-1]
    places = {start + step for start in compared.starts.tolist() for step in range(-1 - reach, 1 + reach)}
    patterns = {source.from_ordinal(min(max(place, low), high)) for place in places}
    magnitudes = {0, 1, source.min_normal_code, *(code & ~source.sign_bit for code in source.infinities)}
    magnitudes |= {first & ~source.sign_bit for first, _ in source.nan_ranges}
    both = {pattern | sign for pattern in magnitudes for sign in (0, source.sign_bit)}
    return np.array(sorted(patterns | both), dtype=np.uint32)


def _buckets(patterns: Array, codes: Array, shift: int) -> tuple[Array, Array] | None:
    """Where the answer of each bucket changes, and both answers; None where it changes twice."""
    changes = np.flatnonzero(np.diff(codes.astype(np.int64), prepend=-1))
    first, become = patterns[changes].astype(np.int64), codes[changes].astype(np.int64)
    starts = np.arange(1 << 32 - shift, dtype=np.int64) << shift
    inside = first & ((1 << shift) - 1) != 0
    within = first[inside] >> shift
    if np.unique(within).size != within.size:
        return None
    below = become[np.searchsorted(first, starts, side="right") - 1]
    change, above = starts.copy(), below.copy()
    change[within], above[within] = first[inside], become[inside]
    changes, answers = change.astype(np.uint32).view(np.int32), (below | above << 8).astype(np.int32)
    for table in (changes, answers):
        table.setflags(write=False)
    return changes, answers


def _compiled(shift: int, changes: Array, answers: Array) -> Lanes:
    run_lanes = _entry()
    return lambda bits, out: run_lanes(bits, shift, changes, answers, out)


@cache
def _entry() -> Callable[..., Any]:
    from lowbit.kernels._jit import array_type, entry
    from lowbit.kernels.cast.fast_intervals import encode
    from lowbit.kernels.lib.types import INT64

    lanes = array_type("int32")
    return entry(encode, lanes, INT64, lanes, lanes, array_type("uint8"))
