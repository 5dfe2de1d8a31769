"""Every search against brute force on small problems with all features."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings

from lowbit.allocate import pareto_front, smallest_limit, solve
from lowbit.allocate.search import engine
from lowbit.allocate.search.branch import search
from lowbit.allocate.search.core import reduce
from lowbit.allocate.search.dominance import dominated
from lowbit.allocate.search.dual import Lagrangian, maximise
from lowbit.allocate.search.labels import label_search
from lowbit.errors import InfeasibleError
from tests.allocate.instances import brute_force, problems
from tests.thinned import examples

CLOSE = 1e-9


def agrees(loss, best):
    return abs(loss - best) <= CLOSE * max(1.0, abs(best))


@settings(max_examples=examples(1000))
@given(problems())
def test_solve_is_optimal(problem):
    best = brute_force(problem)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(problem)
        return
    plan = solve(problem)
    assert problem.violations(plan.picks) == []
    assert agrees(plan.loss, best[0])
    assert plan.bound <= best[0] + CLOSE
    assert plan.status == "optimal"


@settings(max_examples=examples(300))
@given(problems())
def test_multipliers_and_swaps_have_a_valid_bound(problem):
    best = brute_force(problem)
    if best is None:
        return
    plan = solve(problem, method="lagrangian")
    assert problem.violations(plan.picks) == []
    assert plan.bound <= best[0] + CLOSE
    assert plan.loss >= best[0] - CLOSE
    assert plan.status != "optimal" or agrees(plan.loss, best[0])


@pytest.mark.slow
@settings(max_examples=examples(80))
@given(problems(coupled=False))
def test_branch_and_bound_alone(problem):
    best = brute_force(problem)
    reduction = reduce(problem)
    core = reduction.core.without(dominated(reduction.core))
    prices = maximise(Lagrangian(core)).prices
    found = search(core, prices, (np.inf, None), 0.0, lambda: False)
    if not found.complete:  # int64 does not tell of some plan whether it keeps a limit
        assert core.exact
        assert best is None or found.bound <= best[0] + CLOSE
        return
    if best is None or found.picks is None:
        assert best is None
        assert found.picks is None
    else:
        assert agrees(problem.loss_of(reduction.to_layers(found.picks)), best[0])


@settings(max_examples=examples(300))
@given(problems())
def test_labels_alone_and_as_a_beam(problem):
    best = brute_force(problem)
    reduction = reduce(problem)
    core = reduction.core
    prices = engine.nearby_prices(maximise(Lagrangian(core)).prices)
    found = label_search(core, prices, (np.inf, None), 0.0, lambda: False, most=10**6)
    assert (found.picks is None) == (best is None)
    if best is None:
        return
    assert agrees(problem.loss_of(reduction.to_layers(found.picks)), best[0])
    beam = label_search(core, prices, (np.inf, None), 0.0, lambda: False, most=2)
    assert beam.bound <= best[0] + CLOSE  # labels dropped for room do not make the bound wrong
    assert beam.picks is None or beam.loss >= best[0] - CLOSE


@settings(max_examples=examples(200))
@given(problems(tight=True))
def test_the_smallest_feasible_budgets_are(problem):
    if brute_force(problem) is not None:
        return
    with pytest.raises(InfeasibleError) as caught:
        solve(problem)
    smallest = caught.value.smallest
    for name in reduce(problem).core.rows:
        assert (name in smallest) == (brute_force(_with(problem, name, None)) is not None)
    for name, least in smallest.items():
        best = brute_force(_with(problem, name, least))
        assert best is not None
        assert agrees(solve(_with(problem, name, least)).loss, best[0])
        below = least - (1 if name == "switches" else Fraction(1, 10**30))
        assert below < 0 or brute_force(_with(problem, name, below)) is None


@settings(max_examples=examples(200))
@given(problems())
def test_the_smallest_limit_is_that_of_some_plan_within_the_others(problem):
    for name in (budget.name for budget in problem.budgets):
        others = _with(problem, name, None)
        if brute_force(others) is None:
            with pytest.raises(InfeasibleError) as caught:
                smallest_limit(problem, name)
            assert name not in caught.value.smallest
            with pytest.raises(InfeasibleError):
                pareto_front(problem, name, 2)
            continue
        least = smallest_limit(problem, name)
        assert brute_force(_with(problem, name, least)) is not None
        assert least == 0 or brute_force(_with(problem, name, least - Fraction(1, 10**30))) is None
        assert pareto_front(problem, name, 2)[0].uses[problem.budgets.index(problem.budget(name))].used <= least


def _with(problem, name, limit):
    if name == "switches":
        return problem.with_limits({}, max_switches=len(problem.layers) if limit is None else int(limit))
    return problem.with_limits({name: limit})


@settings(max_examples=examples(60))
@given(problems())
def test_highs_agrees(problem):
    pytest.importorskip("scipy")
    best = brute_force(problem)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(problem, method="milp")
        return
    plan = solve(problem, method="milp")
    assert problem.violations(plan.picks) == []
    assert abs(plan.loss - best[0]) <= 1e-6
