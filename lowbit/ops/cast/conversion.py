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

from lowbit.errors import PolicyError
from lowbit.exact import Exact
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.cast.paths import FAST_CHUNK, Cast, Runner, runner
from lowbit.ops.cast.tables import TABLE_BITS, Table
from lowbit.policy.cast import DEFECTS, Policy, get_policy

Array = npt.NDArray[Any]
BEYOND_CACHES = 1 << 25
"""Bytes of results: from here on, writing past the caches took a fifth to a half less time, in cache twice as much."""
INTERMEDIATE = Policy(nan_code="payload")
_REFUSING = ("overflow", "infinity", "nan", "negative", "zero", "underflow")


class Codes(NamedTuple):
    """Codes of a format and, where they were asked for, the flags of the conversion that made them."""

    codes: Array
    flags: npt.NDArray[np.uint8] | None


def refuses(policy: Policy) -> bool:
    """Whether some input is an error under the policy."""
    return any(getattr(policy, axis) == "error" for axis in _REFUSING)


class Step:
    """One projection, without intermediate formats and defects; what it takes is made once."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        source, target, policy = cast
        self._code_dtype = np.dtype(target.code_dtype)
        narrow = source.bits <= TABLE_BITS and not policy.stochastic
        self._most_without_table = 1 << max(source.bits - 2, 4) if narrow else None
        self._runners: dict[bool, Runner] = {}
        self._tables: dict[bool, Tables] = {}

    def run(self, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None) -> Codes:
        """Codes, and flags if they are asked for, of flat codes; the codes into ``out``, flat, if it is given."""
        if self._most_without_table is not None and codes.size > self._most_without_table:
            if flags not in self._tables:
                self._tables[flags] = conversion_tables(*self.cast, flags)
            tables = self._tables[flags]
            raised = None if tables.flags is None else look_up(tables.flags, codes, threads)
            return Codes(look_up(tables.codes, codes, threads, out), raised)
        if flags not in self._runners:
            self._runners[flags] = runner(self.cast, flags)
        result = np.empty(codes.size, dtype=self._code_dtype) if out is None else out
        results = Codes(result, np.empty(codes.size, dtype=np.uint8) if flags else None)
        ways = self._runners[flags]
        if codes.size <= ways.chunk:
            ways.run(codes, random, *results)
        else:
            _run_in_chunks(ways, codes, random, results, threads)
        return results


class Conversion(NamedTuple):
    """A cast under a full policy and its steps: into intermediate formats, then into the target."""

    cast: Cast
    steps: tuple[Step, ...]
    code_dtype: np.dtype[Any]
    refuses: bool


@lru_cache(maxsize=128)
def conversion(source: Scalar, target: Scalar, policy: Policy | str | None) -> Conversion:
    """How codes of one format become codes of another; the default policy is the target's."""
    chosen = get_policy(target.default_policy if policy is None else policy, target)
    steps, first, remaining = [], source, chosen
    for via in _intermediates(source, target, chosen):
        if via.id == first.id:
            continue
        steps.append(Step(Cast(first, via, replace(INTERMEDIATE, flush_inputs=remaining.flush_inputs))))
        first, remaining = via, remaining.choose(flush_inputs="never")
    steps.append(Step(Cast(first, target, replace(remaining, via="", defects=(), name=""))))
    return Conversion(Cast(source, target, chosen), tuple(steps), np.dtype(target.code_dtype), refuses(chosen))


def cast_codes(
    way: Conversion, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None
) -> Codes:
    """Convert flat codes under a full policy, into the flat array ``out`` if there is one.

    ``random`` is a flat array for the stochastic modes.
    """
    raised = None
    for step in way.steps[:-1]:
        codes, step_flags = step.run(codes, None, flags, threads)
        if step_flags is not None:  # an intermediate format's end of the range is not the target's
            exceptions = step_flags & np.uint8(at.EXCEPTIONS)
            raised = exceptions if raised is None else raised | exceptions
    last = way.steps[-1]
    results = last.run(codes, random, flags, threads, out)
    if way.cast.policy.defects:
        _with_defects(results, codes, last.cast, way.cast.policy)
    if raised is None or results.flags is None:
        return results
    return Codes(results.codes, raised | results.flags)


def _intermediates(source: Scalar, target: Scalar, policy: Policy) -> list[FloatFormat]:
    names = [policy.via] if policy.via else []
    defects = [DEFECTS[name] for name in policy.defects]
    names += [defect.via for defect in defects if defect.via and defect.applies(source.id, target.id)]
    formats = [get_format(name) for name in names]
    for fmt in formats:
        if not isinstance(fmt, FloatFormat):
            raise PolicyError(f"via = {fmt.id!r} is not a floating-point format", hint="via='float32', for example")
    return [fmt for fmt in formats if isinstance(fmt, FloatFormat)]


def _with_defects(results: Codes, codes: Array, last: Cast, policy: Policy) -> None:
    """Overwrite the results of inputs that a known bug sends elsewhere; the first that matches wins.

    A subnormal input that the last step flushes is zero, which no interval holds.
    """
    source, target, _ = last
    flushed = isinstance(source, FloatFormat) and last.policy.flush_inputs == "always" and source.subnormals
    for name in reversed(policy.defects):
        defect = DEFECTS[name]
        if defect.above is None or defect.below is None or not isinstance(target, FloatFormat):
            continue
        if not defect.applies(source.id, target.id):
            continue
        magnitudes, negative = _magnitudes(codes, source)
        lowest = _count_not_above(source, defect.above)
        highest = _count_below(source, defect.below)
        if isinstance(source, FloatFormat) and flushed:
            lowest = max(lowest, source.min_normal_code)
        inside = (magnitudes >= lowest) & (magnitudes < highest)
        inside &= ~negative | target.signed | (policy.negative == "absolute")
        results.codes[inside] = (defect.code + negative[inside] * target.sign_bit).astype(results.codes.dtype)
        if results.flags is not None:
            results.flags[inside] &= ~np.uint8(at.SATURATED)


def _magnitudes(codes: Array, source: Scalar) -> tuple[Array, npt.NDArray[np.bool_]]:
    if isinstance(source, FixedFormat):
        wide = codes.astype(np.uint64)  # two's complement by hand: |INT64_MIN| and uint64 fit uint64 only
        return np.where(codes < 0, ~wide + np.uint64(1), wide), codes < 0
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


def _run_in_chunks(ways: Runner, codes: Array, random: Array | None, results: Codes, threads: int) -> None:
    """Cast all codes, chunk by chunk, into the arrays of ``results``."""
    run, chunk = ways

    def step(start: int, stop: int) -> None:
        part = slice(start, stop)
        drawn = None if random is None else random[part]
        raised = None if results.flags is None else results.flags[part]
        run(codes[part], drawn, results.codes[part], raised)

    in_chunks(step, codes.size, threads, chunk)


class Tables(NamedTuple):
    """The results of every code of a source and, where they were asked for, the flags."""

    codes: Table
    flags: Table | None


@lru_cache(maxsize=128)
def conversion_tables(source: Scalar, target: Scalar, policy: Policy, flags: bool) -> Tables:
    """Tables of one step from a source of at most 16 bits."""
    codes = all_codes(source)
    out = np.empty(codes.size, dtype=target.code_dtype)
    raised = np.empty(codes.size, dtype=np.uint8) if flags else None
    _run_in_chunks(runner(Cast(source, target, policy), flags), codes, None, Codes(out, raised), 1)
    return Tables(Table(source, out), None if raised is None else Table(source, raised))


def look_up(table: Table, codes: Array, threads: int, out: Array | None = None) -> Array:
    """The table's answer for each of the flat codes, into ``out`` (of the answers' item size) if it is given."""
    result = np.empty(codes.size, dtype=table.entries.dtype) if out is None else out
    stream = out is not None and result.nbytes >= BEYOND_CACHES  # fresh pages, cleared a moment ago, gain nothing
    if threads == 1:
        table.run(codes, result, stream)
    else:
        in_chunks(lambda i, j: table.run(codes[i:j], result[i:j], stream), codes.size, threads, FAST_CHUNK)
    return result


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
