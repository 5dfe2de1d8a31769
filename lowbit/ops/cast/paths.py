"""Which kernel makes a cast, and how a chunk of codes gets into it and out again.

Chunks are widened to int64 scratch arrays that stay in cache, so a kernel has one signature. From the fastest:
binary32 to nearest in 32-bit lanes (``_fast``), binary32 under any policy in 32-bit lanes, any float or integer in
64-bit lanes, and the full kernel, which also makes flags, takes random bits and knows fixed-point targets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.exact import floor_log2
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.binary32 import fast_runner, is_bfloat16, is_binary16, is_binary32, is_binary64
from lowbit.ops.cast.lowering import WIDEST_FIXED, Vector, lower, narrow
from lowbit.ops.cast.outcomes import FixedOutcomes
from lowbit.ops.cast.wide_integers import Wide, fixed_from_integers
from lowbit.policy.cast import Policy

Array = npt.NDArray[Any]
CHUNK = 1 << 14
CHUNK_32 = 1 << 15
FAST_CHUNK = 1 << 20
LARGEST_MAGNITUDE_BITS = 55
BINARY64_PRECISION = 53
BINARY32_PRECISION = 24
MOST_RANDOM_BITS_32 = 24
MOST_FRACTION_BITS = 900  # scaled integers of 53 bits stay normal binary64 numbers


class Cast(NamedTuple):
    """What is to be done: one step, without intermediate formats and defects."""

    source: Scalar
    target: Scalar
    policy: Policy


class Runner(NamedTuple):
    """How it is done: ``run(codes, random, out, flags)`` on a chunk of the size that suits it.

    ``random`` is None but for the stochastic modes, ``flags`` None where they were not asked for.
    """

    run: Callable[[Array, Array | None, Array, Array | None], None]
    chunk: int


@lru_cache(maxsize=1024)
def runner(cast: Cast, flags: bool) -> Runner:
    """The fastest kernel that makes the cast."""
    if not flags and isinstance(cast.target, FloatFormat):
        fast = fast_runner(*cast)
        if fast is not None:
            return Runner(lambda codes, _random, out, _flags: fast(codes, out), FAST_CHUNK)
        plain = _through_binary32(cast) or _plain_runner(cast)
        if plain is not None:
            return plain
    return _full_runner(cast)


def _through_binary32(cast: Cast) -> Runner | None:
    """Other sources by way of binary32 words, so that 32-bit lanes finish the cast.

    binary64 and integers of at most 53 bits are rounded to odd, which no later rounding to fewer bits can tell from
    the value itself; a source of at most 16 bits fits binary32 exactly.
    """
    source, target, policy = cast
    if not isinstance(target, FloatFormat) or not _well_within_binary32(target):
        return None
    kept = target.precision + policy.random_bits + 2  # bits that rounding looks at, beside "is there more"
    if kept > BINARY32_PRECISION or policy.nan_code not in ("canonical", "all_ones"):
        return None
    words = _words_of(source, flush=policy.flush_inputs == "always")
    if words is None:
        return None
    finish = runner(Cast(get_format("float32"), target, policy.choose(flush_inputs="never")), False).run
    whole = _full_runner(cast).run

    def run(codes: Array, random: Array | None, out: Array, flags: Array | None) -> None:
        if isinstance(source, FixedFormat) and _exceeds_binary64(codes):
            whole(codes, random, out, flags)
        else:
            finish(words(codes), random, out, flags)

    return Runner(run, CHUNK_32)


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
    if isinstance(source, FixedFormat):
        if abs(source.fraction_bits) > MOST_FRACTION_BITS:
            return None
        unit = 2.0**-source.fraction_bits
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


def _widened(source: FloatFormat) -> Callable[[Array], Array]:
    """binary16 fits binary32 as it is: one table look-up."""
    from lowbit.kernels.cast.gather import gather

    table = np.empty(1 << source.bits, dtype=np.uint32)
    patterns = np.arange(1 << source.bits, dtype=np.uint16)
    runner(Cast(source, get_format("float32"), Policy(nan_code="payload")), False).run(patterns, None, table, None)

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


def _well_within_binary32(target: FloatFormat) -> bool:
    """Whether overflow and underflow of the target happen far inside binary32's normal range."""
    exponent = floor_log2(target.max)
    return target.precision <= 22 and exponent < 120 and target.smallest_exponent > -100 and target.zero


def _plain_runner(cast: Cast) -> Runner | None:
    """Float targets without flags: the conversion is one kernel over one widened chunk."""
    from lowbit.kernels.cast import cast as kernels
    from lowbit.kernels.cast import fast_any_policy

    source, target, policy = cast
    vector = lower(source, target, policy)
    if is_binary32(source) and target.bits <= 16 and policy.random_bits <= MOST_RANDOM_BITS_32:
        kernel = fast_any_policy.encode_random if policy.stochastic else fast_any_policy.encode
        return Runner(_in_lanes(kernel, np.int32, narrow(vector)), CHUNK_32)
    if isinstance(source, FloatFormat):
        kernel = kernels.encode_float_random if policy.stochastic else kernels.encode_float
        return Runner(_in_lanes(kernel, np.int64, vector), CHUNK)
    if source.bits < 64 and not policy.stochastic:
        return Runner(_in_lanes(kernels.encode_integer, np.int64, vector), CHUNK)
    return None


def _in_lanes(kernel: Any, lane: Any, vector: Array) -> Callable[[Array, Array | None, Array, Array | None], None]:
    """Run a kernel on a chunk widened to its lanes; not in place, since overlap would take the scalar loop."""

    def run(codes: Array, random: Array | None, out: Array, _flags: Array | None) -> None:
        widened = codes.view(lane) if codes.dtype.itemsize == np.dtype(lane).itemsize else codes.astype(lane)
        result = np.empty(codes.size, dtype=lane)
        if random is None:
            kernel(widened, vector, result)
        else:
            kernel(widened, random.astype(lane), vector, result)
        out[...] = result.astype(out.dtype)

    return run


def _full_runner(cast: Cast) -> Runner:
    source, target, policy = cast
    vector = lower(source, target, policy)

    def run(codes: Array, random: Array | None, out: Array, flags: Array | None) -> None:
        unpacked = unpack(codes, source, vector)
        bits = unpacked[0] if random is None else random.astype(np.int64)
        made, raised = project_unpacked(*unpacked, bits, target, policy, vector)
        out[...] = made
        if flags is not None:
            flags[...] = raised

    return Runner(run, CHUNK)


def unpack(codes: Array, source: Scalar, vector: Vector | None) -> tuple[Array, Array, Array]:
    """State (2 * state + negative), magnitude and exponent of each code, int64 arrays."""
    from lowbit.kernels.cast import cast

    if isinstance(source, FloatFormat):
        state, magnitude, exponent = (np.empty(codes.size, dtype=np.int64) for _ in range(3))
        cast.unpack(codes.astype(np.int64), vector, state, magnitude, exponent)
        return state, magnitude, exponent
    negative = (codes < 0).astype(np.int64)
    # two's complement by hand: the magnitude of INT64_MIN and of uint64 fits uint64 only
    bits = codes.astype(np.int64).view(np.uint64) if codes.dtype.kind == "i" else codes.astype(np.uint64)
    magnitude = np.where(negative != 0, ~bits + np.uint64(1), bits)
    return negative, magnitude, np.full(codes.size, -source.fraction_bits, dtype=np.int64)


def project_unpacked(
    state: Array, magnitude: Array, exponent: Array, random: Array, target: Scalar, policy: Policy, vector: Vector
) -> tuple[Array, Array]:
    """Codes and flags of unpacked values; a uint64 magnitude may have all its 64 bits."""
    from lowbit.kernels.cast import cast

    original, original_exponent = magnitude.copy(), exponent.copy()
    _require_room_for_random_bits(magnitude, target, policy)
    magnitude, exponent = _narrowed(magnitude, exponent)
    kernel = cast.encode_unpacked_float if isinstance(target, FloatFormat) else cast.encode_unpacked_fixed
    narrowed = magnitude.copy()
    kernel(state, magnitude, exponent, random, vector)
    codes, flags = magnitude, exponent
    if isinstance(target, FloatFormat):
        if not target.signed and policy.negative == "absolute":
            dropped = ((state == 1) & (narrowed != 0)) | (state == 2 * at.STATE_INFINITE + 1)
            flags |= np.where(dropped, at.INVALID, 0)
        return codes, flags
    wide = _needs_wide_path(state, original, original_exponent, target, policy)
    if target.bits > WIDEST_FIXED:
        codes, flags = _within_wide_target(codes, flags, target, policy)
    if wide.any():
        codes = codes.astype(target.code_dtype)
        values = Wide(state[wide] & 1, original[wide], original_exponent[wide], random[wide])
        codes[wide], flags[wide] = fixed_from_integers(values, target, policy)
    return codes, flags


def _require_room_for_random_bits(magnitude: Array, target: Scalar, policy: Policy) -> None:
    """Refuse what the sticky bit of a long integer would spoil: a fraction that reaches into it."""
    if not isinstance(target, FloatFormat) or not policy.stochastic or magnitude.dtype == np.int64:
        return
    longest = int(magnitude.max()).bit_length() if magnitude.size else 0
    room = LARGEST_MAGNITUDE_BITS - target.precision - 2
    if longest > LARGEST_MAGNITUDE_BITS and policy.random_bits > room:
        raise InputError(
            f"an integer of {longest} bits cannot be rounded to the {target.precision} bits of {target.id} with "
            f"{policy.random_bits} random bits: at most {max(room, 0)} are exact beyond {LARGEST_MAGNITUDE_BITS} bits",
            hint="use fewer random bits, or split the integers",
        )


def _within_wide_target(codes: Array, flags: Array, target: FixedFormat, policy: Policy) -> tuple[Array, Array]:
    """Codes of a wide target whose limits the kernel does not know: only values below its range are left to mend."""
    below = (codes < target.min_code) & (flags & (at.INVALID | at.REFUSED) == 0)
    if policy.overflow == "wrap":
        mask = (1 << min(target.bits, 63)) - 1 if target.bits < 64 else -1
        wrapped = codes if target.signed else codes & mask
        return wrapped.astype(target.code_dtype), np.where(below, at.INVALID, flags)
    code, flag = FixedOutcomes(target, policy).overflow(1)
    mended = codes.astype(target.code_dtype)
    mended[below] = code
    return mended, np.where(below, flag, flags)


def _narrowed(magnitude: Array, exponent: Array) -> tuple[Array, Array]:
    """Magnitudes of at most 55 bits: longer ones are shifted right, and what falls off leaves a one (a sticky bit)."""
    if magnitude.dtype == np.int64:
        return magnitude, exponent
    long = magnitude >= np.uint64(1 << LARGEST_MAGNITUDE_BITS)
    if not long.any():
        return magnitude.astype(np.int64), exponent
    drop = np.zeros(magnitude.size, dtype=np.uint64)
    for bits in range(LARGEST_MAGNITUDE_BITS, 64):
        drop += magnitude >= np.uint64(1 << bits)
    kept = magnitude >> drop
    kept |= (kept << drop) != magnitude
    return kept.astype(np.int64), exponent + drop.astype(np.int64)


def _needs_wide_path(
    state: Array, magnitude: Array, exponent: Array, target: FixedFormat, policy: Policy
) -> npt.NDArray[np.bool_]:
    """Finite values that the kernel does not hold exactly, or whose code may lie beyond what it counts."""
    leading = np.frexp(magnitude.astype(np.float64))[1] + exponent + target.fraction_bits  # never too small
    wide = (leading > LARGEST_MAGNITUDE_BITS) & (target.bits > WIDEST_FIXED)
    if magnitude.dtype == np.uint64:
        # a sticky bit is as good as what it stands for where the value is out of range and saturates
        disturbed = (exponent + target.fraction_bits < 0) | (target.bits > LARGEST_MAGNITUDE_BITS)
        disturbed |= policy.overflow == "wrap"
        wide |= (magnitude >= np.uint64(1 << LARGEST_MAGNITUDE_BITS)) & disturbed
    return np.asarray((state < 2) & (magnitude != 0) & wide)
