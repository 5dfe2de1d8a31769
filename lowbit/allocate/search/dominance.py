"""Entries that no optimal plan needs: another one of the same node loses no more and costs no more in any row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.search.core import Core

CHUNK = 1024
"""Nodes compared at a time, which keeps the comparisons in the cache."""


def dominated(core: Core) -> NDArray[np.bool_]:
    """Which entries are dominated; of equal ones the first stays. Nodes on an edge keep all theirs."""
    dead = np.zeros(core.losses.shape, dtype=bool)
    coupled = np.zeros(core.nodes, dtype=bool)
    for edge in core.edges:
        coupled[[edge.first, edge.second]] = True
    for start in range(0, core.nodes, CHUNK):
        part = slice(start, start + CHUNK)
        # A row that lost its last bits is compared as it was: entries that differ in those bits only are not equal.
        rows = [core.whole_costs(row) for row in range(len(core.rows))]
        dead[part] = _dominated(core.losses[part], [row[part] for row in rows])
    dead[coupled] = False
    return dead


def _dominated(losses: NDArray[np.float64], costs: Sequence[NDArray[Any]]) -> NDArray[np.bool_]:
    width = losses.shape[1]
    dead = np.zeros(losses.shape, dtype=bool)
    for other in range(width):
        column = losses[:, other : other + 1]
        no_worse = column <= losses
        better = column < losses
        for row in costs:
            no_worse &= (row[:, other : other + 1] <= row).astype(bool)
            better |= (row[:, other : other + 1] < row).astype(bool)
        earlier = np.arange(width) > other
        beaten = no_worse & (better | earlier) & np.isfinite(column)
        beaten[:, other] = False
        dead |= beaten
    return dead
