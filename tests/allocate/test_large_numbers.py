"""Costs beyond 2^61: rows lose their last bits in the searches, plans and proofs must not."""

from fractions import Fraction

import numpy as np
import pytest

from lowbit.allocate import Problem, solve
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
