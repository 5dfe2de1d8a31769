"""Published differences: where a real product departs from the rules it otherwise follows, and why.

An entry of ``published_differences.toml`` is a change to the rule asked for (another choice on an axis, a defect,
another accumulator), so it explains an answer only if the changed rule gives the very answer that the product gave. A
difference is *known* only where entries explain every answer. tests/cross holds the list against the products.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from itertools import combinations
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.check.cast.known_rows import RowRule, row_rule
from lowbit.check.comparison import Comparison, Rows
from lowbit.policy.cast import DEFECTS

FILE = "published_differences.toml"


@dataclass(frozen=True)
class KnownDifference:
    """One row of ``published_differences.toml``, whose head says what each field means."""

    # id, product: together unique
    id: str
    product: str
    version: str  # the version it was seen in
    # why, link: what happens, and where it is discussed or written
    why: str
    link: str
    right: str  # ``lowbit``, ``product`` or ``unspecified``
    example: Mapping[str, str]  # one input with both answers, in hexadecimal
    change: Mapping[str, Any]  # axis of the rule (or ``defects``) -> the choice that reproduces it
    rule: RowRule | None = None  # which answers it explains, where no rule can say so
    operation: str = "convert"  # ``convert``, ``gemm``, ...
    # sources, targets, option: where it applies, with wildcards
    sources: tuple[str, ...] = ("*",)
    targets: tuple[str, ...] = ("*",)
    option: str = "*"
    varies: bool = False  # whether the answer depends on the machine or on the place in the array

    @property
    def defects(self) -> tuple[str, ...]:
        """The defects of the product's preset that it is."""
        defects: tuple[str, ...] = self.change.get("defects", ())
        return defects

    def applies(self, product: str, source: str, target: str, option: str, operation: str = "convert") -> bool:
        """Whether the entry speaks of an operation between two formats."""
        if (product, operation) != (self.product, self.operation) or not fnmatchcase(option, self.option):
            return False
        if not (_matches(source, self.sources) and _matches(target, self.targets)):
            return False
        return all(DEFECTS[name].applies(source, target) for name in self.defects)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


@cache
def known_differences() -> tuple[KnownDifference, ...]:
    """Every published difference, in the order of the file."""
    document = tomllib.loads((files("lowbit.check") / FILE).read_text(encoding="utf-8"))
    return tuple(_entry(dict(row)) for row in document["difference"])


def _entry(row: dict[str, Any]) -> KnownDifference:
    change = dict(row.pop("change", {}))
    if defect := row.pop("defect", ""):
        change["defects"] = (defect,)
    codes = tuple(int(code, 16) for code in row.pop("codes", ()))
    rule = row_rule(row.pop("rule"), codes) if "rule" in row else None
    for name in ("sources", "targets"):
        if name in row:
            row[name] = tuple(row[name])
    example = MappingProxyType(row.pop("example"))
    return KnownDifference(**row, change=MappingProxyType(change), rule=rule, example=example)


def find_entry(product: str, identifier: str) -> KnownDifference | None:
    """An entry by its product and id."""
    return next((entry for entry in known_differences() if entry.product == product and entry.id == identifier), None)


def explain_known(comparison: Comparison, entries: Sequence[KnownDifference]) -> tuple[tuple[str, ...], Rows]:
    """Which entries explain answers that differ, and which answers are left unexplained.

    Entries may act together, so their combinations are tried, the smallest first.
    """
    left = np.flatnonzero(comparison.wrong)
    used: list[str] = []
    for entry in entries:
        explained = entry.rule(comparison, left) if entry.rule else np.zeros(len(left), bool)
        if explained.any():
            used.append(entry.id)
            left = left[~explained]
    changing = [entry for entry in entries if entry.change]
    for size in range(1, len(changing) + 1):
        for combination in combinations(changing, size):
            rule = comparison.operation.changed([entry.change for entry in combination])
            if not len(left) or rule is None:
                continue
            wrong = comparison.operation.differing(comparison.by_rule(rule, left), comparison.got[left])
            wrong |= comparison.unwritten[left]
            if not wrong.all():
                used += [entry.id for entry in combination]
                left = left[wrong]
    return tuple(dict.fromkeys(used)), left
