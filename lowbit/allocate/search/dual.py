"""The Lagrangian dual: prices on the rows, a lower bound at any prices, and the prices with the best one.

For prices p >= 0 the least of ``loss + p (used - limit)`` over all picks is a lower bound on the loss of every plan
within the limits, whatever p is; so rounding errors in the search for p cost tightness, never validity. The best p is
found by Kelley's cutting planes, run as the simplex method with column generation on the other side of the duality
(Dantzig and Wolfe): the basis has one column a row and one more, every pricing of the columns is one evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from lowbit.allocate.search.core import Core, Integers, Reals
from lowbit.allocate.search.elimination import best_picks, cut_loss, elimination_order, tables_to_go

ROUNDING = 2.0**-50
"""Relative error allowed for each binary64 operation in a bound, with room to spare."""


@dataclass(frozen=True, eq=False)
class Point:
    """The dual function at some prices."""

    bound: float
    prices: Reals
    picks: Integers
    totals: Integers
    loss: float


class Lagrangian:
    """The dual function of a core."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.costs = core.costs.astype(np.float64)
        self.limits = core.limits.astype(np.float64)
        self.order = elimination_order(core) if core.edges else None
        finite = np.where(np.isfinite(core.losses), np.abs(core.losses), 0)
        pairs = sum(float(np.abs(edge.losses).max()) for edge in core.edges)
        self.magnitude = float(finite.max(axis=1).sum()) + pairs

    def margin(self, prices: Reals) -> float:
        """What rounding may have added to a bound at these prices."""
        paid = float(prices @ (self.limits + self.costs.max(axis=2, initial=0).sum(axis=1))) if len(prices) else 0.0
        return ROUNDING * (self.magnitude + paid)

    def priced(self, prices: Reals) -> Reals:
        """Losses with the prices of what they use."""
        losses = self.core.losses.copy()
        for price, row in zip(prices, self.costs, strict=True):
            if price:
                losses += price * row
        return losses

    def switch_price(self, prices: Reals) -> float:
        """The price of a switch."""
        return float(prices[-1]) if self.core.switch_row >= 0 else 0.0

    def __call__(self, prices: Reals) -> Point:
        """Evaluate the dual function."""
        losses = self.priced(prices)
        if self.order is None:
            picks = losses.argmin(axis=1)
            value = float(np.take_along_axis(losses, picks[:, None], axis=1).sum())
        else:
            switch = self.switch_price(prices)
            tables = tables_to_go(self.order, losses, switch)
            picks = best_picks(self.order, losses, tables, switch)
            value = float(tables[0]) + cut_loss(self.order, switch, losses)
        bound = value - float(prices @ self.limits)
        return Point(bound, prices, picks, self.core.totals_of(picks), self.core.loss_of(picks))


@dataclass(eq=False)
class Dual:
    """The best bound found, where, and what was met on the way."""

    best: Point
    points: list[Point] = field(default_factory=list)

    @property
    def bound(self) -> float:
        """The best lower bound, before the margin for rounding."""
        return self.best.bound

    @property
    def prices(self) -> Reals:
        """The prices at the best bound."""
        return self.best.prices


ITERATIONS = 200
ENLARGEMENTS = 12
STOP = 1e-10


def maximise(dual: Lagrangian, *, start: Reals | None = None, enough: Callable[[], bool] | None = None) -> Dual:
    """Find prices with the best bound.

    ``start``: prices to begin with. ``enough``: says when to stop early (the time is up).
    """
    rows = len(dual.core.rows)
    first = dual(np.zeros(rows))
    result = Dual(first, [first])
    if not rows:
        return result
    if start is not None:
        _note(result, dual(np.maximum(start, 0)))
    spread = dual.core.losses.max(axis=1, initial=-np.inf, where=np.isfinite(dual.core.losses))
    ceiling = 4 * float((spread - dual.core.losses.min(axis=1)).sum()) + 4 * sum(
        float(np.ptp(edge.losses)) for edge in dual.core.edges
    )
    ceiling = max(ceiling, 1e-300)
    for _ in range(ENLARGEMENTS):
        master = _Master(dual, result, ceiling)
        if not master.run(enough):
            break
        ceiling *= 16
    return result


def _note(result: Dual, point: Point) -> None:
    result.points.append(point)
    if point.bound > result.best.bound:
        result.best = point


class _Master:
    """The restricted master problem: K + 1 columns, one of them at least a point.

    Minimise the points' mixed loss such that their mixed use is within the limits; what is over is paid at ``ceiling``.
    Rows are divided by their limits, so that prices of all rows have one scale.
    """

    def __init__(self, dual: Lagrangian, result: Dual, ceiling: float) -> None:
        self.dual, self.result, self.ceiling = dual, result, ceiling
        self.rows = len(dual.core.rows)
        self.scale = np.maximum(dual.limits, 1.0)
        point = result.best
        over = self._over(point)
        self.columns: list[Point | int] = []  # a point, or a row: k + 1 pays for what is over, -k - 1 is what is left
        self.matrix = np.zeros((self.rows + 1, self.rows + 1))
        self.values = np.zeros(self.rows + 1)
        for row in range(self.rows):
            self._set(row, row + 1 if over[row] > 0 else -row - 1, append=True)
        self._set(self.rows, point, append=True)
        self.right = np.zeros(self.rows + 1)
        self.right[-1] = 1.0

    def _over(self, point: Point) -> Reals:
        return (point.totals - self.dual.limits) / self.scale

    def _column(self, column: Point | int) -> tuple[Reals, float]:
        vector = np.zeros(self.rows + 1)
        if isinstance(column, Point):
            vector[: self.rows] = self._over(column)
            vector[-1] = 1.0
            return vector, column.loss
        vector[abs(column) - 1] = -1.0 if column > 0 else 1.0
        return vector, self.ceiling if column > 0 else 0.0

    def _set(self, place: int, column: Point | int, *, append: bool = False) -> None:
        if append:
            self.columns.append(column)
        self.columns[place] = column
        self.matrix[:, place], self.values[place] = self._column(column)

    def run(self, enough: Callable[[], bool] | None) -> bool:
        """Iterate to the optimum; whether the ceiling is too low."""
        for _ in range(ITERATIONS):
            try:
                inverse = np.linalg.inv(self.matrix)
            except np.linalg.LinAlgError:
                return False
            weights: Reals = inverse @ self.right
            duals = self.values @ inverse
            prices, top = -duals[: self.rows], float(duals[-1])
            column = self._enter(prices, top)
            if column is None or (enough is not None and enough()):
                break
            direction = inverse @ self._column(column)[0]
            positive = direction > 1e-12
            if not positive.any():
                break
            ratios = np.full(len(direction), np.inf)
            ratios[positive] = np.maximum(weights[positive], 0) / direction[positive]
            self._set(int(ratios.argmin()), column)
        else:
            weights = np.asarray(np.linalg.solve(self.matrix, self.right), dtype=np.float64)
        columns = zip(weights.tolist(), self.columns, strict=True)
        return any(weight > 1e-9 for weight, column in columns if not isinstance(column, Point) and column > 0)

    def _enter(self, prices: Reals, top: float) -> Point | int | None:
        """The column that enters the basis; None at the optimum."""
        if (low := int(prices.argmin())) >= 0 and prices[low] < -1e-12 * self.ceiling:
            return -low - 1
        if prices[high := int(prices.argmax())] > self.ceiling * (1 + 1e-12):
            return high + 1
        point = self.dual(np.maximum(prices, 0) / self.scale)
        _note(self.result, point)
        small = STOP * max(abs(top), abs(self.result.bound)) + self.dual.margin(point.prices)
        return point if top - self.result.bound > small and point.bound < top else None
