"""Runs a cast over an array: the steps of a policy, tables for narrow sources, chunks for the rest.

Codes come as a flat array of any integer dtype and leave in the target's code dtype, with RISC-V flags where they
are asked for. Chunks are widened to int64 scratch arrays that stay in cache, so each kernel has one signature.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.dyadic import Exact
from lowbit.kernels import layout as at
from lowbit.lowering import Vector, lower
from lowbit.ops._fast import fast_runner
from lowbit.ops._wide import fixed_from_integers
from lowbit.policy import DEFECTS, Policy
from lowbit.registry import get_format
from lowbit.spec import FixedFormat, FloatFormat, Scalar

Array = npt.NDArray[Any]
CHUNK = 1 << 14
FAST_CHUNK = 1 << 18
TABLE_BITS = 16
LARGEST_MAGNITUDE_BITS = 55
INTERMEDIATE = Policy(nan_code="payload")
_REFUSING = ("overflow", "infinity", "nan", "negative", "zero", "underflow")


class Codes(NamedTuple):
    """Codes of a format and, where they were asked for, the flags of the conversion that made them."""

    codes: Array
    flags: npt.NDArray[np.uint8] | None


def refuses(policy: Policy) -> bool:
    """Whether some input is an error under the policy."""
    return any(getattr(policy, axis) == "error" for axis in _REFUSING)


def cast_codes(
    codes: Array, source: Scalar, target: Scalar, policy: Policy, random: Array | None, flags: bool, threads: int
) -> Codes:
    """Convert flat codes under a full policy; ``random`` is a flat int64 array for the stochastic modes."""
    raised = np.zeros(codes.size, dtype=np.uint8) if flags else None
    for via in _intermediates(source, target, policy):
        if via.id == source.id:
            continue
        step = replace(INTERMEDIATE, flush_inputs=policy.flush_inputs)
        codes, step_flags = _project(codes, source, via, step, None, flags, threads)
        source, policy = via, policy.choose(flush_inputs="never")
        if raised is not None and step_flags is not None:
            raised |= step_flags
    plain = replace(policy, via="", defects=(), name="")
    result, last_flags = _project(codes, source, target, plain, random, flags, threads)
    result = _with_defects(result, codes, source, target, policy)
    if raised is not None and last_flags is not None:
        raised |= last_flags
    return Codes(result, raised)


def _intermediates(source: Scalar, target: Scalar, policy: Policy) -> list[FloatFormat]:
    names = [policy.via] if policy.via else []
    defects = [DEFECTS[name] for name in policy.defects]
    names += [defect.via for defect in defects if defect.via and defect.applies(source.id, target.id)]
    formats = [get_format(name) for name in names]
    return [fmt for fmt in formats if isinstance(fmt, FloatFormat)]


def _with_defects(result: Array, codes: Array, source: Scalar, target: Scalar, policy: Policy) -> Array:
    """Overwrite the results of inputs that a known bug sends elsewhere; the first that matches wins."""
    for name in reversed(policy.defects):
        defect = DEFECTS[name]
        if defect.above is None or defect.below is None or not isinstance(target, FloatFormat):
            continue
        if not defect.applies(source.id, target.id):
            continue
        magnitudes, negative = _magnitudes(codes, source)
        lowest = _count_not_above(source, defect.above)
        highest = _count_below(source, defect.below)
        inside = (magnitudes >= lowest) & (magnitudes < highest)
        inside &= ~negative | target.signed
        result[inside] = (defect.code + negative[inside] * target.sign_bit).astype(result.dtype)
    return result


def _magnitudes(codes: Array, source: Scalar) -> tuple[Array, npt.NDArray[np.bool_]]:
    if isinstance(source, FixedFormat):
        return np.abs(codes.astype(np.int64)).astype(np.uint64), codes < 0
    mask = codes.dtype.type((1 << source.magnitude_bits) - 1)
    negative = (codes & codes.dtype.type(source.sign_bit)) != 0
    return (codes & mask).astype(np.uint64), negative


def _count_not_above(source: Scalar, limit: Exact) -> int:
    """How many magnitude codes are worth at most the limit."""
    return _bisect(source, lambda value: value.fraction() <= limit.fraction())


def _count_below(source: Scalar, limit: Exact) -> int:
    """How many magnitude codes are worth less than the limit."""
    return _bisect(source, lambda value: value.fraction() < limit.fraction())


def _bisect(source: Scalar, holds: Callable[[Exact], bool]) -> int:
    low, high = 0, source.max_code + 1
    while low < high:
        middle = (low + high) // 2
        if holds(_magnitude_value(source, middle)):
            low = middle + 1
        else:
            high = middle
    return low


def _magnitude_value(source: Scalar, code: int) -> Exact:
    return source.magnitude(code) if isinstance(source, FloatFormat) else Exact(0, code, -source.fraction_bits)


def _project(
    codes: Array, source: Scalar, target: Scalar, policy: Policy, random: Array | None, flags: bool, threads: int
) -> Codes:
    """One step: no intermediate format, no defects."""
    if source.bits <= TABLE_BITS and not policy.stochastic and codes.size > 1 << max(source.bits - 2, 4):
        return _by_table(codes, source, target, policy, flags)
    out = np.empty(codes.size, dtype=target.code_dtype)
    raised = np.empty(codes.size, dtype=np.uint8) if flags else None
    fast = None if flags else fast_runner(source, target, policy)
    if fast is not None:
        in_chunks(lambda start, stop: fast(codes[start:stop], out[start:stop]), codes.size, threads, FAST_CHUNK)
        return Codes(out, raised)
    run = _chunk_runner(codes, source, target, policy, random, out, raised)
    in_chunks(run, codes.size, threads)
    return Codes(out, raised)


def _by_table(codes: Array, source: Scalar, target: Scalar, policy: Policy, flags: bool) -> Codes:
    table, flag_table = conversion_table(source, target, policy, flags)
    index = codes
    if index.dtype.kind == "i":
        unsigned = codes.view(f"u{codes.dtype.itemsize}")
        index = unsigned & unsigned.dtype.type((1 << source.bits) - 1)
    return Codes(np.take(table, index), np.take(flag_table, index) if flag_table is not None else None)


@lru_cache(maxsize=128)
def conversion_table(source: Scalar, target: Scalar, policy: Policy, flags: bool) -> Codes:
    """Results for every code of a source of at most 16 bits, indexed by its bits."""
    codes = all_codes(source)
    out = np.empty(codes.size, dtype=target.code_dtype)
    raised = np.empty(codes.size, dtype=np.uint8) if flags else None
    in_chunks(_chunk_runner(codes, source, target, policy, None, out, raised), codes.size, 1)
    for array in (out, raised):
        if array is not None:
            array.setflags(write=False)
    return Codes(out, raised)


def all_codes(fmt: Scalar) -> Array:
    """Every bit pattern of a format of at most 16 bits, in order of the bits, as codes."""
    patterns = np.arange(1 << fmt.bits, dtype=np.int64)
    if isinstance(fmt, FixedFormat) and fmt.signed:
        patterns -= (patterns >> (fmt.bits - 1)) << fmt.bits
    return patterns.astype(fmt.code_dtype)


def in_chunks(run: Callable[[int, int], None], size: int, threads: int, chunk: int = CHUNK) -> None:
    """Call ``run(start, stop)`` over the whole range, in chunks, by one thread or several."""

    def slab(start: int, stop: int) -> None:
        for first in range(start, stop, chunk):
            run(first, min(first + chunk, stop))

    if threads <= 1 or size <= 2 * chunk:
        slab(0, size)
        return
    step = -(-size // (threads * chunk)) * chunk
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(slab, start, min(start + step, size)) for start in range(0, size, step)]:
            done.result()


def _chunk_runner(
    codes: Array,
    source: Scalar,
    target: Scalar,
    policy: Policy,
    random: Array | None,
    out: Array,
    raised: npt.NDArray[np.uint8] | None,
) -> Callable[[int, int], None]:
    from lowbit.kernels import cast

    if isinstance(source, FloatFormat) and isinstance(target, FloatFormat) and raised is None:
        vector = lower(source, target, policy)
        if random is not None:
            drawn = random
            return lambda start, stop: _run_fused(
                cast.encode_float_random, codes[start:stop], (drawn[start:stop],), vector, out[start:stop]
            )
        return lambda start, stop: _run_fused(cast.encode_float, codes[start:stop], (), vector, out[start:stop])
    vector = lower(source if isinstance(source, FloatFormat) else None, target, policy)

    def run(start: int, stop: int) -> None:
        unpacked = unpack(codes[start:stop], source, vector)
        bits = unpacked[0] if random is None else random[start:stop]
        codes_out, flags_out = project_unpacked(*unpacked, bits, target, policy, vector)
        out[start:stop] = codes_out
        if raised is not None:
            raised[start:stop] = flags_out

    return run


def _run_fused(kernel: Any, codes: Array, extra: tuple[Array, ...], vector: Vector, out: Array) -> None:
    widened = codes.astype(np.int64)
    result = np.empty_like(widened)  # not in place: overlapping arrays would take the scalar loop
    kernel(widened, *extra, vector, result)
    out[...] = result.astype(out.dtype)


def unpack(codes: Array, source: Scalar, vector: Vector | None) -> tuple[Array, Array, Array]:
    """State (2 * state + negative), magnitude and exponent of each code, int64 arrays."""
    from lowbit.kernels import cast

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
    from lowbit.kernels import cast

    original, original_exponent = magnitude.copy(), exponent.copy()
    magnitude, exponent = _narrowed(magnitude, exponent)
    kernel = cast.encode_unpacked_float if isinstance(target, FloatFormat) else cast.encode_unpacked_fixed
    narrowed = magnitude.copy()
    kernel(state, magnitude, exponent, random, vector)
    codes, flags = magnitude, exponent
    if isinstance(target, FloatFormat):
        if not target.signed and policy.negative == "absolute":
            flags |= np.where((state == 1) & (narrowed != 0), at.INVALID, 0)
        return codes, flags
    wide = _needs_wide_path(state, original, original_exponent, target, policy)
    if wide.any():
        codes = codes.astype(target.code_dtype)
        codes[wide], flags[wide] = fixed_from_integers(
            state[wide] & 1, original[wide], original_exponent[wide], target, policy
        )
    return codes, flags


def _narrowed(magnitude: Array, exponent: Array) -> tuple[Array, Array]:
    """Magnitudes of at most 55 bits: longer ones are shifted right, and what falls off leaves a one (a sticky bit)."""
    if magnitude.dtype == np.int64:
        return magnitude, exponent
    long = magnitude >= np.uint64(1 << LARGEST_MAGNITUDE_BITS)
    if not long.any():
        return magnitude.astype(np.int64), exponent
    drop = 64 - LARGEST_MAGNITUDE_BITS
    kept = magnitude >> np.uint64(drop)
    kept |= (kept << np.uint64(drop)) != magnitude
    return np.where(long, kept, magnitude).astype(np.int64), np.where(long, exponent + drop, exponent)


def _needs_wide_path(
    state: Array, magnitude: Array, exponent: Array, target: FixedFormat, policy: Policy
) -> npt.NDArray[np.bool_]:
    """Large finite values into a fixed-point target that is wide, or wraps, or whose rounding could be disturbed."""
    if magnitude.dtype == np.int64 and target.bits <= 62:
        return np.zeros(state.size, dtype=np.bool_)
    # exact: a float64 holds the binary exponent of every magnitude
    leading = np.frexp(magnitude.astype(np.float64))[1] + exponent + target.fraction_bits
    if target.bits <= LARGEST_MAGNITUDE_BITS and policy.overflow != "wrap":
        return np.zeros(state.size, dtype=np.bool_)
    return np.asarray((state < 2) & (leading > LARGEST_MAGNITUDE_BITS))
