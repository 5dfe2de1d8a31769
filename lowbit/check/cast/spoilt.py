"""What a kernel may do to the right results of a call, whatever its rule: found before the rule is known."""

from __future__ import annotations

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


def likely_result_bugs(view: View, got: Codes, good: Mask, policy: Policy) -> tuple[ResultBug, ...]:
    """The bug that leaves the fewest differences, with those that give the same answers; none if none helps."""
    count = min(len(got), MOST_ANSWERS)
    some, got, good = view.take(np.arange(count)), got[:count], good[:count]
    roundings = axis_values(view.source, view.target)["rounding"]
    policies = [as_policy({"rounding": rounding}, policy) for rounding in roundings]
    rules = [reference(some.codes, view.source, view.target, item) for item in policies]

    def differences(answers: Codes) -> int:
        return int(np.count_nonzero((answers != got) & good))

    plain = min(map(differences, rules))
    bugs = {bug: [bug.on(some, rule) for rule in rules] for bug in result_bugs(some)}
    fewest = min(differences(answers) for every in bugs.values() for answers in every)
    if plain - fewest < FEWEST or fewest * FEWER >= plain:
        return ()
    best = next(answers for every in bugs.values() for answers in every if differences(answers) == fewest)
    names = {bug.name for bug, every in bugs.items() if any(np.array_equal(answers, best) for answers in every)}
    return tuple(bug for bug in result_bugs(view) if bug.name in names)


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
