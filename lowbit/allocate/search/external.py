"""HiGHS and CBC on the same model: cross-checks of our own searches, and what to use where they give up.

What a solver calls optimal is added again in Python integers; a plan that is over a limit is refused, the limit lowered
by as much, and the solver asked again. The bound is that of the first answer, for the true limit.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from importlib import import_module
from math import ldexp
from typing import Any

import numpy as np

from lowbit.allocate.search.core import Reals, Reduction
from lowbit.allocate.search.dual import Lagrangian, maximise
from lowbit.allocate.search.engine import State, finish
from lowbit.allocate.search.linear import LinearModel, linear_model
from lowbit.errors import AllocationError

ATTEMPTS = 5
"""How often a limit is lowered because the solver's plan was over it."""

FEASIBILITY = 1e-9
"""A limit is lowered by at least this part of it: solvers take 1e-6 of a row of at most 2^31 for kept."""


MARGIN = 2e-6
"""Solvers stop at absolute gaps of 1e-6 and take reduced costs of 1e-7 for 0: bounds are lowered by that much."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a solver says: values of the variables (None: no plan), a bound, and whether there is no plan at all."""

    values: Reals | None
    bound: float
    infeasible: bool = False


def solve_externally(reduction: Reduction, state: State, method: str) -> None:
    """Fill the state with a solver's plan and bound."""
    core = reduction.core
    call = {"milp": _scipy, "highs": _pulp_highs, "cbc": _pulp_cbc}[method]
    what = {"milp": "HiGHS (scipy.optimize.milp)", "highs": "HiGHS (PuLP)", "cbc": "CBC (PuLP)"}[method]
    for attempt in range(ATTEMPTS):
        model = linear_model(core)
        answer = call(model, state)
        if attempt == 0:
            state.raise_bound(answer.bound, f"bound of {what}")
        if answer.infeasible or answer.values is None:
            break
        picks = model.picks(answer.values, core.nodes)
        if state.offer(picks, what) or state.core.keeps(state.core.totals_of(picks)):
            break
        over = np.maximum(state.core.totals_of(picks) - state.core.safe_limits, 0)
        tolerated = np.maximum(state.core.limits.astype(np.float64) * FEASIBILITY, 0).astype(np.int64)
        core = replace(core, limits=np.where(over > 0, core.limits - np.maximum(over, tolerated), core.limits))
    if state.picks is None and not state.enough():
        # Solvers call impossible what fits by less than 1e-6: our own search decides.
        finish(state)
        return
    # Solvers give no prices of the budgets, and CBC no bound when it is stopped: the Lagrangian dual has both.
    dual = Lagrangian(state.core)
    best = maximise(dual)
    state.prices = best.prices
    state.raise_bound(best.bound - dual.margin(best.prices), "Lagrangian bound")
    state.bound = min(state.bound, state.loss)


def _remaining(state: State) -> float | None:
    clock = state.enough
    seconds = getattr(clock, "seconds", None)
    return None if seconds is None else max(0.01, seconds - float(getattr(clock, "elapsed", 0.0)))


def _scipy(model: LinearModel, state: State) -> Answer:
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    shape = (len(model.row_names), len(model.names))
    matrix = csr_array((model.coefficients, (model.row_index, model.column_index)), shape=shape)
    options: dict[str, Any] = {"mip_rel_gap": state.gap}
    if (seconds := _remaining(state)) is not None:
        options["time_limit"] = seconds
    result = milp(
        model.objective,
        integrality=model.integral.astype(int),
        bounds=Bounds(0, 1),
        constraints=[LinearConstraint(matrix, model.lower, model.upper)] if len(model.row_names) else [],
        options=options,
    )
    bound = result.get("mip_dual_bound")
    least = -np.inf if bound is None or not np.isfinite(bound) else ldexp(float(bound) - MARGIN, -model.exponent)
    return Answer(None if result.x is None else result.x, least, result.status == 2)


def _pulp_highs(model: LinearModel, state: State) -> Answer:
    pulp = _import_pulp()
    _need("highspy", "PuLP's HiGHS needs it: pip install highspy")
    return _run_pulp(
        pulp, pulp.HiGHS(msg=False, gapRel=state.gap, threads=1, timeLimit=_remaining(state)), model, state
    )


def _pulp_cbc(model: LinearModel, state: State) -> Answer:
    pulp = _import_pulp()
    options = {"msg": False, "gapRel": state.gap, "gapAbs": 1e-6, "timeLimit": _remaining(state), "threads": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PuLP 3.3 says that version 4 will not bundle CBC, which is known here
        bundled = getattr(pulp, "PULP_CBC_CMD", None)
        solver = bundled(**options) if bundled is not None else None
        if solver is None or not solver.available():
            solver = pulp.COIN_CMD(**options)
        if not solver.available():
            raise AllocationError("no CBC was found", hint="PuLP 4 bundles no solver: put `cbc` on the PATH")
        return _run_pulp(pulp, solver, model, state)


def _import_pulp() -> Any:
    _need("pulp", "pip install pulp")
    return import_module("pulp")


def _need(module: str, hint: str) -> None:
    try:
        import_module(module)
    except ImportError as error:
        raise AllocationError(f"{module} cannot be imported: {error}", hint=hint) from error


def _run_pulp(pulp: Any, solver: Any, model: LinearModel, state: State) -> Answer:
    problem, variables = pulp_problem(pulp, model)
    try:
        stats = problem.solve(solver)
    except pulp.PulpSolverError as error:
        raise AllocationError(f"PuLP: {error}", hint="`--solver auto` needs no other solver") from error
    except IndexError:
        # PuLP 3.3 reads the rows of a solution that HiGHS does not have when its presolve proves that there is none.
        if "Infeasible" not in str(problem.solverModel.getModelStatus()):
            raise
        return Answer(None, -np.inf, infeasible=True)
    # PuLP 4 returns an object of statistics; before that the problem carries the status itself.
    status = int(stats.status) if hasattr(stats, "status") else int(problem.status)
    if status == -1:
        return Answer(None, -np.inf, infeasible=True)
    values = [variable.value() for variable in variables]
    if any(value is None for value in values):
        return Answer(None, -np.inf)
    answer = np.array(values, dtype=np.float64)
    final = status == 1 and (hasattr(stats, "status") or int(problem.sol_status) == 1)
    best = getattr(stats, "best_bound", None)
    objective = float(model.objective @ answer)
    if best is not None and np.isfinite(best):
        bound = float(best)
    else:
        bound = objective - 0.99 * state.gap * abs(objective) if final else -np.inf
    return Answer(answer, ldexp(bound - MARGIN, -model.exponent))


def pulp_problem(pulp: Any, model: LinearModel) -> tuple[Any, list[Any]]:
    """The model as a PuLP problem, and its variables in order; PuLP 3 and PuLP 4.

    In PuLP 4 variables belong to a problem (``add_variable``) and are no longer made by ``LpVariable(name, ...)``.
    """
    problem = pulp.LpProblem("lowbit", pulp.LpMinimize)
    make = getattr(problem, "add_variable", None)
    variables = []
    for name, whole in zip(model.names, model.integral, strict=True):
        category = "Integer" if whole else "Continuous"
        if make is not None:
            variables.append(make(name, 0, 1, cat=category))
        else:
            variables.append(pulp.LpVariable(name, 0, 1, cat=category))
    problem.setObjective(pulp.lpSum(float(c) * v for c, v in zip(model.objective, variables, strict=True)))
    terms: list[list[Any]] = [[] for _ in model.row_names]
    for row, column, value in zip(model.row_index, model.column_index, model.coefficients, strict=True):
        terms[row].append(float(value) * variables[column])
    for row, listed in enumerate(terms):
        if not listed:
            continue
        total = pulp.lpSum(listed)
        problem += (
            (total <= float(model.upper[row])) if model.lower[row] == -np.inf else (total == float(model.upper[row]))
        )
    return problem, variables
