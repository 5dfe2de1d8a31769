"""Runs a cast over an array: the steps of a policy, each in chunks.

Codes come as a flat array of any integer dtype and leave in the target's code dtype, with RISC-V flags where they
are asked for. The same bits come out at any number of threads.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lowbit.errors import PolicyError
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array, is_nan
from lowbit.ops.cast import comparison
from lowbit.ops.cast.ordinal import first_ordinal, ordinals_of
from lowbit.ops.cast.paths import Cast, Runner, runner
from lowbit.ops.cast.tables import TABLE_BITS
from lowbit.ops.chunks import in_chunks
from lowbit.policy.cast import DEFECTS, Policy, get_policy

BEYOND_CACHES = 1 << 25
"""Bytes of results: from here on, writing past the caches took a fifth to a half less time, in cache twice as much."""
INTERMEDIATE = Policy(nan_code="payload")

Results = tuple[Array, Array | None]
"""Codes of a format and, where they were asked for, the flags of the conversion that gave them."""


class Step:
    """One projection, without intermediate formats and defects; what it takes is found once."""

    def __init__(self, cast: Cast) -> None:
        self.cast = cast
        self.code_dtype = np.dtype(cast.target.code_dtype)
        bits = cast.source.bits
        self._few = -1 if bits <= 8 or cast.source.listed else 1 << (bits - 2 if bits <= TABLE_BITS else 62)
        """A table of all answers pays for more codes than these; one of 256 costs hardly more than a call."""
        self._runners: list[list[Runner | None]] = [[None, None], [None, None]]
        """By whether flags are asked for, then by whether there are many codes."""

    def run(self, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None) -> Results:
        """Codes, and flags if they are asked for, of flat codes; the codes into ``out``, flat, if it is given."""
        size = codes.size
        many = size > self._few
        way = self._runners[flags][many]
        if way is None:
            way = self._runners[flags][many] = runner(self.cast._replace(flags=flags, many=many))
        result = np.empty(size, self.code_dtype) if out is None else out
        raised = np.empty(size, dtype=np.uint8) if flags else None
        stream = out is not None and out.nbytes >= BEYOND_CACHES  # fresh pages, cleared a moment ago, gain nothing
        run, chunk = way
        if size <= chunk:
            run(codes, result, raised, random, stream)
            return result, raised

        def step(start: int, stop: int) -> None:
            part = slice(start, stop)
            flagged, drawn = (None if array is None else array[part] for array in (raised, random))
            run(codes[part], result[part], flagged, drawn, stream)

        in_chunks(step, size, threads, chunk)
        return result, raised


class Conversion(NamedTuple):
    """A cast under a full policy and its steps: into intermediate formats, then into the target."""

    cast: Cast
    steps: tuple[Step, ...]
    code_dtype: np.dtype[Any]
    refuses: bool
    plain: bool
    """One step and nothing beside."""


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
    if remaining.via or remaining.defects:
        remaining = replace(remaining, via="", defects=(), name="")
    steps.append(Step(Cast(first, target, remaining)))
    plain = len(steps) == 1 and not chosen.defects
    cast, code_dtype = Cast(source, target, chosen), np.dtype(target.code_dtype)
    return Conversion(cast, tuple(steps), code_dtype, bool(chosen.refusing), plain)


def cast_codes(
    way: Conversion, codes: Array, random: Array | None, flags: bool, threads: int, out: Array | None = None
) -> Results:
    """Convert flat codes under a full policy, into the flat array ``out`` if there is one.

    ``random`` is a flat array for the stochastic modes.
    """
    if way.plain:
        return way.steps[0].run(codes, random, flags, threads, out)
    raised = None
    for step in way.steps[:-1]:
        codes, step_flags = step.run(codes, None, flags, threads)
        if step_flags is not None:  # an intermediate format's end of the range is not the target's
            exceptions = step_flags & np.uint8(at.EXCEPTIONS)
            raised = exceptions if raised is None else raised | exceptions
    last = way.steps[-1]
    results, last_flags = last.run(codes, random, flags, threads, out)
    _with_defects((results, last_flags), codes, last.cast, way.cast.policy)
    return results, last_flags if raised is None or last_flags is None else raised | last_flags


def _intermediates(source: Scalar, target: Scalar, policy: Policy) -> list[Scalar]:
    names = [policy.via] if policy.via else []
    defects = [DEFECTS[name] for name in policy.defects]
    names += [defect.via for defect in defects if defect.via and defect.applies(source.id, target.id)]
    formats = [scalar_format(name) for name in names]
    for fmt in formats:
        if fmt.wraps or fmt.listed:
            raise PolicyError(f"via = {fmt.id!r} is not a floating-point format", hint="via='float32', for example")
    return formats


def _with_defects(results: Results, codes: Array, last: Cast, policy: Policy) -> None:
    """Overwrite the results of inputs that a known bug sends elsewhere; the first that matches wins.

    A subnormal input that the last step flushes is zero, which no interval holds.
    """
    source, target = last.source, last.target
    ordinals = ordinals_of(codes, source, nan=0)
    kept = ~is_nan(codes, source)
    if last.policy.flush_inputs == "always":
        kept &= np.abs(ordinals) >= source.min_normal_code
    for name in reversed(policy.defects):
        defect = DEFECTS[name]
        if not defect.applies(source.id, target.id):
            continue
        if defect.rounded_midpoints:
            for ordinal, lower in comparison.rounded_up_midpoints(source, target):
                results[0][kept & (ordinals == ordinal)] = lower
        if defect.above is None or defect.below is None:
            continue
        above, below = defect.above.fraction(), defect.below.fraction()
        intervals = [(0, above, below)]
        if not defect.positive and (target.signed or policy.negative == "absolute"):
            intervals.append((target.sign_bit, -below, -above))
        for sign, low, high in intervals:
            first, end = first_ordinal(source, low, beyond=True), first_ordinal(source, high)
            inside = kept & (ordinals >= first) & (ordinals < end)
            if defect.infinite:  # an infinity is behind the last number
                most = first_ordinal(source, source.max.fraction())
                inside |= kept & ((ordinals < -most) if low < 0 else (ordinals > most))
            results[0][inside] = defect.code | sign
            if results[1] is not None:
                results[1][inside] &= ~np.uint8(at.SATURATED)
