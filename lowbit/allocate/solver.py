"""``solve``: from a problem to a plan with a certificate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np

from lowbit.allocate.arguments import check_kind, finite_number, listed, named, real_number, table, whole_number
from lowbit.allocate.checks import check_known
from lowbit.allocate.diagnosis import infeasible
from lowbit.allocate.plan import Plan
from lowbit.allocate.problem import Problem
from lowbit.allocate.search import engine
from lowbit.allocate.search.core import SWITCHES, Core, Integers, Reduction, reduce
from lowbit.allocate.search.engine import Clock, State
from lowbit.errors import AllocationError

DEFAULT_GAP = 1e-9
"""Two plans whose losses differ by less than this, relatively, count as equally good."""

METHODS = MappingProxyType(
    {
        "auto": "multipliers and swaps, then the exact search; neighbourhoods in between for coupled layers",
        "lagrangian": "multipliers and swaps only: fast, with a bound",
        "exact": "multipliers and swaps, then the exact search alone",
        "neighborhoods": "multipliers and swaps, then large-neighbourhood search until the time limit",
        "milp": "scipy.optimize.milp (HiGHS)",
        "highs": "PuLP with HiGHS",
        "cbc": "PuLP with CBC",
    }
)
"""Method -> what it does."""

ANYTIME_SECONDS = 10.0
"""How long ``neighborhoods`` looks when no time limit is given."""


def solve(
    problem: Problem,
    *,
    method: str = "auto",
    gap: float = DEFAULT_GAP,
    time_limit: float | None = None,
    warm_start: Plan | Sequence[str] | None = None,
    prices: Mapping[str, float] | None = None,
    seed: int = 0,
) -> Plan:
    """Choose one choice a layer with the least loss within every limit.

    Parameters
    ----------
    problem : Problem
    method : str
        One of ``METHODS``.
    gap : float
        The relative gap at which a plan counts as optimal and the search stops.
    time_limit : float, optional
        Seconds; the best plan found by then is returned with its gap, and counts as optimal only if that is closed.
    warm_start : Plan or sequence of str, optional
        A plan of this or a similar problem, or the names of its choices. It is ignored where it breaks a limit.
    prices : mapping of str to float, optional
        Prices of the budgets to start the search for the best ones with, such as another plan's.
    seed : int
        Of the neighbourhood search.

    Returns
    -------
    Plan

    Raises
    ------
    InfeasibleError
        No plan keeps all limits; ``smallest`` has the smallest feasible ones.
    AllocationError
        An argument is wrong, or the time limit was too short to find any plan.

    Examples
    --------
    >>> from lowbit.allocate import Problem
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> solve(problem).choices
    ('int4', 'int8')
    """
    _check_arguments(problem, method, gap, time_limit)
    seed = whole_number(seed, "seed", least=0)
    prices = _known_prices(problem, prices)
    limit = ANYTIME_SECONDS if method == "neighborhoods" and time_limit is None else time_limit
    clock = Clock(limit)
    reduction = reduce(problem)
    if (_least_totals(reduction.core) > reduction.core.limits).any():  # a row that cannot be kept even alone
        raise infeasible(reduction)
    state = State(reduction.core, max(gap, 1e-12), clock, seed)
    if warm_start is not None:
        state.offer(_warm(reduction, warm_start), "the given plan")
    if prices:
        state.prices = np.array([max(0.0, prices.get(row, 0.0) / _unit_cost(problem, row)) for row in state.core.rows])
    if method in ("milp", "highs", "cbc"):
        from lowbit.allocate.search.external import solve_externally

        solve_externally(reduction, state, method)
    else:
        _run(state, method, clock)
    if state.picks is None:
        _give_up(reduction, state, clock)
    return _plan(reduction, state, gap, clock)


def _check_arguments(problem: Problem, method: object, gap: float, time_limit: float | None) -> None:
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    if not isinstance(method, str) or method not in METHODS:
        raise AllocationError(f"method {method!r} is unknown", hint=f"one of {', '.join(METHODS)}")
    if not 0 <= real_number(gap, "gap") < float("inf"):
        raise AllocationError(f"gap: {gap} is not a relative gap", hint="a number at least 0, such as 1e-6")
    if time_limit is not None and not real_number(time_limit, "time_limit") > 0:
        raise AllocationError(f"time_limit: {time_limit} is not a time", hint="seconds, above 0")


def _known_prices(problem: Problem, prices: Mapping[str, float] | None) -> dict[str, float]:
    """Prices by budget; those of switches too, which a plan of a problem that limits them has."""
    given = table(prices, "prices", '{"bytes": 0.001}')
    check_known(given, dict.fromkeys([*(budget.name for budget in problem.budgets), SWITCHES]), "prices")
    return {name: finite_number(price, f"price of {name}") for name, price in given.items()}


def _run(state: State, method: str, clock: Clock) -> None:
    dual, best = engine.lagrangian(state)
    if state.picks is None and not engine.feasible(state):
        state.complete = not clock()
        return
    if state.done or state.enough() or method == "lagrangian":
        return
    if method == "neighborhoods":
        engine.anytime(state, dual, best)
    else:
        engine.exact(state, dual, best, improve=method == "auto")


def _warm(reduction: Reduction, given: Plan | Sequence[str]) -> Integers | None:
    names = given.choices if isinstance(given, Plan) else tuple(listed(given, "warm_start", '["int4", "int8"]'))
    problem = reduction.problem
    if len(names) != len(problem.layers):
        raise AllocationError(
            f"warm_start: {len(names)} choices for {len(problem.layers)} layers", hint="one choice a layer"
        )
    for layer, name in zip(problem.layers, names, strict=True):
        named(name, f"warm_start: the choice of layer {layer!r}")
    if any(name not in own for name, own in zip(names, problem.choices, strict=True)):
        return None
    return reduction.to_nodes([own.index(name) for name, own in zip(names, problem.choices, strict=True)])


def _unit_cost(problem: Problem, row: str) -> float:
    """How many units of the core's row one unit of the budget's limit is."""
    if row == SWITCHES:
        return 1.0
    budget = problem.budget(row)
    return float(budget.divisor * budget.denominator)


def _plan(reduction: Reduction, state: State, gap: float, clock: Clock) -> Plan:
    problem, core = reduction.problem, state.core
    picks = state.picks
    assert picks is not None
    prices = {budget.name: 0.0 for budget in problem.budgets}
    if state.prices is not None:
        for row, price, limit in zip(core.rows, state.prices, core.limits, strict=True):
            shift = _shift(problem, row, int(limit))
            prices[row] = float(price) * _unit_cost(problem, row) / shift
    stopped = "time limit" if clock() and not state.done else ""
    return Plan(
        problem,
        reduction.to_layers(picks),
        min(state.bound, problem.loss_of(reduction.to_layers(picks))),
        gap,
        state.method,
        state.proof,
        prices,
        clock.elapsed,
        stopped,
    )


def _shift(problem: Problem, row: str, limit: int) -> float:
    """The power of two by which a row was divided to fit int64."""
    if row == SWITCHES or not limit:
        return 1.0
    whole = problem.budget(row).integer_limit
    return 1.0 if whole is None or whole == limit else float(2 ** (whole.bit_length() - limit.bit_length()))


def _least_totals(core: Core) -> Integers:
    missing = ~np.isfinite(core.losses)
    costs = np.where(missing, np.iinfo(np.int64).max, core.costs)
    least: Integers = costs.min(axis=2).sum(axis=1)
    return least


def _give_up(reduction: Reduction, state: State, clock: Clock) -> None:
    if not state.complete:
        raise AllocationError(
            f"no plan was found in {clock.elapsed:.3g} seconds, and none was proven impossible",
            hint="a longer time limit, method `auto`, or looser budgets",
            code="LB702",
        )
    raise infeasible(reduction)
