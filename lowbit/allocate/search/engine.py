"""The solvers on one core, one after the other, each starting from what the one before has found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.search.branch import Found, reduced, search
from lowbit.allocate.search.core import Core, Edge, Integers, Reals, narrowed
from lowbit.allocate.search.dominance import dominated
from lowbit.allocate.search.dual import ROUNDING, Dual, Lagrangian, maximise
from lowbit.allocate.search.labels import label_search
from lowbit.allocate.search.neighbourhoods import NeighbourhoodSearch
from lowbit.allocate.search.primal import best_plan

FEW_NODES = 64
"""Up to this many undecided nodes the search over labels is tried first: it needs no compiled kernel. So it is with one
row, where the labels that dominance leaves are few."""

STARTS = 8
"""How many of the dual's points are repaired and improved."""

NEARBY = 12
"""How many points at prices near the best ones are repaired and improved too, where there are several rows."""

LABEL_LIMITS = (2_000, 20_000, 100_000)
"""Labels kept at a time, one attempt after the other; the last needs some hundred megabytes."""

PRICE_FACTORS = (1.0, 0.8, 1.25, 0.4, 2.5)
"""With one row the search over labels bounds at these multiples of the best price."""

PRICE_STEPS = (0.9, 1.1, 0.97, 1.03)
"""With several rows it bounds at the best prices, and with one price at a time multiplied by these."""

LESS_THAN_ONE = 0.75
EXACT_SUM = 2**53
"""Sums of whole numbers below this are exact in binary64."""

UNTIL_TIME = 2**62
ROUNDS = 60
"""Neighbourhoods looked at between two attempts of the exact search."""


@dataclass(eq=False)
class State:
    """What is known about a core: the best plan, the best bound, and what they rest on."""

    core: Core
    gap: float
    enough: Callable[[], bool]
    seed: int = 0
    picks: Integers | None = None
    loss: float = np.inf
    bound: float = -np.inf
    prices: Reals | None = None
    complete: bool = False
    method: str = ""
    proof: str = ""
    whole: bool = False
    """Losses are whole numbers below 2^53: a better plan is better by at least 1."""

    @property
    def tolerance(self) -> float:
        """By how much (absolute) a plan must be better to be worth looking for; a hair below the relative gap."""
        if self.whole:
            return LESS_THAN_ONE
        if self.picks is None or self.loss * self.bound <= 0:
            return 0.0
        return 0.99 * self.gap * min(abs(self.loss), abs(self.bound))

    @property
    def done(self) -> bool:
        """Whether the gap is closed."""
        return self.complete or (self.picks is not None and self.loss - self.bound <= self.tolerance)

    def offer(self, picks: Integers | None, method: str) -> bool:
        """Take a plan if it is better; whether it is."""
        if picks is None or not self.core.accepts(picks):
            return False
        loss = self.core.loss_of(picks)
        if not loss < self.loss:
            return False
        self.picks, self.loss, self.method = picks, loss, method
        return True

    def raise_bound(self, bound: float, proof: str) -> None:
        """Take a bound if it is higher."""
        if bound > self.bound:
            self.bound, self.proof = bound, proof

    def take(self, found: Found, method: str) -> None:
        """Take over what a search has found."""
        self.offer(found.picks, method)
        ended = "complete" if found.complete else "stopped early"
        self.raise_bound(min(found.bound, self.loss), f"{method}, {ended}")
        self.complete = self.complete or found.complete

    def search_labels(self, core: Core, prices: list[Reals], most: int) -> None:
        """Search over at most ``most`` labels at a time."""
        found = label_search(core, prices, self.incumbent(), self.tolerance, self.enough, most=most)
        self.take(found, "dynamic programming over labels")

    def incumbent(self) -> tuple[float, Integers | None]:
        """The best plan."""
        return self.loss, self.picks


class Clock:
    """Says when the time is up."""

    def __init__(self, seconds: float | None) -> None:
        self.started = time.monotonic()
        self.seconds = seconds

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def __call__(self) -> bool:
        """Whether the time is up."""
        return self.seconds is not None and self.elapsed >= self.seconds


def lagrangian(state: State) -> tuple[Lagrangian, Dual]:
    """Dominance, the best prices, and plans near them."""
    dead = dominated(state.core)
    if state.picks is not None:
        state.picks = _undominated(state.core, dead, state.picks)
        state.loss = state.core.loss_of(state.picks)
    state.core = state.core.without(dead)
    dual = Lagrangian(state.core)
    best = maximise(dual, start=state.prices, enough=state.enough)
    state.prices = best.prices
    state.raise_bound(best.bound - dual.margin(best.prices), "Lagrangian bound")
    starts = [best.best.picks] + [point.picks for point in sorted(best.points, key=lambda point: -point.bound)]
    enough = state.enough
    if state.picks is not None:
        starts.insert(0, state.picks)
    plan = best_plan(state.core, best.prices, starts, lambda: state.done or enough(), tries=STARTS)
    if plan is not None:
        state.offer(plan[1], "Lagrangian multipliers and swaps")
    if not state.core.edges and len(state.core.rows) > 1 and not state.done:
        more = (dual(prices).picks for prices in nearby_prices(best.prices)[1:])
        plan = best_plan(state.core, best.prices, more, lambda: state.done or enough(), tries=NEARBY)
        if plan is not None:
            state.offer(plan[1], "Lagrangian multipliers and swaps")
    return dual, best


def _undominated(core: Core, dead: NDArray[np.bool_], picks: Integers) -> Integers:
    """The picks with dominated entries replaced by the ones that dominate them."""
    picks = picks.copy()
    for node in np.flatnonzero(dead[np.arange(core.nodes), picks]).tolist():
        better = ~dead[node] & (core.losses[node] <= core.losses[node, picks[node]])
        for row in range(len(core.rows)):
            costs = core.whole_costs(row)[node]
            better &= (costs <= costs[picks[node]]).astype(bool)
        picks[node] = int(np.flatnonzero(better)[0])
    return picks


def exact(state: State, dual: Lagrangian, best: Dual, *, improve: bool = True) -> None:
    """Search to the end: labels where nodes are coupled or few, the tree where they meet in budgets only."""
    core = state.core
    if state.picks is not None:
        margin = dual.margin(best.prices)
        core = core.without(reduced(dual, best.prices, best.bound - margin, state.loss - state.tolerance))
    prices = nearby_prices(best.prices)
    if core.edges:
        _coupled(state, core, prices, improve=improve)
        return
    undecided = int((np.isfinite(core.losses).sum(axis=1) > 1).sum())
    if undecided <= FEW_NODES or len(core.rows) == 1:
        state.search_labels(core, prices, LABEL_LIMITS[1])
        if state.done or state.enough():
            return
    state.take(search(core, best.prices, state.incumbent(), state.tolerance, state.enough), "branch and bound")


def nearby_prices(prices: Reals) -> list[Reals]:
    """The best prices, then others near them: what is left of a plan has best prices of its own."""
    if len(prices) == 1:
        return [factor * prices for factor in PRICE_FACTORS]
    nearby = [prices]
    for row in range(len(prices)):
        for factor in PRICE_STEPS:
            nearby.append(prices.copy())
            nearby[-1][row] *= factor
    return nearby


def _coupled(state: State, core: Core, prices: list[Reals], *, improve: bool) -> None:
    for most in LABEL_LIMITS:
        state.search_labels(core, prices, most)
        if state.done or state.enough():
            return
        if not improve:
            continue
        last = most == LABEL_LIMITS[-1]
        if last and getattr(state.enough, "seconds", None) is None:
            return
        neighbourhoods(state, rounds=UNTIL_TIME if last else ROUNDS)


def anytime(state: State, dual: Lagrangian, best: Dual) -> None:
    """Neighbourhoods until the time is up; coupled layers begin with a narrow search over labels.

    Where multipliers and swaps have no plan to begin with, the exact search finds one.
    """
    if state.picks is None:
        exact(state, dual, best)
    elif dual.core.edges:
        state.search_labels(dual.core, nearby_prices(best.prices), LABEL_LIMITS[0])
    neighbourhoods(state, rounds=UNTIL_TIME)


def neighbourhoods(state: State, *, rounds: int) -> None:
    """Improve the best plan, if there is one."""
    if state.picks is None or state.prices is None:
        return
    around = NeighbourhoodSearch(state.core, state.prices, state.picks, state.seed)
    around.run(lambda: state.done or state.enough(), rounds=rounds)
    state.offer(around.picks, "large-neighbourhood search")


def row_core(core: Core, row: int, kept: list[int]) -> Core:
    """The core that minimises one row within the limits of others."""
    width = core.losses.shape[1]
    edges = tuple(
        Edge(edge.first, edge.second, edge.switches.astype(np.float64) * (row == core.switch_row), edge.switches)
        for edge in core.edges
    )
    if core.switch_row not in (row, *kept):
        edges = ()
    return replace(
        core,
        losses=np.where(np.isfinite(core.losses), core.costs[row].astype(np.float64), np.inf),
        costs=core.costs[kept].reshape(len(kept), core.nodes, width),
        limits=core.limits[kept],
        safe_limits=core.safe_limits[kept],
        edges=edges,
        rows=tuple(core.rows[index] for index in kept),
        exact={place: core.exact[index] for place, index in enumerate(kept) if index in core.exact},
    )


def least_use(core: Core, row: int, kept: list[int], enough: Callable[[], bool], target: int | None = None) -> State:
    """The plan that uses least of a row within the limits of others; ``target``: stop at that use.

    The least is exact where the row's sums are in binary64, else to 1e-12.
    """
    state = State(row_core(core, row, kept), 1e-12, enough, whole=sums_exactly(core, row))
    if target is not None:
        state.enough = lambda: enough() or state.loss <= target
    finish(state)
    return state


def any_plan(core: Core, enough: Callable[[], bool]) -> State:
    """Some plan within the limits, or the proof that there is none (``complete``)."""
    state = State(core, 1e-12, enough)
    state.enough = lambda: enough() or state.picks is not None
    finish(state)
    return state


def finish(state: State) -> None:
    """Multipliers and swaps, then the exact search, or the proof that no plan is within the limits."""
    dual, best = lagrangian(state)
    if state.done or state.enough():
        return
    if state.picks is None and not feasible(state):
        state.complete = not state.enough()
    else:
        exact(state, dual, best)


def limited(core: Core, row: int, kept: list[int], limit: int) -> Core:
    """The core that looks for little use of a row within a limit of it, and those of others."""
    costs = core.whole_costs(row)
    _, relaxed, safe = narrowed(costs, limit)
    place = np.arange(len(core.rows)) == row
    tight = replace(
        core,
        limits=np.where(place, relaxed, core.limits),
        safe_limits=np.where(place, safe, core.safe_limits),
        exact={**core.exact, row: (costs, limit)} if row in core.exact else core.exact,
    )
    return row_core(tight, row, sorted([*kept, row]))


def sums_exactly(core: Core, row: int) -> bool:
    """Whether sums of a row are exact in binary64."""
    return row not in core.exact and sum(core.costs[row].max(axis=1).tolist()) < EXACT_SUM


def feasible(state: State) -> bool:
    """Look for any plan within the limits, adding one row after the other; False if there surely is none."""
    core, enough = state.core, state.enough
    rows = list(range(len(core.rows)))
    order = [core.switch_row, *rows[:-1]] if core.switch_row >= 0 else rows
    kept: list[int] = []
    for row in order:
        found = least_use(core, row, sorted(kept), enough, int(core.safe_limits[row]))
        if found.picks is None and found.complete:
            return False
        if found.picks is None or int(core.totals_of(found.picks)[row]) > int(core.limits[row]):
            settled = found.done if found.whole else found.bound > float(core.limits[row]) * (1 + ROUNDING)
            return not settled
        kept.append(row)
        state.offer(found.picks, "least use of the budgets")
        if state.picks is not None:
            return True
    return True
