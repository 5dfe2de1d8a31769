"""Published differences: where a real product departs from the rules it otherwise follows, and why.

An entry is a change to the policy (another choice on an axis, or a defect), so it explains a row only if the changed
policy gives the very code that the product gave. A difference is *known* only where entries explain every row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.check.compare import Comparison, differing
from lowbit.check.known_entry import KnownDifference
from lowbit.check.known_list import OTHER_DIFFERENCES
from lowbit.check.known_rows import apply_rule
from lowbit.check.reference import reference
from lowbit.policy import DEFECTS, PRESET_OVERRIDES, PRESETS, Policy

LINKS = {
    "double_rounding_via_float32": "https://github.com/jax-ml/ml_dtypes/pull/401",
    "e8m0_lowest_binade": "",
}
PRODUCT_DEFECTS = {
    "ml_dtypes": ("0.6.0", ("ml_dtypes",)),
    "torch": ("2.13.0", ("torch",)),
    "onnxruntime": ("1.31.1", ("onnxruntime", "onnxruntime_nosat")),
}
"""Product -> the version that was looked at, and the presets whose defects are its own."""


def known_differences() -> tuple[KnownDifference, ...]:
    """The published list: the defects of the products' presets, and what no preset can say."""
    return (*_preset_defects(), *OTHER_DIFFERENCES)


def _preset_defects() -> Iterator[KnownDifference]:
    for product, (version, presets) in PRODUCT_DEFECTS.items():
        policies = [PRESETS[name] for name in presets]
        policies += [policy for name in presets for policy in PRESET_OVERRIDES.get(name, {}).values()]
        for defect in dict.fromkeys(name for policy in policies for name in policy.defects):
            yield KnownDifference(
                defect,
                product,
                version,
                DEFECTS[defect].summary,
                MappingProxyType({"defects": (defect,)}),
                link=LINKS.get(defect, ""),
            )


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


@lru_cache(maxsize=1)
def _listed() -> tuple[KnownDifference, ...]:
    return known_differences()


def entries_for(product: str, source: str, target: str, option: str = "") -> list[KnownDifference]:
    """The entries that speak of a conversion by a product."""
    return [entry for entry in _listed() if entry.applies(product, source, target, option)]


def find_entry(product: str, identifier: str) -> KnownDifference | None:
    """An entry by its product and id."""
    return next((entry for entry in _listed() if entry.product == product and entry.id == identifier), None)
