"""Plans near the best prices: repair what is over a limit, then take moves that help, one or two at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from lowbit.allocate.search.core import Core, Integers, Reals

PAIR_MOVES = 256
"""Moves that are tried in pairs: those whose reduced cost is least."""


class Walker:
    """Picks that are changed move by move, with the losses and costs of all single moves.

    ``prices``: what rows are worth, to order the moves by.
    """

    def __init__(self, core: Core, prices: Reals) -> None:
        self.core = core
        self.prices = prices
        self.nodes = np.arange(core.nodes)
        self.scale = np.maximum(core.limits, 1).astype(np.float64)

    def moves(self, picks: Integers) -> tuple[Reals, Integers]:
        """Change of loss (n, m) and of totals (K, n, m) of every single move."""
        core = self.core
        losses = core.losses - core.losses[self.nodes, picks][:, None]
        costs = core.costs - core.costs[:, self.nodes, picks][:, :, None]
        for edge in core.edges:
            one, other = picks[edge.first], picks[edge.second]
            losses[edge.first] += edge.losses[:, other] - edge.losses[one, other]
            losses[edge.second] += edge.losses[one] - edge.losses[one, other]
            if core.switch_row >= 0:
                costs[-1, edge.first] += edge.switches[:, other] - edge.switches[one, other]
                costs[-1, edge.second] += edge.switches[one] - edge.switches[one, other]
        return losses, costs

    def repair(self, picks: Integers, *, most: int) -> Integers | None:
        """Take the moves that mend the most for their loss until all limits are kept; None if that fails."""
        picks = picks.copy()
        totals = self.core.totals_of(picks)
        for _ in range(most):
            over = np.maximum(totals - self.core.safe_limits, 0)
            if not over.any():
                return picks
            losses, costs = self.moves(picks)
            after = np.maximum(totals[:, None, None] + costs - self.core.safe_limits[:, None, None], 0)
            mended = ((over[:, None, None] - after) / self.scale[:, None, None]).sum(axis=0)
            worth = losses + np.tensordot(self.prices, costs, axes=1)
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.where(mended > 0, np.maximum(worth, 0) / mended, np.inf)
            best = int(rate.argmin())
            if not np.isfinite(rate.flat[best]):
                return None
            node, pick = divmod(best, rate.shape[1])
            totals = totals + costs[:, node, pick]
            picks[node] = pick
        return None

    def improve(self, picks: Integers, enough: Callable[[], bool]) -> Integers:
        """Take helpful single moves and pairs of moves until there is none, or until it is enough."""
        picks = picks.copy()
        totals = self.core.totals_of(picks)
        while not enough():
            losses, costs = self.moves(picks)
            spare = (self.core.safe_limits - totals)[:, None, None]
            useful = np.where((costs <= spare).all(axis=0), losses, np.inf)
            best = int(useful.argmin())
            if useful.flat[best] < self._least(picks):
                moves = [divmod(best, useful.shape[1])]
            elif not self.core.edges:
                moves = self._best_pair(losses, costs, spare[:, :, 0], picks)
            else:
                moves = []
            if not moves:
                return picks
            for node, pick in moves:
                totals = totals + costs[:, node, pick]
                picks[node] = pick
        return picks

    def _least(self, picks: Integers) -> float:
        """A gain below this is rounding."""
        return -1e-13 * float(np.abs(self.core.losses[self.nodes, picks]).sum())

    def _best_pair(self, losses: Reals, costs: Integers, spare: Integers, picks: Integers) -> list[tuple[int, int]]:
        worth = losses + np.tensordot(self.prices, costs, axes=1)
        worth[self.nodes, picks] = np.inf
        width = worth.shape[1]
        sides = []
        for side in (losses < 0, losses >= 0):
            flat = np.where(side, worth, np.inf).ravel()
            count = min(PAIR_MOVES, int(np.isfinite(flat).sum()))
            sides.append(np.argpartition(flat, count - 1)[:count] if count else np.zeros(0, dtype=np.int64))
        gains, gives = sides
        if not len(gains) or not len(gives):
            return []
        table = costs.reshape(len(costs), -1)
        change = losses.ravel()[gains][:, None] + losses.ravel()[gives][None, :]
        change[gains[:, None] // width == gives[None, :] // width] = np.inf
        for row, left in zip(table, spare[:, 0], strict=True):
            change[row[gains][:, None] + row[gives][None, :] > left] = np.inf
        best = int(change.argmin())
        if change.flat[best] >= self._least(picks):
            return []
        gain, give = divmod(best, len(gives))
        return [divmod(int(gains[gain]), width), divmod(int(gives[give]), width)]


def best_plan(
    core: Core, prices: Reals, starts: Iterable[Integers], enough: Callable[[], bool], *, tries: int
) -> tuple[float, Integers] | None:
    """The best plan found from these picks; None if none could be repaired."""
    walker = Walker(core, prices)
    best: tuple[float, Integers] | None = None
    for index, start in enumerate(starts):
        if index >= tries or (best is not None and enough()):
            break
        repaired = walker.repair(start, most=2 * core.nodes)
        if repaired is None:
            continue
        picks = walker.improve(repaired, enough)
        loss = core.loss_of(picks)
        if best is None or loss < best[0]:
            best = loss, picks
    return best
