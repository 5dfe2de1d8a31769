"""Reads the file of a block format: an element format by name, and tables of scales."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from lowbit.errors import FormatError, LowbitError
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.policy.table import Table

FIELDS = ("element", "block", "scales")

Resolved = TypeVar("Resolved")


def read_block(document: Table, common: Mapping[str, Any]) -> BlockFormat:
    """The block format of a document whose common fields are read.

    Raises
    ------
    FormatError
    """
    from lowbit.format.block_name import element_format

    element = _named(document, "element", element_format)
    block = _shape(document, "block")
    scales = tuple(_scale(table, block) for table in document.tables("scales"))
    return BlockFormat(**common, element=element, block=block, scales=scales)


def check_block_facts(fmt: BlockFormat, facts: Mapping[str, str]) -> None:
    """Raise FormatError for the first fact that does not follow from the fields of a block format."""
    figures = fmt.figures
    for name, text in facts.items():
        if name not in figures:
            raise FormatError(f"facts.{name} is not a figure of a block format", hint=f"known are {', '.join(figures)}")
        if text != figures[name]:
            raise FormatError(
                f"facts.{name} = {text!r}, but the fields of {fmt.id!r} give {figures[name]}",
                hint="either the fact is copied wrongly or a field is",
            )


def _scale(table: Table, block: Shape) -> ScaleField:
    from lowbit.format.registry import scalar_format

    table.only("name", "format", "block", "role", "of")
    own = _shape(table, "block") if "block" in table.values else block
    role, of = table.get("role", str, default="multiply"), table.get("of", str, default="")
    return ScaleField(table.get("name", str), _named(table, "format", scalar_format), own, role, of)


def _named(table: Table, field: str, resolve: Callable[[object], Resolved]) -> Resolved:
    """The format that a field names, as a function of the registry finds it."""
    name = table.get(field, str)
    try:
        return resolve(name)
    except LowbitError as error:
        raise table.error(field, error.message, error.hint) from error


def _shape(table: Table, field: str) -> Shape:
    return tuple(table.get(field, list))
