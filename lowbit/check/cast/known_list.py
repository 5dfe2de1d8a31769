"""The published differences as data: ``published_differences.toml``, which tests/cross holds against the products."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from lowbit.check.cast.known_entry import KnownDifference
from lowbit.check.cast.known_rows import row_rule

FILE = "published_differences.toml"


@cache
def known_differences() -> tuple[KnownDifference, ...]:
    """Every published difference, in the order of the file."""
    document = tomllib.loads((files("lowbit.check.cast") / FILE).read_text(encoding="utf-8"))
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


def entries_for(product: str, source: str, target: str, option: str = "") -> list[KnownDifference]:
    """The entries that speak of a conversion by a product."""
    return [entry for entry in known_differences() if entry.applies(product, source, target, option)]


def find_entry(product: str, identifier: str) -> KnownDifference | None:
    """An entry by its product and id."""
    return next((entry for entry in known_differences() if entry.product == product and entry.id == identifier), None)
