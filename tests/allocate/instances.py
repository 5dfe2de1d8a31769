"""Problems for the tests: random small ones with every feature, and brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
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


SPECIAL = (0.0, -0.0, 1.0, 2.0**-149, -(2.0**-149), 0.1, -3.0, 9.0)
LOSSES = (
    lambda random: random.randint(-5, 9),
    lambda random: float(np.float32(random.uniform(-3, 9))),
    lambda random: random.choice(SPECIAL),
)
COSTS = (
    *[lambda random: random.randint(0, 9)] * 2,
    lambda random: random.randint(0, 9000) / 1000,
    lambda random: Fraction(random.randint(0, 35), random.randint(1, 7)),
    lambda random: random.randint(2**60, 2**62),
)


@st.composite
def problems(draw, *, most_layers=5, coupled=True, tight=False):
    """A small problem: whole, decimal, fractional and huge costs, ties, fixed choices, pairs and switches.

    Most have a plan, ``tight`` ones often none. Only its size and a seed are drawn: every number drawn by itself takes
    longer than to solve the problem.
    """
    layers, width = draw(st.integers(1, most_layers)), draw(st.integers(1, 3))
    random = draw(st.randoms(use_true_random=True))
    if random.random() < 0.5:
        choices = [list(NAMES[:width])] * layers
    else:
        choices = [random.sample(NAMES, random.randint(1, 3)) for _ in range(layers)]
    losses = [[random.choice(LOSSES)(random) for _ in names] for names in choices]
    costs, limits = {}, {}
    for index in range(random.randint(0, 3)):
        number = random.choice(COSTS)
        costs[f"budget{index}"] = rows = [[number(random) for _ in names] for names in choices]
        least, most = (sum(end(map(Fraction, row)) for row in rows) for end in (min, max))
        share = Fraction(random.randint(0 if tight else -1, 20), 20)
        limits[f"budget{index}"] = most * share if tight else max(least + (most - least) * share, 0)
    options = {}
    if coupled and layers > 1:
        ends = [random.sample(range(layers), 2) for _ in range(random.randint(0, 3))]
        options["pairs"] = [
            (one, other, [[random.uniform(-2, 2) for _ in choices[other]] for _ in choices[one]]) for one, other in ends
        ]
        if random.random() < 0.5:
            options["max_switches"] = random.randint(0, layers)
    if layers > 1 and random.random() < 0.5:
        options["ties"] = [random.sample(range(layers), random.randint(2, min(layers, 3)))]
    if random.random() < 0.5:
        layer = random.randrange(layers)
        options["fixed"] = {layer: random.choice(choices[layer])}
    try:
        return Problem.from_arrays(losses, choices, costs=costs, limits=limits, **options)
    except AllocationError as error:
        assert "no choice in common" in error.message  # noqa: PT017 (the one contradiction that is drawn)
        return Problem.from_arrays(losses, choices, costs=costs, limits=limits)
