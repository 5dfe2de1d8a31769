"""Which policy does a device follow? Candidates are eliminated input class by input class, then combined.

In each class of inputs only a few axes can change a result (``lowbit.check.cast.input_classes``), so only their
combinations are tried there, and only those that earlier classes have left over. What survives agrees with the
device on every input given, and the true policy is among the survivors if it is one that the axes can express.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.bugs import CAST_BUGS, CastBug
from lowbit.check.cast.factors import Assignment, Survivors
from lowbit.check.cast.input_classes import InputClass, decode_inputs, input_classes
from lowbit.check.cast.rules import IDENTIFIED_AXES, as_assignment, as_policy, axis_values, reference
from lowbit.check.stray import stray_rows
from lowbit.format.scalar import FloatFormat, Scalar
from lowbit.ops.arrays import is_nan
from lowbit.policy.cast import Policy

CLOSE = 0.25
"""A rule that leaves at most this share of a class unexplained is still worth naming."""
MOST_RULES = 24
"""The rules of an identification that are compared one by one, and named; the others are counted."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What was found out about the inputs of one class.

    Attributes
    ----------
    group : InputClass
    bug : CastBug or None
        The bug that it takes to explain them.
    rows : int array
        The inputs that the survivors, with the bug, explain.
    """

    group: InputClass
    bug: CastBug | None
    rows: NDArray[np.intp]

    @property
    def left(self) -> NDArray[np.intp]:
        """The inputs that they do not explain."""
        return np.setdiff1d(self.group.rows, self.rows)


@dataclass
class Identification:
    """What is left when every input has been heard.

    Attributes
    ----------
    source, target : FloatFormat or FixedFormat
    survivors : Survivors
        The combinations of axis values that agree with the device.
    classes : list of Explained
    """

    source: Scalar
    target: Scalar
    survivors: Survivors = field(default_factory=Survivors)
    classes: list[Explained] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether a policy, without further bugs, explains every input."""
        return not any(item.bug or len(item.left) for item in self.classes)

    def contains(self, policy: Policy) -> bool:
        """Whether a policy is among the survivors."""
        return self.survivors.contains(as_assignment(policy))

    def policies(self, limit: int = 1000, base: Policy | None = None) -> Iterator[Policy]:
        """The surviving policies, with ``base`` on the axes that do not matter."""
        return (as_policy(item, base) for item in islice(self.survivors.assignments(), limit))

    def nearest(self, base: Policy) -> list[Policy]:
        """The survivors that differ least from ``base``, at most ``MOST_RULES`` of them."""
        wanted = as_assignment(base)

        def distance(axes: tuple[str, ...], choice: tuple[Any, ...]) -> int:
            return sum(value != wanted[axis] for axis, value in zip(axes, choice, strict=True))

        nearest = self.survivors.nearest(distance)
        return [as_policy(item, base) for item in islice(nearest.assignments(), MOST_RULES)]

    def values(self) -> dict[str, tuple[Any, ...]]:
        """What is left on every axis that was live: axis -> values."""
        return {axis: left for axis in IDENTIFIED_AXES if (left := self.survivors.values(axis))}


class Elimination:
    """The state of one identification.

    Parameters
    ----------
    codes, got : arrays
        Source codes and the device's target codes.
    source, target : FloatFormat or FixedFormat
    any_nan : bool
        Whether any NaN is as good as another.
    """

    def __init__(
        self, codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar, *, any_nan: bool
    ) -> None:
        self.codes, self.got, self.source, self.target, self.any_nan = codes, got, source, target, any_nan
        self.values = axis_values(source, target)
        self.result = Identification(source, target)

    def process(self, group: InputClass) -> None:
        """Eliminate by one class of inputs."""
        candidates = list(self.result.survivors.candidates(group.axes, self.values))
        wrong = [self._differing(item, group.rows, self.codes) for item in candidates]
        counts = np.array([np.count_nonzero(mask) for mask in wrong])
        if not counts.min():
            self._keep(candidates, counts == 0, group)
            return
        for bug, codes in self._rewritten.items():
            if (codes[group.rows] != self.codes[group.rows]).any():
                agreeing = np.array([not self._differing(item, group.rows, codes).any() for item in candidates])
                if agreeing.any():
                    self._keep(candidates, agreeing, group, bug)
                    return
        best = wrong[int(np.argmin(counts))]
        if counts.min() <= CLOSE * len(group.rows):
            self._keep(candidates, np.array([np.array_equal(mask, best) for mask in wrong]), group, left=best)
        else:
            self.result.classes.append(Explained(group, None, group.rows[:0]))

    def _keep(
        self,
        candidates: list[Assignment],
        kept: NDArray[np.bool_],
        group: InputClass,
        bug: CastBug | None = None,
        left: NDArray[np.bool_] | None = None,
    ) -> None:
        self.result.survivors.keep([item for item, agrees in zip(candidates, kept, strict=True) if agrees])
        self.result.classes.append(Explained(group, bug, group.rows if left is None else group.rows[~left]))

    def _differing(self, item: Assignment, rows: NDArray[np.intp], codes: NDArray[Any]) -> NDArray[np.bool_]:
        expected = reference(codes[rows], self.source, self.target, as_policy(item))
        return differing(expected, self.got[rows], self.target, any_nan=self.any_nan)

    @cached_property
    def _rewritten(self) -> Mapping[CastBug, NDArray[Any]]:
        """The inputs as each bug takes them."""
        source, target = self.source, self.target
        if not isinstance(source, FloatFormat) or not isinstance(target, FloatFormat):
            return {}
        inputs = decode_inputs(self.codes, source)
        return {bug: bug.rewrite(inputs, source, target) for bug in CAST_BUGS}


def identify(
    codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar, *, any_nan: bool = False
) -> Identification:
    """Find the policies that explain what a device answered.

    Parameters
    ----------
    codes, got : arrays
        Source codes and the device's target codes.
    source, target : FloatFormat or FixedFormat
    any_nan : bool
        Whether any NaN is as good as another.
    """
    elimination = Elimination(codes, got, source, target, any_nan=any_nan)
    for group in input_classes(decode_inputs(codes, source), source, target):
        elimination.process(group)
    return elimination.result


def differing(expected: NDArray[Any], got: NDArray[Any], target: Scalar, *, any_nan: bool = False) -> NDArray[np.bool_]:
    """Which codes differ; two NaNs never do where any NaN will do, but what is not a code always does."""
    wrong = np.asarray(expected != got)
    if any_nan and wrong.any():
        wrong &= ~(is_nan(expected, target) & is_nan(got, target) & ~stray_rows(got, target))
    return wrong
