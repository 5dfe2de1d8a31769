"""Problems for the tests: random small ones with every feature, and brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction

from hypothesis import strategies as st

from lowbit.allocate import Problem
from lowbit.errors import AllocationError

NAMES = ("int2", "int4", "int8")


def brute_force(problem):
    """(loss, picks) of the best plan of all, None without one: in Python numbers, from the definition."""
    best = None
    starts = problem.offsets.tolist()
    limited = [
        ([int(cost) for cost in budget.costs], budget.limit * budget.divisor * budget.denominator)
        for budget in problem.budgets
        if budget.limit is not None
    ]
    for picks in itertools.product(*(range(len(names)) for names in problem.choices)):
        named = [names[pick] for names, pick in zip(problem.choices, picks, strict=True)]
        if any(named[layer] != choice for layer, choice in problem.fixed.items()):
            continue
        if any(named[one] != named[other] for tie in problem.ties for one, other in itertools.pairwise(tie)):
            continue
        changes = sum(one != other for one, other in itertools.pairwise(named))
        if problem.max_switches is not None and changes > problem.max_switches:
            continue
        places = [start + pick for start, pick in zip(starts, picks, strict=False)]
        if any(sum(costs[place] for place in places) > limit for costs, limit in limited):
            continue
        loss = sum(float(problem.losses[place]) for place in places)
        loss += sum(float(pair.losses[picks[pair.first], picks[pair.second]]) for pair in problem.pairs)
        if best is None or loss < best[0]:
            best = loss, picks
    return best


@st.composite
def rows(draw, layers, choices, numbers):
    return [draw(st.lists(numbers, min_size=len(names), max_size=len(names))) for names in choices[:layers]]


WHOLE = st.integers(0, 9)
LARGE = st.integers(2**60, 2**62)
DECIMAL = st.decimals(0, 9, places=3).map(float)
FRACTION = st.fractions(0, 5, max_denominator=7)


@st.composite
def problems(draw, *, most_layers=5, coupled=True):
    """A small problem: whole, decimal, fractional and huge costs, ties, fixed choices, pairs and switches."""
    layers = draw(st.integers(1, most_layers))
    shared = draw(st.booleans())
    all_choices = list(NAMES[: draw(st.integers(1, 3))])
    if shared:
        choices = [all_choices] * layers
    else:
        choices = [draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)) for _ in range(layers)]
    losses = draw(rows(layers, choices, st.one_of(st.integers(-5, 9), st.floats(-3, 9, width=32))))
    costs, limits = {}, {}
    for index in range(draw(st.integers(0, 3))):
        costs[f"budget{index}"] = draw(
            rows(layers, choices, draw(st.sampled_from([WHOLE, WHOLE, DECIMAL, FRACTION, LARGE])))
        )
        most = sum(max(map(Fraction, row)) for row in costs[f"budget{index}"])
        limits[f"budget{index}"] = most * draw(st.fractions(0, 1, max_denominator=20))
    options = {}
    if coupled and layers > 1:
        ends = st.lists(st.integers(0, layers - 1), min_size=2, max_size=2, unique=True)
        options["pairs"] = [
            (one, other, draw(table(len(choices[one]), len(choices[other]))))
            for one, other in draw(st.lists(ends, max_size=3))
        ]
        if draw(st.booleans()):
            options["max_switches"] = draw(st.integers(0, layers))
    if layers > 1 and draw(st.booleans()):
        options["ties"] = [draw(st.lists(st.integers(0, layers - 1), min_size=2, max_size=3, unique=True))]
    if draw(st.booleans()):
        layer = draw(st.integers(0, layers - 1))
        options["fixed"] = {layer: draw(st.sampled_from(choices[layer]))}
    try:
        return Problem.from_arrays(losses, choices, costs=costs, limits=limits, **options)
    except AllocationError as error:
        assert "no choice in common" in error.message  # noqa: PT017 (the one contradiction that is drawn)
        return Problem.from_arrays(losses, choices, costs=costs, limits=limits)


def table(one, other):
    numbers = st.floats(-2, 2, width=32)
    return st.lists(st.lists(numbers, min_size=other, max_size=other), min_size=one, max_size=one)
