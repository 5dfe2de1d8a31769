"""Published differences: where a real product departs from the rules it otherwise follows, and why.

An entry is a change to the policy (another choice on an axis, or a defect), so it explains a row only if the changed
policy gives the very code that the product gave. A difference is *known* only where entries explain every row.
"""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np

from lowbit.check.cast.compare import Comparison, differing
from lowbit.check.cast.known_entry import KnownDifference
from lowbit.check.cast.known_rows import apply_rule
from lowbit.check.cast.reference import reference
from lowbit.policy.cast import Policy


def explain_known(
    comparison: Comparison, entries: list[KnownDifference]
) -> tuple[tuple[str, ...], np.ndarray[Any, Any]]:
    """Which entries explain rows that differ, and which rows are left unexplained.

    Entries may act together, so their combinations are tried, the smallest first.
    """
    left = comparison.rows
    used: list[str] = []
    for entry in entries:
        explained = apply_rule(entry.rule, comparison, left)
        if explained.any():
            used.append(entry.id)
            left = left[~explained]
    changing = [entry for entry in entries if entry.change]
    for size in range(1, len(changing) + 1):
        for combination in combinations(changing, size):
            if not len(left):
                return tuple(dict.fromkeys(used)), left
            given = reference(
                comparison.codes[left], comparison.source, comparison.target, _changed(comparison.policy, combination)
            )
            wrong = differing(given, comparison.got[left], comparison.target, nan=comparison.nan)
            if not wrong.all():
                used += [entry.id for entry in combination]
                left = left[wrong]
    return tuple(dict.fromkeys(used)), left


def _changed(policy: Policy, entries: tuple[KnownDifference, ...]) -> Policy:
    changes: dict[str, Any] = {}
    for entry in entries:
        for axis, value in entry.change.items():
            changes[axis] = (*changes.get(axis, ()), *value) if axis == "defects" else value
    return policy.choose(**changes)
