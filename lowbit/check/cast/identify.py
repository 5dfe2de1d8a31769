"""Which policy does a device follow? Candidates are eliminated input class by input class, then combined.

In each class of inputs only a few axes can change a result (``lowbit.check.cast.input_classes``), so only their
combinations are tried there, and only those that earlier classes have left over. What survives agrees with the
device on every input given, and the true policy is among the survivors if it is one that the axes can express.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.candidates import HYPOTHESES, IDENTIFIED_AXES, as_assignment, as_policy, axis_values
from lowbit.check.cast.compare import differing
from lowbit.check.cast.factors import Assignment, Survivors
from lowbit.check.cast.input_classes import InputClass, Inputs, decode_inputs, input_classes
from lowbit.check.cast.reference import reference
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.ops.arrays import is_nan
from lowbit.policy.cast import Policy

CLOSE = 0.25
"""A rule that leaves at most this share of a class unexplained is still worth naming."""


@dataclass(frozen=True)
class Unexplained:
    """Inputs of one class that follow no rule that lowbit knows.

    Attributes
    ----------
    name : str
        The class.
    rows : int array
        The rows that the best rule does not explain.
    total : int
        How many rows the class has.
    got : array
        What the device gave for these rows.
    """

    name: str
    rows: NDArray[np.intp]
    total: int
    got: NDArray[Any]


@dataclass
class Identification:
    """What is left when every input has been heard.

    Attributes
    ----------
    survivors : Survivors
        The combinations of axis values that agree with the device.
    bugs : dict
        Hypothesis -> the classes in which it was needed.
    unexplained : list of Unexplained
        Classes that no candidate explains.
    inputs : int
        How many inputs were looked at.
    """

    survivors: Survivors
    bugs: dict[str, list[str]]
    unexplained: list[Unexplained]
    inputs: int

    @property
    def complete(self) -> bool:
        """Whether a policy, without further bugs, explains every input."""
        return not self.unexplained and not self.bugs

    def contains(self, policy: Policy) -> bool:
        """Whether a policy is among the survivors."""
        return self.survivors.contains(as_assignment(policy))

    def policies(self, limit: int = 1000, base: Policy | None = None) -> Iterator[Policy]:
        """The surviving policies, with ``base`` on the axes that do not matter."""
        return (as_policy(item, base) for item in islice(self.survivors.assignments(), limit))

    def closest(self, base: Policy) -> Policy:
        """The survivor that differs least from ``base``."""
        wanted = as_assignment(base)
        chosen: Assignment = {}
        for factor in self.survivors.factors:
            best = min(
                factor.choices,
                key=lambda choice, axes=factor.axes: sum(  # type: ignore[misc]
                    value != wanted[axis] for axis, value in zip(axes, choice, strict=True)
                ),
            )
            chosen |= dict(zip(factor.axes, best, strict=True))
        return as_policy(chosen, base)

    def values(self) -> dict[str, tuple[Any, ...]]:
        """What is left on every axis that was live: axis -> values."""
        return {axis: left for axis in IDENTIFIED_AXES if (left := self.survivors.values(axis))}


class Elimination:
    """The state of one identification."""

    def __init__(self, inputs: Inputs, got: NDArray[Any], source: Scalar, target: Scalar, nan: str) -> None:
        self.inputs, self.got, self.source, self.target, self.nan = inputs, got, source, target, nan
        self.values = axis_values(source, target)
        self.result = Identification(Survivors(), {}, [], len(inputs.codes))

    def process(self, group: InputClass) -> None:
        """Eliminate by one class of inputs."""
        candidates = list(self.result.survivors.candidates(group.axes, self.values))
        wrong = self._count(candidates, group.rows, self.inputs.codes)
        if np.min(wrong) == 0:
            self._keep(candidates, wrong)
            return
        for name, codes in self._rewritten(group):
            other = self._count(candidates, group.rows, codes)
            if np.min(other) == 0:
                self._keep(candidates, other)
                self.result.bugs.setdefault(name, []).append(group.name)
                return
        if np.min(wrong) <= CLOSE * len(group.rows):
            self._keep(candidates, wrong)
        best = candidates[int(np.argmin(wrong))]
        rows = group.rows[self._differing(best, group.rows, self.inputs.codes)]
        self.result.unexplained.append(Unexplained(group.name, rows, len(group.rows), self.got[rows]))

    def _keep(self, candidates: list[Assignment], wrong: NDArray[np.int64]) -> None:
        least = np.min(wrong)
        self.result.survivors.keep([item for item, count in zip(candidates, wrong, strict=True) if count == least])

    def _count(self, candidates: list[Assignment], rows: NDArray[np.intp], codes: NDArray[Any]) -> NDArray[np.int64]:
        return np.array([np.count_nonzero(self._differing(item, rows, codes)) for item in candidates], np.int64)

    def _differing(self, item: Assignment, rows: NDArray[np.intp], codes: NDArray[Any]) -> NDArray[np.bool_]:
        expected = reference(codes[rows], self.source, self.target, as_policy(item))
        return differing(expected, self.got[rows], self.target, nan=self.nan)

    def _rewritten(self, group: InputClass) -> Iterator[tuple[str, NDArray[Any]]]:
        if not isinstance(self.source, FloatFormat) or not isinstance(self.target, FloatFormat):
            return
        for name, hypothesis in HYPOTHESES.items():
            codes = hypothesis.rewrite(self.inputs, self.source, self.target)
            if (codes[group.rows] != self.inputs.codes[group.rows]).any():
                yield name, codes


def identify(
    codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar, *, nan: str = "exact"
) -> Identification:
    """Find the policies that explain what a device answered.

    Parameters
    ----------
    codes, got : arrays
        Source codes and the device's target codes.
    source, target : FloatFormat or FixedFormat
    nan : {"exact", "any"}
        Whether the code of a NaN counts.
    """
    inputs = decode_inputs(codes, source)
    elimination = Elimination(inputs, got, source, target, nan)
    for group in input_classes(inputs, source, target):
        elimination.process(group)
    return elimination.result


def looks_stochastic(codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar) -> bool:
    """Whether every answer is one of the two neighbours of its input, as stochastic rounding gives."""
    down = reference(codes, source, target, Policy(rounding="toward_zero", overflow="saturate"))
    up = reference(codes, source, target, Policy(rounding="away_from_zero", overflow="saturate"))
    either = (got == down) | (got == up) | is_nan(got, target)
    return bool(either.all())
