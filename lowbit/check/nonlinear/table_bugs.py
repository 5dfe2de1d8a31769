"""Bugs of tables: entries of other codes, and differences to the maximum that end early."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.nonlinear.mutant import Bug, Compute, mutant
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity

LAST_ENTRIES = tuple((1 << power) - less for power in range(4, 8) for less in (1, 0))
"""Of tables of differences to the maximum."""


def table_bugs(source: FixedFormat) -> Iterator[Bug]:
    """The result of another code, as of a table that is read in the wrong place."""
    half = 1 << (source.bits - 1)
    low = source.codes[0]
    words = "reads its table one entry too low: the result of the code before"
    yield Bug("table_low", words, at_codes(lambda c: c - 1, source))
    words = "reads its table one entry too high: the result of the code after"
    yield Bug("table_high", words, at_codes(lambda c: c + 1, source))
    words = f"reads its table {half} entries off, as where a code is taken for unsigned"
    yield Bug("table_unsigned", words, at_codes(lambda c: (c - low + half) % (2 * half) + low, source))


def difference_bugs(names: list[str]) -> Iterator[Bug]:
    """Differences to the maximum that end early; ``distance`` has the other sign."""
    for last in LAST_ENTRIES:
        words = f"takes codes more than {last} below the maximum for {last} below it, as at the end of a table"
        if "difference" in names:
            yield mutant(f"difference_{last}", words, {"difference": lambda x, _, last=last: max(x, -last)})  # type: ignore[misc]
        if "distance" in names:
            yield mutant(f"distance_{last}", words, {"distance": lambda x, _, last=last: min(x, last)})  # type: ignore[misc]


def at_codes(place: Callable[[Array], Array], source: FixedFormat) -> Compute:
    """The results of other codes."""

    def run(made: Nonlinearity, _: FixedFormat, case: Case) -> Array:
        codes = np.clip(place(case.arrays["codes"].astype(np.int64)), source.codes[0], source.codes[-1])
        return made.run(codes.astype(source.code_dtype), case.arrays).astype(np.int64)

    return run
