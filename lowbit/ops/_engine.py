"""Runs a cast over an array: the steps of a policy, tables for narrow sources, chunks for the rest.

Codes come as a flat array of any integer dtype and leave in the target's code dtype, with RISC-V flags where they
are asked for. The same bits come out at any number of threads.
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
from lowbit.errors import PolicyError
from lowbit.ops._runners import FAST_CHUNK, Cast, runner
from lowbit.policy import DEFECTS, Policy
from lowbit.registry import get_format
from lowbit.spec import FixedFormat, FloatFormat, Scalar

Array = npt.NDArray[Any]
TABLE_BITS = 16
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
    cast: Cast, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None
) -> Codes:
    """Convert flat codes under a full policy, into the flat array ``out`` if there is one.

    ``random`` is a flat array for the stochastic modes.
    """
    source, target, policy = cast
    raised = np.zeros(codes.size, dtype=np.uint8) if flags else None
    for via in _intermediates(source, target, policy):
        if via.id == source.id:
            continue
        step = replace(INTERMEDIATE, flush_inputs=policy.flush_inputs)
        codes, step_flags = _project(Cast(source, via, step), codes, None, flags, threads)
        source, policy = via, policy.choose(flush_inputs="never")
        if raised is not None and step_flags is not None:
            raised |= step_flags
    plain = replace(policy, via="", defects=(), name="")
    result, last_flags = _project(Cast(source, target, plain), codes, random, flags, threads, out)
    result = _with_defects(result, codes, source, target, policy)
    if raised is not None and last_flags is not None:
        raised |= last_flags
    return Codes(result, raised)


def _intermediates(source: Scalar, target: Scalar, policy: Policy) -> list[FloatFormat]:
    names = [policy.via] if policy.via else []
    defects = [DEFECTS[name] for name in policy.defects]
    names += [defect.via for defect in defects if defect.via and defect.applies(source.id, target.id)]
    formats = [get_format(name) for name in names]
    for fmt in formats:
        if not isinstance(fmt, FloatFormat):
            raise PolicyError(f"via = {fmt.id!r} is not a floating-point format", hint="via='float32', for example")
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
        inside &= ~negative | target.signed | (policy.negative == "absolute")
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
    cast: Cast, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None
) -> Codes:
    """One step: no intermediate format, no defects."""
    source, target, policy = cast
    if source.bits <= TABLE_BITS and not policy.stochastic and codes.size > 1 << max(source.bits - 2, 4):
        return _by_table(cast, codes, flags, threads, out)
    result = np.empty(codes.size, dtype=target.code_dtype) if out is None else out
    raised = np.empty(codes.size, dtype=np.uint8) if flags else None
    _run(cast, codes, random, Codes(result, raised), threads)
    return Codes(result, raised)


def _run(cast: Cast, codes: Array, random: Array | None, results: Codes, threads: int) -> None:
    """Cast all codes, chunk by chunk, into the arrays of ``results``."""
    run, chunk = runner(cast, results.flags is not None)

    def step(start: int, stop: int) -> None:
        part = slice(start, stop)
        drawn = None if random is None else random[part]
        raised = None if results.flags is None else results.flags[part]
        run(codes[part], drawn, results.codes[part], raised)

    in_chunks(step, codes.size, threads, chunk)


def _by_table(cast: Cast, codes: Array, flags: bool, threads: int, out: Array | None) -> Codes:
    table, flag_table = conversion_table(*cast, flags)
    raised = look_up(codes, cast.source, flag_table, threads) if flag_table is not None else None
    return Codes(look_up(codes, cast.source, table, threads, out), raised)


def look_up(codes: Array, source: Scalar, table: Array, threads: int, out: Array | None = None) -> Array:
    """The table's entry for each code; ``out`` has the table's item size."""
    from lowbit.kernels.gather import gather

    patterns = codes.view(f"u{codes.dtype.itemsize}")
    patterns = patterns.astype(np.uint8 if source.bits <= 8 else np.uint16, copy=False)
    if isinstance(source, FixedFormat) and source.signed and source.bits % 8:
        patterns = patterns & patterns.dtype.type((1 << source.bits) - 1)
    result = np.empty(codes.size, dtype=table.dtype) if out is None else out
    bits = f"u{table.dtype.itemsize}"
    entries, answers = table.view(bits), result.view(bits)  # one signature for an item size
    in_chunks(lambda i, j: gather(patterns[i:j], entries, answers[i:j]), codes.size, threads, FAST_CHUNK)
    return result


@lru_cache(maxsize=128)
def conversion_table(source: Scalar, target: Scalar, policy: Policy, flags: bool) -> Codes:
    """Results for every code of a source of at most 16 bits, indexed by its bits."""
    codes = all_codes(source)
    out = np.empty(codes.size, dtype=target.code_dtype)
    raised = np.empty(codes.size, dtype=np.uint8) if flags else None
    _run(Cast(source, target, policy), codes, None, Codes(out, raised), 1)
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


def in_chunks(run: Callable[[int, int], None], size: int, threads: int, chunk: int) -> None:
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
