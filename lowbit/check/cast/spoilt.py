"""What a kernel may do to the right results of a call, whatever its rule: found before the rule is known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowbit.check.cast.conversion import Codes, Mask, View
from lowbit.check.cast.result_bugs import GROUPS, ResultBug, result_bugs
from lowbit.check.cast.rules import as_policy, axis_values, reference
from lowbit.check.claims import Places
from lowbit.policy.cast import Policy

FEWER = 4
"""So many times fewer answers have to differ with a bug than without it, under the rounding that suits each best."""
MOST_ANSWERS = 1 << 16
"""Of larger calls the beginning is looked at."""
FEWEST = 8
"""Answers that have to be explained by a bug of all results, or stand at the places that are spoken of."""
LEAST_SHARE = 0.25
"""Of either sign, of inputs that are not told from others by their sign."""


class RoughRules:
    """The policy asked for with every rounding, on the beginning of a call: what most answers are like.

    ``seen``: which answers there are.
    """

    def __init__(self, view: View, got: Codes, seen: Mask, policy: Policy) -> None:
        self.whole, self.count = view, min(len(got), MOST_ANSWERS)
        self.view, self.got, self.seen = view.take(np.arange(self.count)), got[: self.count], seen[: self.count]
        policies = (as_policy({"rounding": name}, policy) for name in axis_values(view.source, view.target)["rounding"])
        self.results = [reference(self.view.codes, view.source, view.target, item) for item in policies]

    def fewest(self, results: Sequence[Codes], but: Places | None = None) -> int:
        """The differences from the results of one of the rules, perhaps not at some places."""
        seen = self.seen.copy()
        if but is not None:
            seen[but.rows(self.count)] = False
        return min(int(np.count_nonzero((answers != self.got) & seen)) for answers in results)

    def helped(self, fewest: int) -> bool:
        """Whether so few differences are far fewer than those without an explanation."""
        plain = self.fewest(self.results)
        return plain - fewest >= FEWEST and fewest * FEWER < plain

    def result_bugs(self) -> tuple[ResultBug, ...]:
        """The bug that leaves the fewest differences, with those that give the same answers; none if none helps."""
        bugs = {bug: [bug.on(self.view, rule) for rule in self.results] for bug in result_bugs(self.view)}
        differences = {bug: self.fewest(results) for bug, results in bugs.items()}
        best = min(differences, key=lambda bug: differences[bug])
        if not self.helped(differences[best]):
            return ()
        answers = next(own for own in bugs[best] if self.fewest([own]) == differences[best])
        names = {bug.name for bug, results in bugs.items() if any(np.array_equal(own, answers) for own in results)}
        return tuple(bug for bug in result_bugs(self.whole) if bug.name in names)

    def without(self, places: Places | None) -> bool:
        """Whether few answers differ beside some places."""
        return places is not None and self.helped(self.fewest(self.results, places))


def lane_places(view: View, got: Codes) -> Places | None:
    """Places of each group of some that have the same answer whatever their inputs are."""
    for period in GROUPS:
        offsets = tuple(place for place in range(period) if len(np.unique(got[place::period])) == 1)
        alike = len({int(got[place]) for place in offsets}) == 1
        if alike and len(offsets) < period:
            places = Places(period, offsets)
            negative = view.inputs.negative[places.rows(len(got))]
            share = np.count_nonzero(negative) / max(len(negative), 1)
            return places if len(negative) >= FEWEST and LEAST_SHARE <= share <= 1 - LEAST_SHARE else None
    return None


def last_places(got: Codes) -> Places | None:
    """The places after the last answer that differs from those of the end."""
    other = np.flatnonzero(got != got[-1])
    first = int(other[-1]) + 1 if len(other) else 0
    return Places(first=first) if len(got) - first >= FEWEST else None
