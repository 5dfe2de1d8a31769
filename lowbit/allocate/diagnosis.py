"""Why no plan keeps the limits: what each limit would have to be at least, proven."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from lowbit.allocate.amounts import format_amount
from lowbit.allocate.problem import Problem
from lowbit.allocate.search import engine
from lowbit.allocate.search.core import SWITCHES, Core, Integers, Reduction, reduce
from lowbit.allocate.search.engine import Clock
from lowbit.errors import AllocationError, InfeasibleError

DIAGNOSIS_SECONDS = 30.0
"""How long the smallest feasible budgets are looked for."""


@dataclass(frozen=True)
class Least:
    """The least use of a row that was found, None where no plan was; and whether that is proven."""

    used: Fraction | None
    proven: bool


def infeasible(reduction: Reduction) -> InfeasibleError:
    """The error for a problem without a plan: with the least limit of each row while the other limits stay.

    A least limit that is not proven within ``DIAGNOSIS_SECONDS``, or that no plan keeps since the other limits
    contradict each other, is left out.
    """
    problem, rows = reduction.problem, list(enumerate(reduction.core.rows))
    clock = Clock(DIAGNOSIS_SECONDS)
    others = {row: [other for other, _ in rows if other != row] for row, _ in rows}
    together = {name: _least(reduction, row, others[row], clock) for row, name in rows}
    smallest = {name: least.used for name, least in together.items() if least.proven and least.used is not None}
    alone = {} if smallest else {name: _least(reduction, row, [], clock).used or Fraction(0) for row, name in rows}
    words = [_shortfall(problem, name, use) for name, use in (smallest or alone).items() if _over(problem, name, use)]
    kept = "while the other limits stay" if len(rows) > 1 and smallest else ""
    told = f"{'; or '.join(words)} {kept}".strip() if words else "the limits contradict each other"
    hint = "raise a limit, or give the layers smaller choices"
    return InfeasibleError(f"no plan keeps the limits: {told}", smallest=smallest, hint=hint)


def least_limit(problem: Problem, budget: str) -> Least:
    """The least limit of a budget that some plan keeps while the other limits stay, as far as it is found.

    Raises InfeasibleError: the other limits alone cannot be kept; AllocationError: no plan within them was found in
    ``DIAGNOSIS_SECONDS``.
    """
    reduction = reduce(problem.with_limits({budget: 0}))
    rows = reduction.core.rows
    others = [row for row in range(len(rows)) if rows[row] != budget]
    clock = Clock(DIAGNOSIS_SECONDS)
    if budget in rows:
        least = _least(reduction, rows.index(budget), others, clock)
    elif others:  # it costs nothing
        plan = engine.any_plan(engine.row_core(reduction.core, others[0], others), clock)
        least = Least(None, plan.complete) if plan.picks is None else Least(Fraction(0), True)
    else:
        least = Least(Fraction(0), True)
    if least.used is not None:
        return least
    if least.proven:
        raise infeasible(reduce(problem.with_limits({budget: None})))
    raise AllocationError(
        f"no plan within the other limits was found in {DIAGNOSIS_SECONDS:g} seconds, and none was proven impossible",
        hint="looser limits",
        code="LB702",
    )


def _least(reduction: Reduction, row: int, kept: list[int], clock: Clock) -> Least:
    core = reduction.core
    if not kept and row != core.switch_row:
        return Least(_used(reduction, row, _cheapest(core, row)), True)
    state = engine.least_use(core, row, kept, clock)
    picks, proven = state.picks, state.complete if state.picks is None else state.done and state.whole
    while picks is not None and not proven and not clock():
        # Sums beyond binary64 are least to 1e-12 only: is there a plan that uses one unit less?
        better = engine.any_plan(engine.limited(core, row, kept, _total(core, row, picks) - 1), clock)
        if better.picks is None:
            proven = better.complete
            break
        picks = better.picks
    return Least(None if picks is None else _used(reduction, row, picks), proven)


def _total(core: Core, row: int, picks: Integers) -> int:
    """What one entry a node uses of a row, in its own integers."""
    return sum(int(cost) for cost in core.whole_costs(row)[np.arange(core.nodes), picks])


def _cheapest(core: Core, row: int) -> Integers:
    """The entries that cost least of a row, whatever they lose."""
    costs = core.whole_costs(row).astype(object)
    picks: Integers = np.where(np.isfinite(core.losses), costs, costs.max() + 1).astype(object).argmin(axis=1)
    return picks


def _used(reduction: Reduction, row: int, picks: Integers) -> Fraction:
    problem = reduction.problem
    layers = reduction.to_layers(picks)
    if reduction.core.rows[row] == SWITCHES:
        return Fraction(problem.switches_of(layers))
    names = [budget.name for budget in problem.budgets]
    place = names.index(reduction.core.rows[row])
    return problem.budgets[place].amount_of(problem.totals_of(layers)[place])


def _limit_of(problem: Problem, name: str) -> tuple[Fraction, str]:
    if name == SWITCHES:
        return Fraction(problem.max_switches or 0), ""
    budget = problem.budget(name)
    assert budget.limit is not None
    return budget.limit, budget.unit


def _over(problem: Problem, name: str, least: Fraction) -> bool:
    return least > _limit_of(problem, name)[0]


def _shortfall(problem: Problem, name: str, least: Fraction) -> str:
    limit, unit = _limit_of(problem, name)
    unit = f" {unit}" if unit else ""
    return f"{name} needs at least {format_amount(least, 12)}{unit}, the limit is {format_amount(limit, 12)}{unit}"
