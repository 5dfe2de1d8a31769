"""Costs beyond 2^61: rows lose their last bits in the searches, plans and proofs must not."""

from fractions import Fraction

import numpy as np
import pytest

from lowbit.allocate import Problem, pareto_front, smallest_limit, solve
from lowbit.errors import InfeasibleError
from tests.allocate.instances import brute_force

HUGE = 10**18


def problem_of(seed, *, layers=6, choices=3, pairs=(), budgets=1):
    random = np.random.default_rng(seed)
    costs = {
        f"k{row}": [[HUGE + int(random.integers(4)) for _ in range(choices)] for _ in range(layers)]
        for row in range(budgets)
    }
    losses = random.integers(0, 5, (layers, choices))
    limits = {name: sum(map(min, rows)) + int(random.integers(4)) for name, rows in costs.items()}
    names = [f"int{2 + choice}" for choice in range(choices)]
    return Problem.from_arrays(losses, names, costs=costs, limits=limits, pairs=pairs)


@pytest.mark.parametrize("budgets", [1, 2])
@pytest.mark.parametrize("seed", range(20))
def test_costs_that_differ_in_lost_bits_are_not_equal(seed, budgets):
    pairs = [(0, 1, np.random.default_rng(seed).integers(0, 5, (3, 3)))] if seed % 2 else []
    problem = problem_of(seed, pairs=pairs, budgets=budgets)
    best = brute_force(problem)
    if best is None:
        with pytest.raises(InfeasibleError):
            solve(problem)
        return
    plan = solve(problem)
    assert plan.loss == best[0]
    assert plan.status == "optimal"


@pytest.mark.parametrize("seed", range(12))
def test_neighbourhoods_begin_where_multipliers_have_no_plan(seed):
    # Only a plan of the very least costs is within the limit, which int64 cannot tell from others.
    random = np.random.default_rng(seed)
    layers = 1 + seed % 4
    costs = [[2**65 + int(random.integers(4)) for _ in range(3)] for _ in range(layers)]
    problem = Problem.from_arrays(
        random.integers(0, 5, (layers, 3)), ["a", "b", "c"], costs={"k": costs}, limits={"k": sum(map(min, costs))}
    )
    plan = solve(problem, method="neighborhoods", time_limit=0.3)
    assert plan.loss == brute_force(problem)[0]


def test_the_smallest_limit_beside_others_is_exact():
    unit = 2**70
    rows = [[unit, 3 * unit], [3 * unit, unit]]
    problem = Problem.from_arrays(
        [[0, 1], [1, 0]], ["x", "y"], costs={"a": rows}, limits={"a": 4 * unit}, max_switches=0
    )
    assert solve(problem).choices in {("x", "x"), ("y", "y")}
    assert smallest_limit(problem, "a") == 4 * unit
    assert len(pareto_front(problem, "a", 3)) == 1
    with pytest.raises(InfeasibleError) as caught:
        solve(problem.with_limits({"a": 4 * unit - 1}))
    assert caught.value.smallest == {"a": 4 * unit, "switches": 1}


def test_no_limit_is_the_smallest_where_others_cannot_be_kept():
    costs = {"a": [[1, 2], [1, 2]], "b": [[5, 6], [5, 6]]}
    problem = Problem.from_arrays([[1, 0], [1, 0]], ["x", "y"], costs=costs, limits={"a": 4, "b": 3})
    with pytest.raises(InfeasibleError, match="b needs at least 10") as caught:
        smallest_limit(problem, "a")
    assert caught.value.smallest == {"b": 10}
    assert smallest_limit(problem, "b") == 10


def test_the_smallest_of_a_huge_budget_is_exact():
    rows = [[HUGE + 3, HUGE + 1], [HUGE + 2, HUGE + 7]] * 2
    problem = Problem.from_arrays([[0, 1]] * 4, ["a", "b"], costs={"k": rows}, limits={"k": 4 * HUGE})
    with pytest.raises(InfeasibleError) as caught:
        solve(problem)
    assert caught.value.smallest == {"k": Fraction(4 * HUGE + 6)}


@pytest.mark.parametrize("method", ["milp", "cbc"])
def test_other_solvers_prove_nothing_wrong(method):
    pytest.importorskip("scipy" if method == "milp" else "pulp")
    for seed in range(12):
        problem = problem_of(seed)
        best = brute_force(problem)
        assert best is not None
        plan = solve(problem, method=method)
        assert plan.bound <= best[0]
        assert plan.status != "optimal" or plan.loss == best[0]


def test_solvers_that_call_a_tight_problem_impossible_are_not_believed():
    pytest.importorskip("pulp")
    thirds = [[Fraction(1, 3), Fraction(2, 3)]] * 3
    tight = [[HUGE + 1, HUGE], [HUGE + 2, HUGE], [HUGE + 1, HUGE + 2]]
    problem = Problem.from_arrays(
        [[3, 1], [1, 2], [3, 2]],
        ["a", "b"],
        costs={"k": tight, "t": thirds},
        limits={"k": 3 * HUGE + 2, "t": Fraction(5, 3)},
    )
    best = brute_force(problem)
    for method in ("auto", "cbc"):
        assert solve(problem, method=method).loss == best[0]
