"""What the public functions refuse to be given: in words, naming the value, and with a way out."""

from decimal import Decimal
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from lowbit.allocate import (
    Problem,
    example,
    hawq_v3,
    pareto_front,
    parse_costs,
    picture,
    smallest_limit,
    solve,
    with_more,
    write_costs,
    write_lp,
    write_mps,
)
from lowbit.errors import AllocationError

TWO = ["int4", "int8"]


def make(losses=((2, 1), (2, 1)), choices=TWO, **options):
    options.setdefault("costs", {"k": [[1, 2], [1, 2]]})
    return Problem.from_arrays(losses, choices, **options)


PROBLEM = make(limits={"k": 3})


def refused(call, *parts):
    with pytest.raises(AllocationError) as caught:
        call()
    assert caught.value.hint
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"gap": "x"}, "gap: 'x' is not a number"),
        ({"gap": True}, "gap: True is not a number"),
        ({"gap": 1j}, "gap: 1j is not a number"),
        ({"gap": float("nan")}, "gap: nan is not a relative gap"),
        ({"time_limit": "x"}, "time_limit: 'x' is not a number"),
        ({"time_limit": float("nan")}, "time_limit: nan is not a time"),
        ({"method": ["auto"]}, "method ['auto'] is unknown"),
        ({"warm_start": 5}, "warm_start: 5 is not a list"),
        ({"warm_start": "ab"}, "warm_start: 'ab' is not a list"),
        ({"warm_start": ["int4", 8]}, "warm_start: the choice of layer 'layer1': 8 is not text"),
        ({"warm_start": ["int4"]}, "warm_start: 1 choices for 2 layers"),
        ({"prices": {"k": "x"}}, "price of k: 'x' is not a number"),
        ({"prices": {"k": float("nan")}}, "price of k: nan is NaN"),
        ({"prices": {"k": float("inf")}}, "price of k: inf is infinite"),
        ({"prices": {"kk": 1}}, "prices: 'kk' is unknown"),
        ({"prices": {5: 1}}, "prices: 5 is unknown"),
        ({"prices": [1]}, "prices: [1] is not a mapping"),
        ({"seed": 0.5}, "seed: 0.5 is not a whole number"),
        ({"seed": True}, "seed: True is not a whole number"),
        ({"seed": -1}, "seed: -1 is out of range"),
    ],
)
def test_solve_refuses(options, part):
    refused(lambda: solve(PROBLEM, **options), part)


def test_solve_takes_what_is_right():
    plan = solve(
        PROBLEM, gap=np.float32(1e-6), time_limit=Fraction(30), seed=np.int64(3), prices={"k": 1, "switches": 0}
    )
    assert plan.loss == 3
    assert solve(PROBLEM, warm_start=np.array(plan.choices)).loss == 3
    assert solve(PROBLEM, warm_start=plan, prices=plan.prices).loss == 3


@pytest.mark.parametrize(
    ("call", "part"),
    [
        (lambda: solve([[1, 2]]), "problem: list instead of Problem"),
        (lambda: pareto_front(PROBLEM, "k", 2.5), "points of a front: 2.5 is not a whole number"),
        (lambda: pareto_front(PROBLEM, "k", 1), "points of a front: 1 is out of range"),
        (lambda: pareto_front(PROBLEM, "k", "3"), "points of a front: '3' is not a whole number"),
        (lambda: pareto_front(PROBLEM, "k", 10**400), "is out of range"),
        (lambda: PROBLEM.budget(np.array(["k", "k"])), "is not text"),
        (lambda: solve(PROBLEM, method=np.array(["auto", "auto"])), "is unknown"),
        (lambda: pareto_front(PROBLEM, "kk", 3), "there is no budget 'kk'"),
        (lambda: pareto_front(None, "k", 3), "problem: NoneType instead of Problem"),
        (lambda: smallest_limit(PROBLEM, "kk"), "there is no budget 'kk'"),
        (lambda: with_more(PROBLEM), "plan: Problem instead of Plan"),
        (lambda: with_more(solve(PROBLEM), factor="x"), "factor: 'x' is not an amount"),
        (lambda: with_more(solve(PROBLEM), factor=-1), "factor: -1 is not positive"),
        (lambda: make(name=5), "name: 5 is not text"),
        (lambda: picture(PROBLEM), "plan: Problem instead of Plan"),
        (lambda: picture(solve(PROBLEM), front=5), "front: 5 is not a list"),
        (lambda: write_mps(5, "none"), "problem: int instead of Problem"),
        (lambda: write_lp(5, "none"), "problem: int instead of Problem"),
        (lambda: write_costs(5, "none"), "problem: int instead of Problem"),
        (lambda: parse_costs(5), "costs: 5 is not text"),
        (lambda: example([5]), "example: [5] is not text"),
        (lambda: hawq_v3(["a"], [1], {}, [1]), "errors: there are none"),
        (lambda: PROBLEM.with_limits([3]), "limits: [3] is not a mapping"),
        (lambda: picture(solve(PROBLEM), front=[solve(PROBLEM)] * 2, budget="kk"), "there is no budget 'kk'"),
        (lambda: Problem(("a",), (("x",),), [1.0]), "losses: list instead of an array"),
        (lambda: Problem(("a",), (("x",),), np.array([True])), "losses: bool instead of float64"),
        (lambda: Problem(("a",), (("x",),), np.array([1.0]), fixed={0.0: "x"}), "0.0 is neither a name nor a number"),
    ],
)
def test_functions_refuse(call, part):
    refused(call, part)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"limits": [3]}, "limits: [3] is not a mapping"),
        ({"costs": [[1, 2], [1, 2]]}, "costs: [[1, 2], [1, 2]] is not a mapping"),
        ({"costs": {5: [[1, 2]] * 2}, "limits": {}}, "name of a budget: 5 is not text"),
        ({"units": "ms"}, "units: 'ms' is not a mapping"),
        ({"units": {"k": 5}}, "unit of k: 5 is not text"),
        ({"divisors": 5}, "divisors: 5 is not a mapping"),
        ({"ties": 5}, "ties: 5 is not a list"),
        ({"ties": [5]}, "ties: a group: 5 is not a list"),
        ({"ties": ["layer0"]}, "ties: a group: 'layer0' is not a list"),
        ({"ties": [(0, 1.0)]}, "layer 1.0 is neither a name nor a number"),
        ({"pairs": 5}, "pairs: 5 is not a list"),
        ({"pairs": [5]}, "pairs: a pair: 5 is not a list"),
        ({"pairs": [(0, 1)]}, "pairs: a pair has 2 members instead of 3"),
        ({"pairs": [(0, True, [[0, 1], [1, 0]])]}, "layer True is neither a name nor a number"),
        ({"pairs": [(0, 1, [["0", 1], [1, 0]])]}, "pair 0, 1: not a table of numbers: '0' is not a number"),
        ({"pairs": [(0, 1, [[False, 1], [1, 0]])]}, "pair 0, 1: not a table of numbers: False is not a number"),
        ({"losses": [[True, False], [2, 1]]}, "loss of 'int4' in layer 'layer0': True is not a number"),
        ({"losses": np.array([[True, False]] * 2)}, "loss of 'int4' in layer 'layer0': True is not a number"),
        ({"losses": [["2", "1"], [2, 1]]}, "loss of 'int4' in layer 'layer0': '2' is not a number"),
        ({"losses": np.array([["2", "1"]] * 2)}, "loss of 'int4' in layer 'layer0': '2' is not a number"),
        ({"losses": np.array([[2, 1 + 1j]] * 2)}, "layer 'layer0': (2+0j) is not a number"),
        ({"losses": [[2, 1], [np.complex64(1), 1]]}, "loss of 'int4' in layer 'layer1'"),
        ({"losses": [[2, 1], [10**400, 1]]}, "beyond binary64"),
        ({"losses": [[2, 1], [Decimal(1), 10**400]]}, "loss of 'int8' in layer 'layer1': a number beyond binary64"),
        ({"layers": [1, 2]}, "name of a layer: 1 is not text"),
        ({"layers": "ab"}, "layers: 'ab' is not a list"),
        ({"layers": [["a"], ["b"]]}, "name of a layer: ['a'] is not text"),
        ({"choices": 5}, "choices: 5 is not a list"),
        ({"choices": [TWO, "ab"]}, "choices of layer 'layer1': 'ab' is not a list"),
        ({"choices": [TWO, [4, 8]]}, "choice of layer 'layer1': 4 is not text"),
        ({"fixed": [0]}, "fixed: [0] is not a mapping"),
        ({"fixed": {0.5: "int4"}}, "layer 0.5 is neither a name nor a number"),
        ({"fixed": {True: "int4"}}, "layer True is neither a name nor a number"),
        ({"fixed": {0: 4}}, "fixed: the choice of layer 0: 4 is not text"),
        ({"fixed": {"layer1": "int4", 1: "int8"}}, "layer 1 is given twice: 'int4', 'int8'"),
    ],
)
def test_problems_refuse(options, part):
    refused(lambda: make(**options), part)


@pytest.mark.parametrize(
    "losses",
    [
        [[2, 1], (2.0, np.float32(1))],
        [[Decimal(2), Fraction(1)], np.array([2, 1], dtype=np.uint8)],
        np.array([[2, 1], [2, 1]], dtype=ml_dtypes.bfloat16),
        np.array([[2, Fraction(1)], [2, 1]], dtype=object),
    ],
)
def test_losses_of_every_kind_of_number(losses):
    problem = make(losses)
    assert problem.losses.dtype == np.float64
    assert problem.losses.tolist() == [2, 1, 2, 1]


def test_layers_by_numpy_integers():
    problem = make(ties=[(np.int64(0), "layer1")], fixed={np.int32(1): "int4"})
    assert problem.ties == ((0, 1),)
    assert dict(problem.fixed) == {1: "int4"}
