"""Which policy does a device follow? Candidates are eliminated input class by input class, then combined.

In each class of inputs only a few axes can change a result (``lowbit.check.cast.input_classes``), so only their
combinations are tried there, and only those that earlier classes have left over. What survives agrees with the
device on every input given, and the true policy is among the survivors if it is one that the axes can express.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.bug import CastBug
from lowbit.check.cast.bugs import CAST_BUGS, LOW_BIT_BUGS, THROUGH_BUGS
from lowbit.check.cast.conversion import Conversion, View
from lowbit.check.cast.factors import Assignment, Survivors
from lowbit.check.cast.input_classes import IN_RANGES, InputClass, decode_inputs, input_classes
from lowbit.check.cast.measured_bugs import copy_bugs, measured_bugs
from lowbit.check.cast.pairs import PairBug, likeliest, likely_pairs
from lowbit.check.cast.rules import IDENTIFIED_AXES, CastRule, as_assignment, as_policy, axis_values, reference
from lowbit.check.stray import stray_rows
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import is_nan
from lowbit.policy.cast import Policy

CLOSE = 0.25
"""A rule that leaves at most this share of a class unexplained is still worth naming."""
MOST_RULES = 24
"""The rules of an identification that are compared one by one, and named; the others are counted."""
MOST_OF_PAIRS = 4
"""Bugs that are looked for together with a second one."""
FEW_TRIED = 3
"""Roundings with which the first of two bugs is looked for where none is known."""
SAMPLE = 48
"""Wrong answers that bugs are tried on before all of a class."""


@dataclass(frozen=True, eq=False)
class Explained:
    """What was found out about the inputs of one class."""

    group: InputClass
    bugs: tuple[CastBug, ...]  # the bug that it takes to explain them, or the bugs that these inputs cannot tell apart
    rows: NDArray[np.intp]  # the inputs that the survivors, with the bug, explain

    @property
    def left(self) -> NDArray[np.intp]:
        """The inputs that they do not explain."""
        return np.setdiff1d(self.group.rows, self.rows)


@dataclass(frozen=True, eq=False)
class Trial:
    """Candidates that agree on some inputs, which bugs are tried on."""

    conversion: Conversion
    base: Assignment  # what the candidates leave open
    places: list[int]  # which candidates they are


@dataclass(frozen=True, eq=False)
class Trials:
    """Some wrong answers to the inputs of a class."""

    group: InputClass
    view: View
    got: NDArray[Any]
    tried: list[Trial]


@dataclass
class Identification:
    """What is left when every input has been heard."""

    source: Scalar
    target: Scalar
    # The combinations of axis values that agree with the device.
    survivors: Survivors = field(default_factory=Survivors)
    classes: list[Explained] = field(default_factory=list)

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

    ``codes`` and ``got``: source codes and the device's target codes; ``any_nan``: whether any NaN is as good as
    another.
    """

    def __init__(
        self, codes: NDArray[Any], got: NDArray[Any], source: Scalar, target: Scalar, *, any_nan: bool
    ) -> None:
        self.codes, self.got, self.source, self.target, self.any_nan = codes, got, source, target, any_nan
        self.values = axis_values(source, target)
        self.result = Identification(source, target)

    @cached_property
    def measured(self) -> tuple[CastBug, ...]:
        """The bugs whose numbers the answers suggest."""
        return tuple(measured_bugs(View(self.codes, self.source, self.target), self.got))

    def copies(self) -> bool:
        """Whether the answers are bits of the inputs, whatever these are; if so, all is found out."""
        view, rows = View(self.codes, self.source, self.target), np.arange(len(self.codes))
        bugs = tuple(copy_bugs(view, self.got)) if len(rows) else ()
        self.result.classes += [Explained(InputClass("", rows, ()), bugs, rows)] if bugs else []
        return bool(bugs)

    def process(self, group: InputClass) -> None:
        """Eliminate by one class of inputs."""
        candidates = list(self.result.survivors.candidates(group.axes, self.values))
        wrong = [self._differing(item, group.rows) for item in candidates]
        counts = np.array([np.count_nonzero(mask) for mask in wrong])
        if not counts.min():
            self._keep(candidates, counts == 0, group)
            return
        best = wrong[int(np.argmin(counts))]
        known = [bug for item in self.result.classes for bug in item.bugs]
        kinds = ((*known, *CAST_BUGS), self.measured, THROUGH_BUGS, LOW_BIT_BUGS)
        if self._explain(candidates, self._trials(group, candidates, best), kinds):
            return
        if counts.min() <= CLOSE * len(group.rows):
            self._keep(candidates, np.array([np.array_equal(mask, best) for mask in wrong]), group, left=best)
        else:
            self.result.classes.append(Explained(group, (), group.rows[:0]))

    def pairs(self) -> None:
        """Explain what is left of classes by two bugs, one of which explains others, or most of those in range."""
        classes = self.result.classes
        in_range = [place for place, item in enumerate(classes) if item.group.name in IN_RANGES]
        for place in dict.fromkeys((*in_range, *range(len(classes)))):
            group = classes[place].group
            known = list(dict.fromkeys(bug for item in classes for bug in item.bugs))[:MOST_OF_PAIRS]
            if not len(classes[place].left) or not (known or place in in_range):
                continue
            candidates = list(self.result.survivors.candidates(group.axes, self.values))
            wrong = min((self._differing(one, group.rows) for one in candidates), key=np.count_nonzero)
            trials = self._trials(group, candidates, wrong)
            conversions = [trial.conversion for trial in trials.tried]
            explained = self._explain(candidates, trials, ([bug for bug in known if isinstance(bug, PairBug)],))
            if not explained and conversions:
                conversions = conversions if known else conversions[:FEW_TRIED]
                known = known or likeliest(CAST_BUGS, conversions, trials.got)
                pairs = tuple(likely_pairs(known, CAST_BUGS, conversions, trials.got))
                explained = self._explain(candidates, trials, (pairs,))
            if explained:
                classes[place] = classes.pop()

    def _explain(self, candidates: list[Assignment], trials: Trials, kinds: Sequence[Sequence[CastBug]]) -> bool:
        """Whether a bug explains a class; of several kinds the first is taken."""
        bugs = self._bugs(candidates, trials, kinds)
        if bugs:
            agreeing = next(iter(bugs.values()))
            alike = tuple(bug for bug, mask in bugs.items() if (mask | ~agreeing).all())
            self._keep(candidates, agreeing, trials.group, alike)
        return bool(bugs)

    def _keep(
        self,
        candidates: list[Assignment],
        kept: NDArray[np.bool_],
        group: InputClass,
        bugs: tuple[CastBug, ...] = (),
        left: NDArray[np.bool_] | None = None,
    ) -> None:
        self.result.survivors.keep([item for item, agrees in zip(candidates, kept, strict=True) if agrees])
        self.result.classes.append(Explained(group, bugs, group.rows if left is None else group.rows[~left]))

    def _trials(self, group: InputClass, candidates: list[Assignment], wrong: NDArray[np.bool_]) -> Trials:
        """Some wrong answers, and of the candidates those that give different results there.

        A class that has no overflow may have some by a bug.
        """
        rows = group.rows[np.flatnonzero(wrong)]
        sample = rows[:: -(-len(rows) // SAMPLE)]
        view = View(self.codes[sample], self.source, self.target)
        different: dict[bytes, list[int]] = {}
        for place, item in enumerate(candidates):
            if not (item.get("via") or item.get("defects")):
                key = reference(view.codes, self.source, self.target, as_policy(item)).tobytes()
                different.setdefault(key, []).append(place)
        bases: list[Assignment] = [{}] if "overflow" in group.axes else [{}, {"overflow": "saturate"}]
        tried = [
            Trial(Conversion(view, as_policy({**base, **candidates[places[0]]})), base, places)
            for base in bases
            for places in different.values()
        ]
        return Trials(group, view, self.got[sample], tried)

    def _bugs(
        self, candidates: list[Assignment], trials: Trials, kinds: Sequence[Sequence[CastBug]]
    ) -> dict[CastBug, NDArray[np.bool_]]:
        """The bugs that explain a class, with the candidates that they explain it with."""
        for bugs in kinds:
            agreeing = {
                bug: self._agreeing(bug, candidates, trials)
                for bug in dict.fromkeys(bugs)
                if bug.touches(trials.view).all()
            }
            if any(mask.any() for mask in agreeing.values()):
                return {bug: mask for bug, mask in agreeing.items() if mask.any()}
        return {}

    def _agreeing(self, bug: CastBug, candidates: list[Assignment], trials: Trials) -> NDArray[np.bool_]:
        """The candidates that explain a class with a bug, which changes all inputs of the trials."""
        agreeing, got = np.zeros(len(candidates), bool), trials.got
        for trial in trials.tried:
            with np.errstate(all="ignore"):
                results = bug.compute(trial.conversion).astype(got.dtype)
            if not differing(results, got, self.target, any_nan=self.any_nan).any():
                for place in trial.places:
                    item = {**trial.base, **candidates[place]}
                    agreeing[place] |= not self._differing(item, trials.group.rows, bug).any()
        return agreeing

    def _differing(self, item: Assignment, rows: NDArray[np.intp], bug: CastBug | None = None) -> NDArray[np.bool_]:
        results = CastRule(self.source, self.target, as_policy(item), bug).convert(self.codes[rows])
        return differing(results, self.got[rows], self.target, any_nan=self.any_nan)


def identify(
    codes: NDArray[Any],
    got: NDArray[Any],
    source: Scalar,
    target: Scalar,
    *,
    any_nan: bool = False,
    pairs: bool = True,
) -> Identification:
    """Find the policies that explain what a device answered.

    ``codes`` and ``got``: source codes and the device's target codes. ``any_nan``: whether any NaN is as good as
    another. ``pairs``: whether two bugs at once are looked for.
    """
    elimination = Elimination(codes, got, source, target, any_nan=any_nan)
    if elimination.copies():
        return elimination.result
    for group in input_classes(decode_inputs(codes, source), source, target):
        elimination.process(group)
    elimination.result.classes = _told_apart(elimination.result.classes)
    if pairs:
        elimination.pairs()
    return elimination.result


def _told_apart(classes: list[Explained]) -> list[Explained]:
    """The classes, where one of several bugs is sure in another class with that one.

    What a bug of all numbers would do to huge ones alone, say, does not show that bug.
    """
    seen = {bug for item in classes if item.group.name in IN_RANGES for bug in item.bugs}
    unseen = {*THROUGH_BUGS, *LOW_BIT_BUGS} - seen
    classes = [
        replace(item, bugs=tuple(bug for bug in item.bugs if bug not in unseen))
        if set(item.bugs) - unseen
        else replace(item, bugs=(), rows=item.rows[:0])
        if item.bugs
        else item
        for item in classes
    ]
    sure = {item.bugs[0] for item in classes if len(item.bugs) == 1}
    return [replace(item, bugs=tuple(bug for bug in item.bugs if bug in sure) or item.bugs) for item in classes]


def differing(expected: NDArray[Any], got: NDArray[Any], target: Scalar, *, any_nan: bool = False) -> NDArray[np.bool_]:
    """Which codes differ; two NaNs never do where any NaN will do, but what is not a code always does."""
    wrong = np.asarray(expected != got)
    if any_nan and wrong.any():
        wrong &= ~(is_nan(expected, target) & is_nan(got, target) & ~stray_rows(got, target))
    return wrong
