"""A cast policy as a rule, and the values that each of its axes may take in an identification."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.input_classes import intermediate_formats, interval_defects
from lowbit.check.operation import Rule
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy
from lowbit.vectors.case import Array, Case

if TYPE_CHECKING:
    from lowbit.check.cast.bug import CastBug
    from lowbit.check.cast.result_bugs import ResultBug

STOCHASTIC = "stochastic_"
IDENTIFIED_AXES = (*(axis for axis in Policy.AXES if axis != "random_bits"), "defects")


def reference(codes: NDArray[Any], source: Scalar, target: Scalar, policy: Policy) -> NDArray[Any]:
    """The target codes that a policy asks for, by the array API."""
    from lowbit.ops.cast.cast import convert

    return np.asarray(convert(codes, source, target, policy=policy))


@dataclass(frozen=True)
class CastRule(Rule):
    """A policy between two formats, and perhaps a bug, and another one of all results."""

    source: Scalar
    target: Scalar
    policy: Policy
    bug: CastBug | None = None
    after: ResultBug | None = None

    def run(self, case: Case) -> Array:
        """The target codes of a case."""
        codes = case.arrays["codes"]
        results = self.convert(codes)
        if self.after is None:
            return results
        from lowbit.check.cast.conversion import View

        return self.after.on(View(codes, self.source, self.target), results)

    def convert(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The target codes of source codes, before what is done to all results of a call."""
        if self.bug is None:
            return reference(codes, self.source, self.target, self.policy)
        from lowbit.check.cast.conversion import Conversion, View

        return self.bug.run(Conversion(View(codes, self.source, self.target), self.policy))


def axis_values(source: Scalar, target: Scalar) -> dict[str, tuple[Any, ...]]:
    """The candidate values of every axis; a device cannot raise, and its random bits cannot be known."""
    values: dict[str, tuple[Any, ...]] = {}
    for axis, choices in Policy.CHOICES.items():
        kept = [choice for choice in choices if choice != "error" and not choice.startswith(STOCHASTIC)]
        if axis == "overflow" and not target.wraps:
            kept.remove("wrap")
        values[axis] = tuple(kept)
    values["via"] = ("", *intermediate_formats(source, target))
    known = interval_defects(source, target)
    values["defects"] = tuple(subset for size in range(len(known) + 1) for subset in combinations(known, size))
    return values


def as_policy(assignment: Mapping[str, Any], base: Policy | None = None) -> Policy:
    """The policy of an assignment, with ``base`` (the default policy) on the axes that it does not speak of."""
    base = base or Policy()
    if base.stochastic:
        base = base.choose(rounding="nearest_even", random_bits=0)
    return base.choose(**assignment) if assignment else base


def as_assignment(policy: Policy) -> dict[str, Any]:
    """A policy's value on every axis that can be identified."""
    return {axis: getattr(policy, axis) for axis in IDENTIFIED_AXES}
