"""Branch and bound to proven optimality for layers that meet in the budgets only (no pair terms, no switches)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.search.core import Core, Integers, Reals
from lowbit.allocate.search.dual import Lagrangian

NODES_A_CALL = 256
"""Nodes of the tree between two looks at the clock."""


@dataclass(frozen=True, eq=False)
class Found:
    """What a search found: the best picks (None: none better than given), a lower bound, and whether it finished."""

    loss: float
    picks: Integers | None
    bound: float
    complete: bool
    visited: int


def reduced(dual: Lagrangian, prices: Reals, bound: float, cutoff: float) -> NDArray[np.bool_]:
    """Which entries no plan below the cutoff has: the bound plus their reduced cost reaches it.

    With edges, the reduced cost of an entry leaves the edges out, so nothing is removed there.
    """
    losses = dual.priced(prices)
    if dual.core.edges:
        return ~np.isfinite(losses)
    above = losses - losses.min(axis=1)[:, None]
    dead: NDArray[np.bool_] = bound + above - dual.margin(prices) >= cutoff
    return dead


def search(
    core: Core, prices: Reals, incumbent: tuple[float, Integers | None], tolerance: float, enough: Callable[[], bool]
) -> Found:
    """Search a separable core.

    ``core``: without edges; entries that cannot help are best taken out before. ``prices``: where the root starts.
    ``incumbent``: the best plan so far. ``tolerance``: plans must be better by this (absolute) to be looked for.
    ``enough``: says when the time is up.
    """
    tree = _Tree(core, prices, incumbent[0], tolerance)
    while not tree.finished and not enough():
        tree.grow(NODES_A_CALL)
    picks = tree.picks() if tree.improved else incumbent[1]
    loss = core.loss_of(picks) if picks is not None else np.inf
    complete = tree.finished and tree.undecided >= loss - tolerance
    return Found(loss, picks, tree.bound(loss), complete, tree.visited)


class _Tree:
    """The arrays of :func:`lowbit.kernels.allocate.fast_branch.branch`."""

    def __init__(self, core: Core, prices: Reals, loss: float, tolerance: float) -> None:
        from lowbit.kernels.allocate import fast_branch

        self.kernel = fast_branch
        alive = np.isfinite(core.losses)
        node, entry = np.nonzero(alive)
        self.entry = entry
        counts = alive.sum(axis=1)
        self.starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int64)
        self.ends = self.starts + counts
        scale = np.maximum(core.limits, 1).astype(np.float64)
        costs = np.ascontiguousarray(core.costs[:, node, entry])
        scaled = costs / scale[:, None]
        limits = core.limits / scale
        own = prices * scale
        worth = own @ scaled if len(own) else np.zeros(len(node))
        order = np.lexsort((worth, node))
        ranks = np.empty(len(node), dtype=np.int64)
        ranks[order] = np.arange(len(node)) - self.starts[node[order]]
        largest = np.abs(core.losses[alive]).max(initial=0) * core.nodes
        margin = 2.0**-52 * core.nodes * 2 * (largest / max(core.nodes, 1) + float(own.sum()))
        finite = loss if np.isfinite(loss) else 4 * largest + 1.0
        self.values = np.array([finite, tolerance, margin, np.inf])
        self.best = np.zeros(core.nodes, dtype=np.int64)
        self.counters = np.zeros(fast_branch.COUNTERS, dtype=np.int64)
        depth = len(node) + 2
        self.frames = np.zeros((depth, 5), dtype=np.int64)
        self.frame_bounds = np.zeros(depth)
        rows = len(core.rows)
        self.arguments = (
            np.ascontiguousarray(core.losses[node, entry]),
            costs,
            np.ascontiguousarray(scaled),
            limits,
            core.safe_limits,
            core.limits,
            self.starts,
            self.ends.copy(),
            self.ends,
            np.arange(len(node), dtype=np.int64),
            ranks,
            self.best,
            self.values,
            self.frames,
            self.frame_bounds,
            np.zeros((depth, rows)),
            own.astype(np.float64),
            np.zeros((2 * len(node) + 2, 2), dtype=np.int64),
            self.counters,
        )

    def grow(self, nodes: int) -> None:
        """Visit some more nodes."""
        self.kernel.branch(*self.arguments, nodes)

    @property
    def finished(self) -> bool:
        """Whether the whole tree was visited."""
        return bool(self.counters[self.kernel.FINISHED])

    @property
    def improved(self) -> bool:
        """Whether a better plan was found."""
        return bool(self.counters[self.kernel.IMPROVED])

    @property
    def visited(self) -> int:
        """How many nodes were visited."""
        return int(self.counters[self.kernel.VISITED])

    @property
    def undecided(self) -> float:
        """The least loss of a plan of which int64 does not tell whether it keeps the limits."""
        return float(self.values[3])

    def picks(self) -> Integers:
        """The best plan."""
        return self.entry[self.best]

    def bound(self, loss: float) -> float:
        """No plan loses less: what was pruned is not better by the tolerance, and open nodes have their bounds."""
        bound = min(loss - float(self.values[1]), self.undecided)
        if self.finished:
            return bound
        depth = int(self.counters[self.kernel.DEPTH])
        opened = self.frame_bounds[:depth]
        return min(bound, float(opened.min(initial=np.inf)) - float(self.values[2]))
