"""Minimising over the nodes of a core exactly, by eliminating one node after the other from the last to the first.

For a chain this is the Viterbi recursion. In general the tables range over the frontier: the nodes so far that have
an edge to a later one. Where a table would get too large, the longest edges are cut: each counts with its least loss,
which keeps the value a lower bound.

Source: bucket elimination, R. Dechter, "Bucket elimination: a unifying framework for reasoning", 1999.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowbit.allocate.search.core import Core, Edge, Integers, Reals

LARGEST_TABLE = 1 << 16
"""Entries of a table; more, and an edge is cut."""


@dataclass(frozen=True)
class Step:
    """What happens at one node."""

    node: int
    before: tuple[int, ...]  # the frontier before the node
    after: tuple[int, ...]  # the frontier after it: a subsequence of ``before`` and the node
    edges: tuple[Edge, ...]  # from the frontier to the node


@dataclass(frozen=True)
class Order:
    """The steps, first node first, and the edges that were cut."""

    steps: tuple[Step, ...]
    cut: tuple[Edge, ...]


def elimination_order(core: Core, *, largest_table: int = LARGEST_TABLE) -> Order:
    """The steps in the order of the nodes; cuts edges while a table is too large."""
    edges = list(core.edges)
    sizes = np.isfinite(core.losses).sum(axis=1)
    cut: list[Edge] = []
    while True:
        steps = _steps(core.nodes, edges)
        if not edges:
            return Order(steps, tuple(cut))
        worst = max(steps, key=lambda step: _size(step, sizes))
        if _size(worst, sizes) <= largest_table:
            return Order(steps, tuple(cut))
        over = [edge for edge in edges if edge.first <= worst.node <= edge.second]
        longest = max(over, key=lambda edge: edge.second - edge.first)
        edges.remove(longest)
        cut.append(longest)


def _size(step: Step, sizes: Integers) -> float:
    return float(np.prod(sizes[[*step.before, step.node]], dtype=np.float64))


def _steps(nodes: int, edges: list[Edge]) -> tuple[Step, ...]:
    last = list(range(nodes))
    into: list[list[Edge]] = [[] for _ in range(nodes)]
    for edge in edges:
        last[edge.first] = max(last[edge.first], edge.second)
        into[edge.second].append(edge)
    steps = []
    before: tuple[int, ...] = ()
    for node in range(nodes):
        after = tuple(other for other in (*before, node) if last[other] > node)
        steps.append(Step(node, before, after, tuple(into[node])))
        before = after
    return tuple(steps)


def tables_to_go(order: Order, losses: Reals, switch_price: float) -> list[Reals]:
    """``tables[i]``: the least loss of nodes i and later, over the entries of the frontier before node i.

    ``losses``: losses of the nodes, prices of the rows included, shape (n, m). ``switch_price``: the price of a switch.
    """
    width = losses.shape[1]
    tables: list[Reals] = [np.zeros(())] * (len(order.steps) + 1)
    for step in reversed(order.steps):
        table = step_table(step, losses[step.node], tables[step.node + 1], switch_price, width)
        tables[step.node] = table.min(axis=-1)
    return tables


def step_table(step: Step, losses: Reals, later: Reals, switch_price: float, width: int) -> Reals:
    """The least loss of a node and all later ones, over the frontier before it and its own entry."""
    axes = (*step.before, step.node)
    table = losses.reshape((1,) * len(step.before) + (width,))
    for edge in step.edges:
        terms = edge.losses if switch_price == 0 else edge.losses + switch_price * edge.switches
        shape = [width if axis in (edge.first, edge.second) else 1 for axis in axes]
        table = table + terms.reshape(shape)
    table = table + later.reshape([width if axis in step.after else 1 for axis in axes])
    return np.broadcast_to(table, (width,) * len(axes))


def cut_loss(order: Order, switch_price: float, alive: Reals) -> float:
    """What the cut edges lose at least; ``alive`` is inf where a node has no entry."""
    total = 0.0
    for edge in order.cut:
        terms = edge.losses + switch_price * edge.switches
        total += float((terms + _penalty(alive[edge.first])[:, None] + _penalty(alive[edge.second])[None, :]).min())
    return total


def _penalty(losses: Reals) -> Reals:
    return np.where(np.isfinite(losses), 0.0, np.inf)


def best_picks(order: Order, losses: Reals, tables: list[Reals], switch_price: float) -> Integers:
    """The entries that reach ``tables[0]``; of equal ones the first."""
    picks = np.zeros(len(order.steps), dtype=np.int64)
    for step in order.steps:
        row = losses[step.node].copy()
        for edge in step.edges:
            row += edge.losses[picks[edge.first]] + switch_price * edge.switches[picks[edge.first]]
        later = tables[step.node + 1]
        index = tuple(slice(None) if axis == step.node else picks[axis] for axis in step.after)
        row += later[index]
        picks[step.node] = int(row.argmin())
    return picks
