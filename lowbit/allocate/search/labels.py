"""Dynamic programming over labels, bounded: exact for layers that meet in budgets, in pairs and in switches.

A label stands for a way to pick the nodes so far: its loss, what it uses of every row, and the entries of the
frontier (the nodes so far that have an edge to a later one). Node after node all labels are extended, and dropped if

- what it loses plus the Lagrangian bound on the rest reaches the best plan known, at any of several prices,
- the rest does not fit into what is left of some row, or
- another label with the same frontier loses no more and uses no more (dominance).

With at most ``most`` labels kept the search is a beam, and the least bound of the labels dropped for room is the
certificate. With one budget and no pairs it is the minimal algorithm of Pisinger.

Source: D. Pisinger, "A minimal algorithm for the multiple-choice knapsack problem", EJOR 83, 1995 (bounded states).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.search.branch import Found
from lowbit.allocate.search.core import Core, Integers, Reals
from lowbit.allocate.search.dual import Lagrangian
from lowbit.allocate.search.elimination import Order, Step, elimination_order, tables_to_go

WINDOW = 16
"""With several rows a label is compared with this many that lose less: cheap, and finds most that are dominated."""

MOST_ASKED = 1000
"""This many plans that int64 does not decide are added in Python integers."""

MOST_TABLES = 1 << 62


@dataclass(frozen=True, eq=False)
class _Guide:
    """Prices, and the bound on what is to come at them."""

    prices: Reals
    tables: list[Reals]
    cut: Reals
    margin: float
    order: Order


@dataclass(eq=False)
class _Labels:
    """The labels after some nodes, as arrays of one row a label."""

    losses: Reals
    used: Integers
    frontier: Integers
    bounds: Reals


def label_search(
    core: Core,
    prices: Sequence[Reals],
    incumbent: tuple[float, Integers | None],
    tolerance: float,
    enough: Callable[[], bool],
    *,
    most: int,
) -> Found:
    """Search a core.

    ``prices``: prices to bound with; the first are the best ones. ``incumbent``: the best plan so far. ``tolerance``:
    plans must be better by this (absolute) to be looked for. ``enough``: says when the time is up. ``most``: labels
    kept at a time.
    """
    search = _Search(core, prices, incumbent, tolerance, enough, most, core.accepts)
    return search.run() if core.edges else _separable(search)


def _separable(search: _Search) -> Found:
    """Only nodes with a choice left take part, those with the least to decide first."""
    core, incumbent = search.core, search.incumbent
    alive = np.isfinite(core.losses)
    only = core.losses.argmin(axis=1)
    free = np.flatnonzero(alive.sum(axis=1) > 1)
    given = np.flatnonzero(alive.sum(axis=1) <= 1)
    priced = np.sort(Lagrangian(core).priced(search.prices[0])[free], axis=1)
    free = free[np.argsort(priced[:, 1] - priced[:, 0], kind="stable")] if len(free) else free
    taken = core.costs[:, given, only[given]].sum(axis=1)
    constant = float(core.losses[given, only[given]].sum())
    small = replace(
        core,
        losses=core.losses[free],
        costs=core.costs[:, free],
        limits=core.limits - taken,
        safe_limits=core.safe_limits - taken,
    )
    inner = (incumbent[0] - constant, None)

    def whole(picks: Integers) -> Integers:
        every: Integers = only.copy()
        every[free] = picks
        return every

    accepts = lambda picks: core.accepts(whole(picks))  # noqa: E731
    found = replace(search, core=small, incumbent=inner, accepts=accepts).run()
    picks = whole(found.picks) if found.picks is not None else incumbent[1]
    loss = core.loss_of(picks) if picks is not None else np.inf
    bound = found.bound + constant if not found.complete else loss - search.tolerance
    return Found(loss, picks, bound, found.complete, found.visited)


@dataclass(eq=False)
class _Search:
    core: Core
    prices: Sequence[Reals]
    incumbent: tuple[float, Integers | None]
    tolerance: float
    enough: Callable[[], bool]
    most: int
    # Whether a plan is within the limits, asked where int64 does not decide it.
    accepts: Callable[[Integers], bool]

    def _begin(self) -> None:
        core = self.core
        self.cutoff = self.incumbent[0] - self.tolerance
        self.order = elimination_order(core, largest_table=MOST_TABLES)
        dual = Lagrangian(core)
        self.guides = [self._guide(dual, price) for price in self.prices]
        least = np.where(np.isfinite(core.losses), core.costs, np.iinfo(np.int64).max).min(axis=2)
        later = np.cumsum(least[:, ::-1], axis=1)[:, ::-1] if core.nodes else least
        self.least_later = np.concatenate([later, np.zeros((len(core.rows), 1), dtype=np.int64)], axis=1)
        self.inexact = [row in core.exact for row in range(len(core.rows))]
        self.history: list[tuple[NDArray[np.int32], NDArray[np.int16]]] = []
        self.dropped = np.inf
        self.visited = 0

    def _guide(self, dual: Lagrangian, prices: Reals) -> _Guide:
        order = dual.order or elimination_order(self.core)
        switch = dual.switch_price(prices)
        cut = np.zeros(self.core.nodes + 1)
        for edge in order.cut:
            cut[: edge.second] += float((edge.losses + switch * edge.switches).min())
        tables = tables_to_go(order, dual.priced(prices), switch)
        return _Guide(prices, tables, cut, dual.margin(prices), order)

    def run(self) -> Found:
        """Extend label by label, then read the best plan back."""
        self._begin()
        rows = len(self.core.rows)
        labels = _Labels(np.zeros(1), np.zeros((1, rows), np.int64), np.zeros((1, 0), np.int64), np.full(1, -np.inf))
        for step in self.order.steps:
            if self.enough():
                bound = min(self.dropped, float(labels.bounds.min(initial=np.inf)), self.cutoff)
                return Found(self.incumbent[0], self.incumbent[1], bound, False, self.visited)
            labels = self._extend(step, labels)
        return self._finish(labels)

    def _finish(self, labels: _Labels) -> Found:
        decided = np.asarray((labels.used <= self.core.safe_limits).all(axis=1))
        loss, picks = self.incumbent
        undecided = np.inf
        order = np.argsort(labels.losses, kind="stable").tolist()
        for asked, place in enumerate(order):
            if float(labels.losses[place]) >= loss:
                break
            if not decided[place] and asked >= MOST_ASKED:
                undecided = min(undecided, float(labels.losses[place]))
            elif self.accepts(found := self._read_back(place)):
                loss, picks = float(labels.losses[place]), found
        bound = min(loss - self.tolerance, self.dropped, undecided, max(self.cutoff, loss - self.tolerance))
        complete = self.dropped >= loss - self.tolerance and undecided >= loss - self.tolerance
        return Found(loss, picks, bound, complete, self.visited)

    def _read_back(self, place: int) -> Integers:
        picks = np.zeros(self.core.nodes, dtype=np.int64)
        for node in reversed(range(self.core.nodes)):
            parents, entries = self.history[node]
            picks[node] = entries[place]
            place = int(parents[place])
        return picks

    def _extend(self, step: Step, labels: _Labels) -> _Labels:
        core = self.core
        entries = np.flatnonzero(np.isfinite(core.losses[step.node]))
        losses = labels.losses[:, None] + core.losses[step.node, entries]
        used = labels.used[:, None, :] + core.costs[:, step.node, entries].T
        for edge in step.edges:
            own = labels.frontier[:, step.before.index(edge.first)]
            losses = losses + edge.losses[own][:, entries]
            if core.switch_row >= 0:
                used[:, :, -1] += edge.switches[own][:, entries]
        self.visited += losses.size
        bounds = self._bounds(step, labels, losses, used, entries)
        fits = (used + self.least_later[:, step.node + 1] <= core.limits).all(axis=2)
        parents, places = np.nonzero(fits & (bounds < self.cutoff))
        frontier = np.empty((len(parents), len(step.after)), dtype=np.int64)
        for column, node in enumerate(step.after):
            chosen = entries[places] if node == step.node else labels.frontier[parents, step.before.index(node)]
            frontier[:, column] = chosen
        found = _Labels(losses[parents, places], used[parents, places], frontier, bounds[parents, places])
        keep = self._undominated(found, step.node + 1)
        if len(keep) > self.most:
            order = np.argpartition(found.bounds[keep], self.most)
            self.dropped = min(self.dropped, float(found.bounds[keep][order[self.most :]].min()))
            keep = np.sort(keep[order[: self.most]])
        # Narrow types: this is kept for every node.
        self.history.append((parents[keep].astype(np.int32), entries[places[keep]].astype(np.int16)))
        return _Labels(found.losses[keep], found.used[keep], found.frontier[keep], found.bounds[keep])

    def _bounds(self, step: Step, labels: _Labels, losses: Reals, used: Integers, entries: Integers) -> Reals:
        best = np.full(losses.shape, -np.inf)
        for guide in self.guides:
            table = guide.tables[step.node + 1]
            after = guide.order.steps[step.node].after
            index = tuple(
                entries[None, :] if node == step.node else labels.frontier[:, step.before.index(node)][:, None]
                for node in after
            )
            rest = table[index] if index else table
            paid = (used - self.core.limits) @ guide.prices if len(guide.prices) else 0.0
            best = np.maximum(best, losses + paid + rest + (guide.cut[step.node] - guide.margin))
        return best

    def _undominated(self, labels: _Labels, nodes: int) -> Integers:
        """Which labels stay: none with the same frontier loses no more and uses no more.

        Each node may hide up to 1 of a row that lost its last bits: there a label must use less by the number of nodes.
        """
        count = len(labels.losses)
        groups = np.zeros(count, dtype=np.int64)
        width = self.core.losses.shape[1]
        for column in labels.frontier.T:
            groups = groups * width + column
        rows = labels.used.shape[1]
        hidden = np.array([nodes * self.inexact[row] for row in range(rows)], dtype=np.int64)
        if rows > 1:
            return _undominated_nearby(labels, groups, hidden)
        if hidden.any():
            return _undominated_by(labels, groups, int(hidden[0]))
        cost = labels.used[:, 0] if rows else np.zeros(count, dtype=np.int64)
        order = np.lexsort((labels.losses, cost, groups))
        sorted_groups = groups[order]
        ranks = np.empty(count, dtype=np.int64)
        ranks[np.argsort(labels.losses[order], kind="stable")] = np.arange(count)
        # Later groups get smaller keys than all before them, so that one running minimum serves every group.
        group = np.cumsum(np.concatenate(([0], sorted_groups[1:] != sorted_groups[:-1]))) if count else groups
        keys = ranks - group * count
        running = np.minimum.accumulate(keys) if count else keys
        return np.sort(order[keys == running])


def _undominated_by(labels: _Labels, groups: Integers, hidden: int) -> Integers:
    """With one row: no label with the same frontier loses no more and uses less by at least ``hidden``."""
    count = len(labels.losses)
    ranks = np.empty(count, dtype=np.int64)
    ranks[np.argsort(labels.losses, kind="stable")] = np.arange(count)
    used = labels.used[:, 0]
    asks = np.repeat(
        [0, 1], count
    )  # every label stands once for itself, and once asks for those that use that much less
    order = np.lexsort((asks, np.concatenate([used, used - hidden]), np.tile(groups, 2)))
    group = np.cumsum(np.concatenate(([0], np.diff(np.tile(groups, 2)[order]) != 0))) if count else asks
    keys = np.where(asks == 0, np.tile(ranks, 2), count)[order] - group * (count + 1)
    least = np.empty(2 * count, dtype=np.int64)
    least[order] = np.minimum.accumulate(keys) + group * (count + 1) if count else keys
    return np.flatnonzero(least[count:] >= ranks)


def _undominated_nearby(labels: _Labels, groups: Integers, hidden: Integers) -> Integers:
    order = np.lexsort((labels.losses, groups))
    used, group = labels.used[order], groups[order]
    stays = np.ones(len(order), dtype=bool)
    for back in range(1, min(WINDOW, len(order) - 1) + 1):
        worse = (used[back:] >= used[:-back] + hidden).all(axis=1) & (group[back:] == group[:-back])
        stays[back:] &= ~worse
    return np.sort(order[stays])
