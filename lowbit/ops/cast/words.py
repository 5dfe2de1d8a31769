"""Casts by way of binary32 words, so that 32-bit lanes finish what comes from wider or other sources.

binary64 and integers of at most 53 bits are rounded to odd, which no later rounding to fewer bits can tell from the
value itself; a source of at most 16 bits fits binary32 exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import Array, all_codes
from lowbit.ops.cast.binary32 import is_bfloat16, is_binary16, is_binary64
from lowbit.policy.cast import Policy

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast

BINARY64_PRECISION = 53
BINARY32_PRECISION = 24
MOST_FRACTION_BITS = 900  # scaled integers of 53 bits stay normal binary64 numbers


class ByWords(NamedTuple):
    """From codes to words, from there to results, and all of it for integers that binary64 may not hold."""

    words: Callable[[Array], Array]
    finish: Callable[..., None]
    whole: Callable[..., None] | None


def applies(cast: Cast) -> ByWords | None:
    """How to make the words and what finishes them, for float targets well within binary32's range."""
    from lowbit.ops.cast import unpacked
    from lowbit.ops.cast.paths import runner

    source, target, policy = cast[:3]
    if cast.flags or target.wraps or not _well_within_binary32(target):
        return None
    kept = target.precision + policy.random_bits + 2  # bits that rounding looks at, beside "is there more"
    if kept > BINARY32_PRECISION or policy.nan_code not in ("canonical", "all_ones"):
        return None
    words = _words_of(source, flush=policy.flush_inputs == "always")
    if words is None:
        return None
    binary32, unflushed = scalar_format("float32"), policy.choose(flush_inputs="never")
    finish = runner(cast._replace(source=binary32, policy=unflushed, many=False))
    return ByWords(words, finish.run, partial(unpacked.run, unpacked.applies(cast)) if source.wraps else None)


def run(ways: ByWords, codes: Array, *rest: Any) -> None:
    """Make the words and finish them."""
    if ways.whole is not None and _exceeds_binary64(codes):
        ways.whole(codes, *rest)
    else:
        ways.finish(ways.words(codes), *rest)


def _words_of(source: Scalar, flush: bool) -> Callable[[Array], Array] | None:
    """A function from codes to binary32 words, rounded to odd, or None where there is no quick one."""
    from lowbit.kernels.cast import fast_binary64 as narrow64

    def narrowed(values: Array) -> Array:
        words = np.empty(values.size, dtype=np.uint32)
        if values.dtype == np.int32:
            narrow64.narrow_integers_to_odd(values, unit, words.view(np.int32))
        else:
            narrow64.narrow_to_odd(values, smallest, words.view(np.int32))
        return words

    smallest = np.finfo(np.float64).smallest_normal if flush else 0.0
    if is_binary64(source):
        return lambda chunk: narrowed(chunk.view(np.float64))
    if source.wraps:
        if abs(source.smallest_exponent) > MOST_FRACTION_BITS:
            return None
        unit = 2.0**source.smallest_exponent
        if source.bits <= 16 or (source.bits <= 32 and source.signed):
            return lambda chunk: narrowed(chunk.astype(np.int32, copy=False))
        return lambda chunk: narrowed(chunk.astype(np.float64) * unit)
    if is_binary16(source) and not flush:
        return _widened(source)
    if is_bfloat16(source) and not flush:
        return _shifted
    return None


def _shifted(codes: Array) -> Array:
    """bfloat16 is the upper half of binary32."""
    words = codes.astype(np.uint32)
    words <<= np.uint32(16)
    return words


def _widened(source: Scalar) -> Callable[[Array], Array]:
    """binary16 fits binary32 as it is: one table look-up."""
    from lowbit.kernels.cast.gather import gather
    from lowbit.ops.cast.paths import Cast, runner

    patterns = all_codes(source)
    table = np.empty(patterns.size, dtype=np.uint32)
    runner(Cast(source, scalar_format("float32"), Policy(nan_code="payload"))).run(patterns, table)

    def look_up(codes: Array) -> Array:
        words = np.empty(codes.size, dtype=np.uint32)
        gather(codes, table, words)
        return words

    return look_up


def _exceeds_binary64(values: Array) -> bool:
    """Whether some integer may have more than 53 significant bits."""
    if values.dtype.itemsize < 8 or not values.size:
        return False
    return max(int(values.max()), -int(values.min())).bit_length() > BINARY64_PRECISION


def _well_within_binary32(target: Scalar) -> bool:
    """Whether overflow and underflow of the target happen far inside binary32's normal range."""
    return target.precision <= 22 and target.max_exponent < 120 and target.smallest_exponent > -100 and target.zero
