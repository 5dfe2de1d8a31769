"""Bugs of nonlinearities with a number in them that is read off the answers: ends of tables or results, an offset."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.comparison import Comparison
from lowbit.check.nonlinear.mutant import Bug, Compute
from lowbit.check.nonlinear.table_bugs import at_codes
from lowbit.format.scalar import FixedFormat
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity


def measured_bugs(comparison: Comparison, source: FixedFormat, *, by_row: bool) -> Iterator[Bug]:
    """Those whose numbers the answers suggest; ``by_row``: whether a result depends on other codes of its row."""
    got, expected = (array[comparison.good].astype(np.int64) for array in (comparison.got, comparison.expected))
    yield from _added_bugs(got, expected)
    yield from _clamp_bugs(got, expected)
    if not by_row:
        yield from _end_bugs(comparison, source)


def _added_bugs(got: Array, expected: Array) -> Iterator[Bug]:
    """A number that is added to the results, which saturate."""
    added = int(np.median(got - expected))
    if added:
        yield Bug("added", f"adds {added} to the results, which saturate", _finished(lambda results: results + added))


def _clamp_bugs(got: Array, expected: Array) -> Iterator[Bug]:
    """Results that never reach an end of the right ones."""
    low, high = int(got.min()), int(got.max())
    sides = ((low, "least", low > expected.min()), (high, "most", high < expected.max()))
    ends = " and ".join(f"{end} at {side}" for end, side, early in sides if early)
    if ends:
        yield Bug("clamped", f"clamps its results to {ends}", _finished(lambda results: np.clip(results, low, high)))


def _end_bugs(comparison: Comparison, source: FixedFormat) -> Iterator[Bug]:
    """Codes that are limited to those between which, by the answers, the right ones lie."""
    wrong = np.unique(comparison.operand("codes")[comparison.wrong & comparison.good]).astype(np.int64)
    bounds = np.concatenate([[source.codes[0] - 1], wrong, [source.codes[-1] + 1]])
    widest = int(np.diff(bounds).argmax())
    low, high = int(bounds[widest]) + 1, int(bounds[widest + 1]) - 1
    sides = (("below", low, low > source.codes[0]), ("above", high, high < source.codes[-1]))
    ends = " and ".join(f"{side} {end} for {end}" for side, end, early in sides if early)
    if low <= high:
        words = f"takes codes {ends}, as at the end of a table"
        yield Bug("table_ends", words, at_codes(lambda codes: np.clip(codes, low, high), source))


def _finished(finish: Callable[[Array], Array]) -> Compute:
    """The right results, changed, and within the format."""

    def run(made: Nonlinearity, target: FixedFormat, case: Case) -> Array:
        results = finish(made.run(case.arrays["codes"], case.arrays).astype(np.int64))
        return np.clip(results, target.min_code, target.max_code)

    return run
