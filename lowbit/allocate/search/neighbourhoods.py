"""Adaptive large-neighbourhood search: free some nodes, solve what is free, keep what is better, learn where to look.

Which nodes are freed is chosen by a bandit (UCB1) over kinds of neighbourhoods and their sizes: what has found
better plans lately is tried more often. What is free is solved by the bounded search over labels at the best prices.
The idea of a bandit over neighbourhoods of an exact solver is that of Balans; nothing of it is used here.

Sources: P. Auer, N. Cesa-Bianchi, P. Fischer, "Finite-time analysis of the multiarmed bandit problem", Machine
Learning 47, 2002 (UCB1); J. Cai, S. Kadioglu, B. Dilkina, "Balans: multi-armed bandits-based adaptive large
neighborhood search for mixed-integer programming problems", IJCAI 2025.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log, sqrt

import numpy as np

from lowbit.allocate.search.core import Core, Edge, Integers, Reals
from lowbit.allocate.search.dual import Lagrangian
from lowbit.allocate.search.labels import label_search

SIZES = (8, 24, 64)
"""How many nodes are freed."""

LABELS = 1000
"""Labels kept when a neighbourhood is searched."""

FORGET = 0.95
"""Older rewards of an arm fade by this factor each time it is tried."""


@dataclass(eq=False)
class Arm:
    """A kind of neighbourhood and a size, with what it has brought."""

    kind: str
    size: int
    reward: float = 0.0
    weight: float = 0.0

    def score(self, total: float) -> float:
        """UCB1: the mean reward and a term that grows while the arm is not tried."""
        if self.weight < 1:
            return np.inf
        return self.reward / self.weight + 0.3 * sqrt(log(total + 1) / self.weight)


class NeighbourhoodSearch:
    """A search from one plan.

    ``prices``: the best prices known; ``picks``: a plan within the limits; ``seed``: of the random choices: the same
    seed gives the same sequence of neighbourhoods.
    """

    def __init__(self, core: Core, prices: Reals, picks: Integers, seed: int) -> None:
        self.core = core
        self.prices = prices
        self.picks = picks.copy()
        self.loss = core.loss_of(picks)
        self.random = np.random.default_rng(seed)
        kinds = ["window", "two windows", "scattered", "regret"]
        self.arms = [Arm(kind, size) for kind in kinds for size in SIZES if size <= max(core.nodes, SIZES[0])]
        priced = Lagrangian(core).priced(prices)
        self.priced = priced - priced.min(axis=1)[:, None]

    def run(self, enough: Callable[[], bool], *, rounds: int) -> None:
        """Look at that many neighbourhoods, or until it is enough."""
        for _ in range(rounds):
            if enough():
                return
            total = sum(arm.weight for arm in self.arms)
            arm = max(self.arms, key=lambda arm: arm.score(total))
            gain = self._look(self._free(arm.kind, min(arm.size, self.core.nodes)))
            arm.reward = arm.reward * FORGET + (1.0 if gain > 0 else 0.0)
            arm.weight = arm.weight * FORGET + 1.0

    def _free(self, kind: str, size: int) -> Integers:
        nodes = self.core.nodes
        if kind == "window":
            return np.arange(size) + self.random.integers(nodes - size + 1)
        if kind == "two windows":
            half = max(1, size // 2)
            starts = self.random.integers(nodes - half + 1, size=2)
            return np.unique(np.concatenate([start + np.arange(half) for start in starts]))
        if kind == "regret":
            regret = self.priced[np.arange(nodes), self.picks] + 1e-12
            chance = (regret + regret.mean()) / (regret + regret.mean()).sum()
            return np.sort(self.random.choice(nodes, size, replace=False, p=chance))
        return np.sort(self.random.choice(nodes, size, replace=False))

    def _look(self, free: Integers) -> float:
        """Solve the free nodes with the others as they are; the gain."""
        inner = fold(self.core, self.picks, free)
        before = inner.loss_of(self.picks[free])
        least = 1e-13 * abs(self.loss)
        found = label_search(
            inner, [self.prices], (before, self.picks[free]), least, lambda: False, most=LABELS
        )  # fmt: skip
        if found.picks is None or found.loss >= before - least:
            return 0.0
        self.picks[free] = found.picks
        loss = self.core.loss_of(self.picks)
        gain, self.loss = self.loss - loss, loss
        return gain


def fold(core: Core, picks: Integers, free: Integers) -> Core:
    """The core of the free nodes, the others fixed to their picks; what those lose among themselves is left out."""
    place = np.full(core.nodes, -1, dtype=np.int64)
    place[free] = np.arange(len(free))
    losses = core.losses[free].copy()
    costs = core.costs[:, free].copy()
    fixed = np.flatnonzero(place < 0)
    taken = core.costs[:, fixed, picks[fixed]].sum(axis=1)
    edges = []
    for edge in core.edges:
        one, other = place[edge.first], place[edge.second]
        if one >= 0 and other >= 0:
            edges.append(Edge(int(one), int(other), edge.losses, edge.switches))
            continue
        row, column = picks[edge.first], picks[edge.second]
        if one >= 0:
            losses[one] += edge.losses[:, column]
        elif other >= 0:
            losses[other] += edge.losses[row]
        if core.switch_row >= 0:
            if one >= 0:
                costs[-1, one] += edge.switches[:, column]
            elif other >= 0:
                costs[-1, other] += edge.switches[row]
            else:
                taken[-1] += edge.switches[row, column]
    return replace(
        core,
        losses=losses,
        costs=costs,
        limits=core.limits - taken,
        safe_limits=core.safe_limits - taken,
        edges=tuple(edges),
        exact={},
    )
