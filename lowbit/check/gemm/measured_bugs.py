"""Bugs of the results of matrix kernels with a number in them that is read off the answers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from lowbit.check.comparison import Comparison
from lowbit.check.gemm.problem import GemmBug, Matrix

FEWEST = 8
"""Results that have to be clamped alike, or nonzero ones from which a shift is read off."""


def measured_bugs(comparison: Comparison) -> Iterator[GemmBug]:
    """Those whose numbers the answers suggest."""
    yield from _added_bugs(comparison)
    rows = np.flatnonzero(comparison.good)
    got, expected = comparison.got[rows].astype(np.int64), comparison.expected[rows].astype(np.int64)
    yield from _shift_bugs(got, expected)
    yield from _clamp_bugs(got)


def _added_bugs(comparison: Comparison) -> Iterator[GemmBug]:
    """A number that is added to every result, or once for every product."""
    rows = np.flatnonzero(comparison.wrong & comparison.good)
    distances = comparison.got[rows].astype(np.int64) - comparison.expected[rows]
    lengths = np.array([case.sizes["k"] for case in comparison.cases])[comparison.case_numbers(rows)]
    if not len(rows) or not lengths.all():
        return
    if (distances == distances[0]).all():
        added = int(distances[0])
        yield GemmBug("added", f"adds {added} to every result", finish=lambda _, c: c + added)
    each = int(distances[0] // lengths[0])
    if (distances == each * lengths).all():
        yield GemmBug("product_added", f"adds {each} to each product", finish=lambda p, c: c + each * p.length)


def _shift_bugs(got: Matrix, expected: Matrix) -> Iterator[GemmBug]:
    """Results that are shifted to the left, or to the right with one of the roundings."""
    inside = (got != 0) & (expected != 0)
    if np.count_nonzero(inside) < FEWEST:
        return
    power = int(np.rint(np.median(np.log2(np.abs(got[inside] / expected[inside])))))
    if power > 0:
        yield GemmBug("shifted_left", f"gives results {1 << power} times as large", finish=lambda _, c: c << power)
    elif power < 0:
        half = 1 << (-power - 1)
        what = f"shifts results right by {-power}"
        yield GemmBug("shifted_floor", f"{what}, rounded down", finish=lambda _, c: c >> -power)
        yield GemmBug("shifted_up", f"{what}, rounded half up", finish=lambda _, c: (c + half) >> -power)
        yield GemmBug(
            "shifted_away",
            f"{what}, rounded half away from zero",
            finish=lambda _, c: np.sign(c) * ((np.abs(c) + half) >> -power),
        )
        yield GemmBug(
            "shifted_to_zero", f"{what}, rounded toward zero", finish=lambda _, c: np.sign(c) * (np.abs(c) >> -power)
        )


def _clamp_bugs(got: Matrix) -> Iterator[GemmBug]:
    """Results that never leave two ends, of which the upper or both are reached often."""
    low, high = int(got.min()), int(got.max())
    reached = np.count_nonzero(got == low) >= FEWEST, np.count_nonzero(got == high) >= FEWEST
    if all(reached):
        yield GemmBug("clamped", f"clamps results to {low} to {high}", finish=lambda _, c: np.clip(c, low, high))
    elif reached[0]:
        yield GemmBug("clamped_low", f"clamps results to {low} at least", finish=lambda _, c: np.maximum(c, low))
    elif reached[1]:
        yield GemmBug("clamped_high", f"clamps results to {high} at most", finish=lambda _, c: np.minimum(c, high))
