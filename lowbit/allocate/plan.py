"""A plan: one choice a layer, what it loses and uses, and how good it is proven to be."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import isfinite
from typing import Any

from lowbit._version import __version__
from lowbit.allocate.amounts import as_number
from lowbit.allocate.problem import Problem
from lowbit.errors import AllocationError

OPTIMAL = "optimal"
FEASIBLE = "feasible"

PLAN_SCHEMA = "lowbit/plan/1"


@dataclass(frozen=True)
class Use:
    """What a plan uses of one budget. Amounts are exact, in the unit of the limit."""

    name: str
    used: Fraction
    limit: Fraction | None
    unit: str

    @property
    def slack(self) -> Fraction | None:
        """What is left; never negative."""
        return None if self.limit is None else self.limit - self.used


@dataclass(frozen=True, eq=False)
class Plan:
    """What :func:`lowbit.allocate.solve` returns.

    Parameters
    ----------
    problem : Problem
    picks : tuple of int
        The number of each layer's choice.
    bound : float
        No plan within the limits loses less than this.
    tolerance : float
        The relative gap up to which a plan counts as optimal.
    method : str
        What found it.
    proof : str
        What the bound rests on, in words.
    prices : mapping of str to float
        Budget -> what one unit more of it would save at the margin (the Lagrangian multiplier at the bound).
    seconds : float
    stopped : str
        Why the search ended early (``"time limit"``), or empty.

    Raises
    ------
    AllocationError
        The plan breaks a constraint: every sum is added again in Python integers.
    """

    problem: Problem
    picks: tuple[int, ...]
    bound: float
    tolerance: float
    method: str
    proof: str
    prices: dict[str, float]
    seconds: float = 0.0
    stopped: str = ""

    def __post_init__(self) -> None:
        broken = self.problem.violations(self.picks)
        if broken:
            raise AllocationError(f"the plan breaks {'; '.join(broken)}", hint="please report it with the problem")

    @cached_property
    def loss(self) -> float:
        """The loss, its terms added exactly and rounded once."""
        return self.problem.loss_of(self.picks)

    @property
    def gap(self) -> float:
        """How much less the best plan could lose at most, relative to this plan's loss; 0 when proven optimal."""
        missing = max(0.0, self.loss - self.bound)
        if missing == 0:
            return 0.0
        return missing / abs(self.loss) if self.loss else float("inf")

    @property
    def status(self) -> str:
        """``"optimal"`` if the gap is proven to be within the tolerance, else ``"feasible"``."""
        return OPTIMAL if self.gap <= self.tolerance else FEASIBLE

    @cached_property
    def choices(self) -> tuple[str, ...]:
        """The name of each layer's choice."""
        return tuple(names[pick] for names, pick in zip(self.problem.choices, self.picks, strict=True))

    @cached_property
    def uses(self) -> tuple[Use, ...]:
        """What is used of each budget."""
        totals = self.problem.totals_of(self.picks)
        return tuple(
            Use(budget.name, budget.amount_of(total), budget.limit, budget.unit)
            for budget, total in zip(self.problem.budgets, totals, strict=True)
        )

    @property
    def switches(self) -> int:
        """How many neighbouring layers have different choices."""
        return self.problem.switches_of(self.picks)

    def as_dict(self) -> dict[str, Any]:
        """The plan as JSON has it (``lowbit/allocate/plan.schema.json``); ``exact`` has fractions as text."""
        layers = [
            {"layer": layer, "choice": choice, "loss": float(self.problem.losses[position])}
            for layer, choice, position in zip(
                self.problem.layers, self.choices, self.problem.positions(self.picks), strict=True
            )
        ]
        budgets = [
            {
                "name": use.name,
                "unit": use.unit,
                "used": as_number(use.used),
                "limit": as_number(use.limit),
                "slack": as_number(use.slack),
                "exact": {"used": str(use.used), "limit": None if use.limit is None else str(use.limit)},
                "price": self.prices.get(use.name),
            }
            for use in self.uses
        ]
        return {
            "schema": PLAN_SCHEMA,
            "lowbit": __version__,
            "problem": self.problem.name,
            "status": self.status,
            "loss": self.loss,
            "bound": self.bound if isfinite(self.bound) else None,
            "gap": self.gap if isfinite(self.gap) else None,
            "tolerance": self.tolerance,
            "proof": self.proof,
            "method": self.method,
            "seconds": round(self.seconds, 6),
            "stopped": self.stopped or None,
            "switches": self.switches,
            "max_switches": self.problem.max_switches,
            "budgets": budgets,
            "layers": layers,
        }

    def to_json(self) -> str:
        """``as_dict`` as text."""
        return json.dumps(self.as_dict(), indent=2) + "\n"


def use_of(plan: Plan, budget: str) -> Use:
    """What a plan uses of a budget."""
    return next(use for use in plan.uses if use.name == budget)
