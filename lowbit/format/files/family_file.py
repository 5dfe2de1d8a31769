"""Reads the file of a family of formats."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from lowbit.errors import FormatError
from lowbit.format.files.document import read_identifier, read_kind, read_policy, read_source, with_place
from lowbit.format.files.family import PARAMETER, Family, Formula, Parameter, Variant
from lowbit.policy.table import Table


def read_family(document: Table) -> Family:
    """The family that a document describes.

    Raises FormatError: a field is missing, unknown or of the wrong type; or a fact names no member.
    """
    document.only(
        "family", "kind", "summary", "version", "listed", "parameters", "variants", "defaults", "source", "facts"
    )
    kind, parameters = read_kind(document), _parameters(document.table("parameters"))
    family = Family(
        id=read_identifier(document, "family"),
        kind=kind,
        summary=document.get("summary", str),
        version=document.get("version", str, default=""),
        listed=document.get("listed", bool),
        parameters=parameters,
        variants=tuple(_variant(table, kind, parameters) for table in document.tables("variants")),
        default_policy=read_policy(document),
        source=read_source(document),
        facts=_facts(document.table("facts", required=False)),
        path=document.path,
    )
    _check_names(document, family)
    return family


def _parameters(table: Table) -> tuple[Parameter, ...]:
    rows = []
    for name in table.values:
        if not re.fullmatch("[A-Z]", name):
            raise table.error(name, "a parameter is one capital letter")
        row = table.table(name)
        row.only("minimum", "maximum", "also", "meaning")
        also = row.get("also", list, default=[])
        for value in also:
            if type(value) is not int:
                raise row.error("also", f"{value!r} is not an integer")
        low, high = row.get("minimum", int, str), row.get("maximum", int, str)
        rows.append(Parameter(name, low, high, tuple(also), row.get("meaning", str)))
    return tuple(rows)


_OF_FLOATS = ("exponent", "mantissa", "bias")
_FORMULAS = ("bits", "exponent", "mantissa", "bias", "infinity", "nan", "fraction")


def _variant(table: Table, kind: str, parameters: tuple[Parameter, ...]) -> Variant:
    table.only("name", "aliases", "summary", "minimum", "maximum", "signed", "narrow", *_FORMULAS)
    low, high = table.table("minimum", required=False), table.table("maximum", required=False)
    for limit in (low, high):
        for name in limit.values:
            if name not in {parameter.name for parameter in parameters}:
                raise limit.error(name, "this is not a parameter of the family")
            limit.get(name, int, str)
    limits = {name: (low.values.get(name), high.values.get(name)) for name in (*low.values, *high.values)}
    fields: dict[str, Formula | bool] = {name: table.get(name, int, str) for name in _FORMULAS if name in table.values}
    for name in _OF_FLOATS:
        if kind == "float":
            table.get(name, int, str)
        elif name in table.values:
            raise table.error(name, f"a family of kind {kind} has no such field")
    fields["bits"] = table.get("bits", int, str)
    fields["signed"] = table.get("signed", bool)
    fields["narrow"] = table.get("narrow", bool, default=False)
    return Variant(
        table.get("name", str), table.strings("aliases"), table.get("summary", str, default=""), limits, fields
    )


def _facts(table: Table) -> Mapping[str, Mapping[str, str]]:
    rows = {}
    for member in table.values:
        row = table.table(member)
        for name in row.values:
            row.get(name, str)
        rows[member] = MappingProxyType(dict(row.values))
    return MappingProxyType(rows)


def _check_names(document: Table, family: Family) -> None:
    wanted = {parameter.name for parameter in family.parameters}
    for index, variant in enumerate(family.variants):
        for name in (variant.name, *variant.aliases):
            found = PARAMETER.findall(name)
            if sorted(found) != sorted(wanted):
                raise document.error(
                    f"variants[{index}]", f"{name!r} must have each of the parameters {', '.join(sorted(wanted))} once"
                )
    for member in family.facts:
        try:
            known = family.find(member)
        except FormatError as error:
            raise with_place(error, document.path) from error
        if known is None or known.id != member:
            raise document.error(f"facts.{member}", "no member of the family has this id")
