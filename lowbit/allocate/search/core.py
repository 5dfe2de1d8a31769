"""The problem as the solvers see it: tied layers merged into nodes, padded arrays, only the rows that limit anything.

A node is a class of tied layers; its entries are the choices that all members have. Losses and costs of the members
are added. A limit on switches becomes one more row, whose costs lie on the edges.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.checks import common_choices, tie_classes
from lowbit.allocate.problem import Problem

SWITCHES = "switches"
"""The name of the row that counts switches."""

LARGEST_SUM = 2**61
"""Sums of costs stay below this in int64; larger rows are shifted right, with the two limits that this asks for."""

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Edge:
    """A term of two nodes, ``first < second``."""

    first: int
    second: int
    losses: Reals  # padded with 0, shape (m, m)
    switches: Integers  # how many switches each pair of entries makes, shape (m, m)


@dataclass(frozen=True, eq=False)
class Core:
    """Arrays of n nodes with at most m entries and K rows."""

    losses: Reals  # inf where a node has no such entry (any more), shape (n, m)
    costs: Integers  # 0 where there is no entry, shape (K, n, m)
    # limits, safe_limits: bounds rest on ``limits``, plans keep ``safe_limits``. The two differ only where a row was
    # too large for int64 and lost its last bits, shape (K,).
    limits: Integers
    safe_limits: Integers
    edges: tuple[Edge, ...]
    rows: tuple[str, ...]  # the budgets' names; the last may be ``SWITCHES``
    # Row -> what it was before it lost its last bits, Python integers of shape (n, m), and its limit.
    exact: Mapping[int, tuple[NDArray[Any], int]] = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many nodes there are."""
        return int(self.losses.shape[0])

    @property
    def switch_row(self) -> int:
        """Which row counts switches; -1 if none does."""
        return len(self.rows) - 1 if self.rows and self.rows[-1] == SWITCHES else -1

    def loss_of(self, picks: Integers) -> float:
        """The loss of one entry a node, in binary64."""
        total = float(self.losses[np.arange(self.nodes), picks].sum())
        return total + sum(float(edge.losses[picks[edge.first], picks[edge.second]]) for edge in self.edges)

    def whole_costs(self, row: int) -> NDArray[Any]:
        """The costs of a row in Python integers where int64 does not hold them, else in int64."""
        return self.exact[row][0] if row in self.exact else self.costs[row]

    def totals_of(self, picks: Integers) -> Integers:
        """What one entry a node uses of each row."""
        totals: Integers = self.costs[:, np.arange(self.nodes), picks].sum(axis=1)
        if self.switch_row >= 0:
            totals[-1] += sum(int(edge.switches[picks[edge.first], picks[edge.second]]) for edge in self.edges)
        return totals

    def keeps(self, totals: Integers) -> bool:
        """Whether these totals are within the limits for plans."""
        return bool((totals <= self.safe_limits).all())

    def accepts(self, picks: Integers) -> bool:
        """Whether a plan is within the limits, decided in Python integers where int64 cannot."""
        totals = self.totals_of(picks)
        if self.keeps(totals) or (totals > self.limits).any():
            return self.keeps(totals)
        over = np.flatnonzero(totals > self.safe_limits).tolist()
        return all(
            row in self.exact and sum(self.exact[row][0][np.arange(self.nodes), picks]) <= self.exact[row][1]
            for row in over
        )

    def without(self, dead: NDArray[np.bool_]) -> Core:
        """The same core with entries taken out."""
        return replace(self, losses=np.where(dead, np.inf, self.losses))


@dataclass(frozen=True, eq=False)
class Reduction:
    """A problem and its core, and the way back."""

    problem: Problem
    core: Core
    node_of: Integers  # shape (layers,)
    pick_of: Integers  # the choice of a layer when its node takes an entry; -1 where there is none, shape (layers, m)

    def to_layers(self, picks: Integers) -> tuple[int, ...]:
        """One choice a layer from one entry a node."""
        chosen = self.pick_of[np.arange(len(self.node_of)), picks[self.node_of]]
        return tuple(chosen.tolist())

    def to_nodes(self, picks: Sequence[int]) -> Integers | None:
        """One entry a node from one choice a layer; None if tied layers differ or a choice is not an entry."""
        nodes = np.full(self.core.nodes, -1, dtype=np.int64)
        for layer, pick in enumerate(picks):
            entries = np.flatnonzero(self.pick_of[layer] == pick)
            node = self.node_of[layer]
            if not len(entries) or nodes[node] not in (-1, entries[0]):
                return None
            nodes[node] = entries[0]
        return nodes


def reduce(problem: Problem) -> Reduction:
    """Merge ties and lay the problem out as arrays."""
    classes = tie_classes(problem)
    names = [common_choices(problem, members) for members in classes]
    node_of = np.empty(len(problem.layers), dtype=np.int64)
    for node, members in enumerate(classes):
        node_of[members] = node
    width = max(map(len, names))
    pick_of = _picks(problem, node_of, names, width)
    positions = np.where(pick_of >= 0, pick_of + problem.offsets[:-1, None], 0)
    missing = np.ones((len(classes), width), dtype=bool)
    for node, listed in enumerate(names):
        missing[node, : len(listed)] = False
    losses = _gather(problem.losses, positions, node_of, len(classes))
    edges = _edges(problem, node_of, pick_of, losses)
    losses[missing] = np.inf
    rows: list[str] = []
    costs, limits, safe = [], [], []
    exact: dict[int, tuple[NDArray[Any], int]] = {}
    for budget in problem.budgets:
        limit = budget.integer_limit
        row = _gather(_summable(budget.costs), positions, node_of, len(classes))
        row[missing] = 0
        if limit is None or sum(row.max(axis=1).tolist()) <= limit:
            continue
        shifted, relaxed, kept = narrowed(row, limit)
        if kept < relaxed:
            exact[len(rows)] = row, limit
        rows.append(budget.name)
        costs.append(shifted)
        limits.append(relaxed)
        safe.append(kept)
    if problem.max_switches is not None and problem.max_switches < len(problem.layers) - 1:
        rows.append(SWITCHES)
        costs.append(np.zeros((len(classes), width), dtype=np.int64))
        limits.append(problem.max_switches)
        safe.append(problem.max_switches)
    table = np.array(costs, dtype=np.int64).reshape(len(rows), len(classes), width)
    core = Core(losses, table, np.array(limits, np.int64), np.array(safe, np.int64), edges, tuple(rows), exact)
    return Reduction(problem, core, node_of, pick_of)


def _picks(problem: Problem, node_of: Integers, names: list[list[str]], width: int) -> Integers:
    picks = np.full((len(problem.layers), width), -1, dtype=np.int64)
    for layer, own in enumerate(problem.choices):
        listed = names[node_of[layer]]
        if len(own) == len(listed) and own == tuple(listed):
            picks[layer, : len(own)] = np.arange(len(own))
            continue
        place = {name: index for index, name in enumerate(own)}
        picks[layer, : len(listed)] = [place[name] for name in listed]
    return picks


def _summable(costs: NDArray[Any]) -> NDArray[Any]:
    """Python integers unless the sum of everything surely fits int64."""
    if costs.dtype == object or not costs.size or int(costs.max()) < 2**62 // len(costs):
        return costs
    return costs.astype(object)


def _gather(row: NDArray[Any], positions: Integers, node_of: Integers, nodes: int) -> NDArray[Any]:
    """Entries of the nodes: the members' values added."""
    values = row[positions]
    if nodes == len(node_of):
        return np.array(values)
    total = np.zeros((nodes, positions.shape[1]), dtype=row.dtype)
    np.add.at(total, node_of, values)
    return total


def narrowed(row: NDArray[Any], limit: int) -> tuple[Integers, int, int]:
    """The row in int64, the limit for bounds and the limit for plans.

    A row too large is divided by a power of two and rounded down. Sums of the rounded costs are then at most the
    rounded limit for every plan that keeps the limit, and n below it only for plans that do.
    """
    shift = max(0, sum(row.max(axis=1).tolist()).bit_length() - LARGEST_SUM.bit_length())
    relaxed = limit >> shift
    return (row >> shift).astype(np.int64), relaxed, relaxed - len(row) if shift else relaxed


def _edges(problem: Problem, node_of: Integers, pick_of: Integers, losses: Reals) -> tuple[Edge, ...]:
    """Pair terms and switches between nodes; a pair within one node goes into its losses."""
    width = pick_of.shape[1]
    tables: dict[tuple[int, int], tuple[Reals, Integers]] = {}

    def table(first: int, second: int) -> tuple[Reals, Integers]:
        fresh = np.zeros((width, width)), np.zeros((width, width), dtype=np.int64)
        return tables.setdefault((first, second), fresh)

    for pair in problem.pairs:
        one, other = int(node_of[pair.first]), int(node_of[pair.second])
        values = pair.losses[np.ix_(pick_of[pair.first], pick_of[pair.second])].copy()
        values[pick_of[pair.first] < 0, :] = 0
        values[:, pick_of[pair.second] < 0] = 0
        if one == other:
            losses[one] += np.diagonal(values)
        elif one < other:
            table(one, other)[0][:] += values
        else:
            table(other, one)[0][:] += values.T
    if problem.max_switches is not None:
        for one, other, differs in _switch_tables(problem, node_of, pick_of):
            table(one, other)[1][:] += differs
    return tuple(Edge(*ends, *values) for ends, values in sorted(tables.items()))


def _switch_tables(problem: Problem, node_of: Integers, pick_of: Integers) -> Iterator[tuple[int, int, Integers]]:
    known: dict[tuple[int, ...], Integers] = {}
    codes: dict[str, int] = {}
    coded = np.full(pick_of.shape, -1, dtype=np.int64)
    for layer, names in enumerate(problem.choices):
        own = np.array([codes.setdefault(name, len(codes)) for name in names], dtype=np.int64)
        coded[layer] = np.where(pick_of[layer] >= 0, own[pick_of[layer]], -1)
    for layer in range(len(problem.layers) - 1):
        one, other = int(node_of[layer]), int(node_of[layer + 1])
        if one == other:
            continue
        first, second = (layer, layer + 1) if one < other else (layer + 1, layer)
        key = (*coded[first].tolist(), *coded[second].tolist())
        if key not in known:
            known[key] = (coded[first][:, None] != coded[second][None, :]).astype(np.int64)
        yield min(one, other), max(one, other), known[key]
