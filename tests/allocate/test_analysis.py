"""Fronts, what more room gives, and the picture."""

from fractions import Fraction
from xml.etree import ElementTree as ET

import pytest

from lowbit.allocate import Problem, example, pareto_front, picture, smallest_limit, solve, with_more
from lowbit.allocate.heights import bits_of
from lowbit.errors import AllocationError
from tests.allocate.generators import large
from tests.allocate.instances import brute_force


def small():
    costs = {"bytes": [[1, 2, 4], [2, 3, 5], [1, 4, 6]], "ms": [[3, 2, 1]] * 3}
    losses = [[9, 4, 1], [7, 5, 0], [8, 3, 2]]
    return Problem.from_arrays(losses, ["int2", "int4", "int8"], costs=costs, limits={"ms": 8})


def test_the_front_is_that_of_brute_force():
    problem = small()
    front = pareto_front(problem, "bytes", 12)
    used = [next(use.used for use in plan.uses if use.name == "bytes") for plan in front]
    assert used == sorted(used)
    assert used[0] == smallest_limit(problem, "bytes") == 5
    assert [plan.loss for plan in front] == sorted({plan.loss for plan in front}, reverse=True)
    for plan in front:
        limit = plan.problem.budget("bytes").limit
        assert plan.loss == brute_force(problem.with_limits({"bytes": limit}))[0]
    assert front[-1].loss == brute_force(problem)[0]


def test_a_front_of_resnet50():
    front = pareto_front(example("hawq_v3_resnet50"), "latency", 20)
    assert len(front) >= 15
    assert all(plan.status == "optimal" for plan in front)
    losses = [plan.loss for plan in front]
    assert losses == sorted(losses, reverse=True)


def test_a_front_needs_two_points():
    with pytest.raises(AllocationError, match="points of a front: 1 is out of range"):
        pareto_front(small(), "bytes", 1)


def test_five_per_cent_more():
    plan = solve(large(20, 4, 1))
    found = with_more(plan)
    assert [item.budget for item in found] == ["bits", "latency"]
    for item in found:
        assert item.plan.loss <= plan.loss
        assert item.plan.problem.budget(item.budget).limit == plan.problem.budget(item.budget).limit * Fraction(
            105, 100
        )
        changed = [layer for layer, old, new in item.changes]
        assert changed == [
            layer
            for layer, old, new in zip(plan.problem.layers, plan.choices, item.plan.choices, strict=True)
            if old != new
        ]


def test_the_picture_is_well_formed():
    problem = small().with_limits({"bytes": 9})
    plan = solve(problem)
    front = pareto_front(problem, "bytes", 6)
    root = ET.fromstring(picture(plan, front=front, budget="bytes"))
    name = "{http://www.w3.org/2000/svg}"
    titles = [title.text for title in root.iter(f"{name}title")]
    for layer, choice in zip(problem.layers, plan.choices, strict=True):
        assert f"{layer}: {choice}" in titles
    assert len(list(root.iter(f"{name}circle"))) >= len(front)
    alone = ET.fromstring(picture(plan))
    assert not list(alone.iter(f"{name}circle"))


@pytest.mark.parametrize(("choice", "bits"), [("int4", 4), ("float8_e4m3fn", 8), ("w3a8", 3), ("none", None)])
def test_bits_of_a_choice(choice, bits):
    assert bits_of(choice) == bits
