"""What a plan would gain from more room: the next 5 % of every budget, and the front of loss against a budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from lowbit.allocate.amounts import amount, format_amount
from lowbit.allocate.arguments import check_kind, whole_number
from lowbit.allocate.diagnosis import least_limit
from lowbit.allocate.plan import Plan, use_of
from lowbit.allocate.problem import Problem
from lowbit.allocate.solver import DEFAULT_GAP, solve
from lowbit.errors import AllocationError

FIVE_PERCENT = Fraction(105, 100)

MOST_POINTS = 100_000
"""Every point of a front is a problem solved."""


@dataclass(frozen=True, eq=False)
class More:
    """What a budget that is larger by a factor gives."""

    budget: str
    factor: Fraction
    plan: Plan
    changes: tuple[tuple[str, str, str], ...]
    """Layer, choice before, choice after."""


def with_more(plan: Plan, *, factor: Fraction = FIVE_PERCENT, time_limit: float | None = None) -> list[More]:
    """The plans with each limited budget in turn larger by the factor.

    Examples
    --------
    >>> from lowbit.allocate import Problem, solve
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> [more.budget for more in with_more(solve(problem))]
    ['bits']
    """
    check_kind(plan, Plan, "plan", "solve(problem) makes one")
    factor = amount(factor, where="factor")
    if factor <= 0:
        raise AllocationError(f"factor: {factor} is not positive", hint="1.05 for 5 % more")
    found = []
    for use in plan.uses:
        if use.limit is None:
            continue
        problem = plan.problem.with_limits({use.name: use.limit * factor})
        other = solve(
            problem, gap=plan.tolerance, warm_start=plan, prices=plan.prices, time_limit=time_limit
        )  # fmt: skip
        changes = tuple(
            (layer, before, after)
            for layer, before, after in zip(problem.layers, plan.choices, other.choices, strict=True)
            if before != after
        )
        found.append(More(use.name, factor, other, changes))
    return found


def pareto_front(
    problem: Problem,
    budget: str,
    points: int,
    *,
    gap: float = DEFAULT_GAP,
    time_limit: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> list[Plan]:
    """Plans at evenly spaced limits of one budget, from the smallest feasible one to where it limits nothing.

    Parameters
    ----------
    problem : Problem
        Its other limits stay.
    budget : str
    points : int
        How many limits; plans that lose no less than a smaller one are left out.
    time_limit : float, optional
        Seconds for each point.
    progress : callable, optional
        Called with the points done and their number.

    Returns
    -------
    list of Plan
        In order of the budget, each with less loss than the one before.

    Examples
    --------
    >>> from lowbit.allocate import Problem, solve
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> [plan.choices for plan in pareto_front(problem, "bits", 2)]
    [('int4', 'int4'), ('int8', 'int8')]
    """
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    points = whole_number(points, "points of a front", least=2, most=MOST_POINTS)
    budget = problem.budget(budget).name
    free = solve(problem.with_limits({budget: None}), gap=gap, time_limit=time_limit)
    largest = use_of(free, budget).used
    smallest = least_limit(problem, budget).used
    assert smallest is not None
    front: list[Plan] = []
    last: Plan | None = None
    for index in range(points):
        limit = smallest + (largest - smallest) * index / (points - 1)
        options: dict[str, Any] = {"gap": gap, "time_limit": time_limit}
        if last is not None:
            options |= {"warm_start": last, "prices": last.prices}
        last = solve(problem.with_limits({budget: limit}), **options)
        progress(index + 1, points)
        if not front or last.loss < front[-1].loss:
            front.append(last)
    return front


def smallest_limit(problem: Problem, budget: str) -> Fraction:
    """The least limit of a budget that some plan keeps while the other limits stay.

    Raises
    ------
    InfeasibleError
        The other limits alone cannot be kept.
    AllocationError
        The least limit was not proven in the time that is spent on it; the message has the least one that was found.

    Examples
    --------
    >>> from lowbit.allocate import Problem, solve
    >>> problem = Problem.from_arrays(
    ...     [[4.0, 1.0], [9.0, 2.0]], ["int4", "int8"], costs={"bits": [[4, 8], [4, 8]]}, limits={"bits": 12}
    ... )
    >>> smallest_limit(problem, "bits")
    Fraction(8, 1)
    """
    check_kind(problem, Problem, "problem", "Problem.from_arrays or read_costs makes one")
    budget = problem.budget(budget).name
    least = least_limit(problem, budget)
    assert least.used is not None
    if not least.proven:
        raise AllocationError(
            f"the least limit of {budget} is at most {format_amount(least.used, 12)}, and was not proven",
            hint="round the costs, or loosen the other limits",
            code="LB702",
        )
    return least.used
