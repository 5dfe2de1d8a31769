"""Which kernel makes a cast: one ordered list of paths, of which the first that applies is taken.

The order is that of speed. First come exact decodings of a byte in 32-bit lanes, on processors where they beat the next
path: a table of all answers, for sources of few bits and enough codes to pay for it. A target without fields, which is
known by the list of its values, is compared with them: the answers are laid out by intervals for binary32, and the
array is sorted into them otherwise. Then come lanes of 32 bits, which round binary32 to nearest; casts that get there
by way of binary32 words; lanes of 32 bits for any policy; and lanes of 64 bits. The last path does all that a kernel
can: flags, random bits and fixed point too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, NamedTuple

from lowbit.format.scalar import Scalar
from lowbit.ops.cast import binary32, comparison, intervals, lanes, tables, unpacked, words
from lowbit.policy.cast import Policy

CHUNK = 1 << 14
CHUNK_32 = 1 << 15
FAST_CHUNK = 1 << 20


class Cast(NamedTuple):
    """What is to be done: one step, without intermediate formats and defects."""

    source: Scalar
    target: Scalar
    policy: Policy
    flags: bool = False
    many: bool = False
    """Whether there are enough codes for a table of all answers to pay."""


class Path(NamedTuple):
    """A way to make casts."""

    # ``applies(cast)`` gives what ``run`` needs to know, or None where the path does not make the cast.
    applies: Callable[[Cast], Any]
    # ``run(parameters, codes, out, flags, random, stream)`` makes it, on at most ``chunk`` codes: ``flags`` is None
    # where they were not asked for, ``random`` but for the stochastic modes, and ``stream`` writes past the caches.
    run: Callable[..., None]
    chunk: int


class Runner(NamedTuple):
    """The path that makes a cast: ``run(codes, out, flags, random, stream)``, of which the last three are optional."""

    run: Callable[..., None]
    chunk: int


def _few_values(cast: Cast) -> Any:
    return intervals.applies(cast) if cast.target.listed and cast.target.bits <= 8 else None


def _no_fields(cast: Cast) -> Any:
    return comparison.lower(cast) if cast.target.listed else None


def _few_codes(cast: Cast) -> Any:
    few = cast.many and cast.source.bits <= tables.TABLE_BITS and not cast.policy.stochastic
    return tables.answers(cast) if few else None


PATHS = (
    Path(binary32.decodes, binary32.run, FAST_CHUNK),
    Path(_few_codes, tables.run, FAST_CHUNK),
    Path(_few_values, intervals.run, FAST_CHUNK),
    Path(_no_fields, comparison.run, CHUNK_32),
    Path(binary32.encodes, binary32.run, FAST_CHUNK),
    Path(words.applies, words.run, CHUNK_32),
    Path(lanes.applies_32, lanes.run, CHUNK_32),
    Path(lanes.applies_float, lanes.run, CHUNK),
    Path(lanes.applies_integer, lanes.run, CHUNK),
    Path(unpacked.applies, unpacked.run, CHUNK),
)


@lru_cache(maxsize=1024)
def runner(cast: Cast) -> Runner:
    """The first path that makes the cast, and what it needs to know."""
    for path in PATHS:
        parameters = path.applies(cast)
        if parameters is not None:
            return Runner(partial(path.run, parameters), path.chunk)
    raise AssertionError("the last path makes every cast")
