"""Reads a file of presets.

An entry is ``base`` (another preset; without it the defaults), the ``choices`` that differ from it, ``defects``, and
what it claims: ``summary``, ``product``, ``version``, ``evidence`` and ``source``. ``overrides`` say where the product
follows another rule for some ``targets``; their base is the preset itself, or the defaults where it is ``"default"``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic

from lowbit.errors import PolicyError
from lowbit.policy.presets import EVIDENCE, Claim, Kind
from lowbit.policy.table import Table

FOLDER = Path(__file__).parent
DEFAULT = "default"
_CLAIMS = ("summary", "product", "version", "evidence", "source")


@dataclass(frozen=True)
class PresetFile(Generic[Kind]):
    """What a file of presets holds."""

    presets: Mapping[str, Kind]
    claims: Mapping[str, Claim]
    overrides: Mapping[str, Mapping[str, Kind]]


def read_presets(kind: type[Kind], path: Path) -> PresetFile[Kind]:
    """The presets of a file.

    Raises PolicyError: the file is not TOML, or a field, an axis, a choice or a base is unknown; the message says
    where.
    """
    try:
        document = Table(tomllib.loads(path.read_text(encoding="utf-8")), path, kind=PolicyError)
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path} cannot be read: {error}") from error
    reader = _Reader(kind, {name: document.table(name) for name in document.values})
    presets = {name: reader.preset(name) for name in reader.tables}
    return PresetFile(presets, reader.claims, {name: entry for name in presets if (entry := reader.overrides(name))})


class _Reader(Generic[Kind]):
    """From tables to presets, each after its base."""

    def __init__(self, kind: type[Kind], tables: Mapping[str, Table]) -> None:
        self.kind, self.tables = kind, tables
        self.choices = {DEFAULT: kind()}
        self.axes = [name for name in kind.DEFAULTS if name != "defects"]
        self.defects = [name for name in kind.DEFAULTS if name == "defects"]
        self.claims = {name: self._claim(table) for name, table in tables.items()}

    def preset(self, name: str) -> Kind:
        claim = self.claims[name]
        own = vars(claim) | {"name": name, "product_name": claim.summary if claim.product else ""}
        told: dict[str, Any] = {field: own[field] for field in self.kind.CLAIMS}
        return replace(self._resolve(name, ()), **told)  # type: ignore[type-var]

    def overrides(self, name: str) -> dict[str, Kind]:
        rules: dict[str, Kind] = {}
        for table in self.tables[name].tables("overrides", required=False):
            table.only("targets", "base", "choices", *self.defects)
            choices = self._change(table, table.get("base", str, default=name), ())
            rules |= dict.fromkeys(table.strings("targets"), replace(choices, name=name))  # type: ignore[type-var]
        return rules

    def _claim(self, table: Table) -> Claim:
        table.only("base", "choices", *self.defects, "overrides", *_CLAIMS)
        claim = Claim(table.get("summary", str), *(table.get(field, str, default="") for field in _CLAIMS[1:]))
        if bool(claim.product) != bool(claim.evidence) or claim.evidence not in {"", *EVIDENCE}:
            raise table.error(
                "evidence", f"{claim.evidence!r} is not how a claim is founded", f"one of {', '.join(EVIDENCE)}"
            )
        return claim

    def _resolve(self, name: str, trail: tuple[str, ...]) -> Kind:
        if name not in self.choices:
            table = self.tables[name]
            self.choices[name] = self._change(table, table.get("base", str, default=DEFAULT), (*trail, name))
        return self.choices[name]

    def _change(self, table: Table, base: str, trail: tuple[str, ...]) -> Kind:
        if base in trail:
            raise table.error("base", f"{' -> '.join((*trail, base))} is a circle", "a base does not lead back")
        if base not in self.tables and base != DEFAULT:
            raise table.error("base", f"{base!r} is not a preset", f"one of {', '.join(self.tables)}, or {DEFAULT}")
        own = table.table("choices", required=False)
        own.only(*self.axes)
        values = {axis: tuple(value) if isinstance(value, list) else value for axis, value in own.values.items()}
        if "defects" in table.values:
            values["defects"] = table.strings("defects")
        choices = self._resolve(base, trail)
        try:
            return choices.choose(**values)
        except PolicyError as error:
            raise table.error("choices", error.message, error.hint) from error
