"""One format file into one Format: fields read, contradictions refused, facts checked.

``formats/README.md`` describes the files; ``formats/schema.json`` says the same to other tools.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lowbit.errors import FormatError, LowbitError
from lowbit.exact import from_float
from lowbit.format.common import ID_RULE, Format, is_identifier
from lowbit.format.files.block_file import FIELDS as BLOCK_FIELDS
from lowbit.format.files.block_file import check_block_facts, read_block
from lowbit.format.files.facts import check_facts
from lowbit.format.files.specials import Fields, read_specials
from lowbit.format.protocol import Element
from lowbit.format.scalar import FixedFormat, FloatFormat, Source, TableFormat
from lowbit.format.table import check_list
from lowbit.format.vector import MAX_DIMENSION, VectorFormat, pyramid_values
from lowbit.policy.block import BLOCK_PRESETS
from lowbit.policy.cast import CAST_PRESETS
from lowbit.policy.table import Table

KINDS = ("float", "integer", "fixed", "table", "vector", "block")
_OWN_FIELDS = {
    "table": ("bits", "values", "ordered", "repeated"),
    "vector": ("bits", "values", "pyramid"),
    "block": BLOCK_FIELDS,
}
"""The fields of the kinds that have no ``[fields]`` and ``[specials]``."""


def read_document(path: Path) -> Table:
    """The whole of a TOML file.

    Raises FormatError: it cannot be read, or is not TOML.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        hint = "give the path of a TOML file, as formats/README.md describes it"
        raise FormatError(f"{path}: cannot be read: {error.strerror}", hint=hint) from error
    except UnicodeDecodeError as error:
        raise FormatError(f"{path}: not a TOML file: {error}", hint="TOML is UTF-8") from error
    try:
        return Table(tomllib.loads(text), path)
    except (ValueError, RecursionError) as error:  # integers of too many digits, brackets without end
        raise FormatError(f"{path}: not a TOML file: {error}", hint="formats/README.md shows a whole file") from error


def read_format(document: Table) -> Format:
    """The format that a document describes.

    Raises FormatError: a field is missing, unknown, of the wrong type, or contradicts another; or a fact does not
    follow.
    """
    kind = read_kind(document)
    own = _OWN_FIELDS.get(kind, ("bits", "fields", "specials"))
    document.only("id", "kind", "aliases", "ambiguous", "summary", *own, "defaults", "source", "facts")
    common: dict[str, Any] = {
        "id": read_identifier(document),
        "aliases": read_names(document, "aliases"),
        "summary": document.get("summary", str, default=""),
        "default_policy": read_policy(document, kind),
        "source": read_source(document),
    }
    read_names(document, "ambiguous")
    facts = document.table("facts", required=False)
    for name in facts.values:
        facts.get(name, str)
    try:
        fmt = _checked(document, common, kind, facts.values)
    except FormatError as error:
        raise with_place(error, document.path) from error
    return replace(fmt, facts=MappingProxyType(dict(facts.values)))


def _checked(document: Table, common: dict[str, Any], kind: str, facts: Mapping[str, str]) -> Format:
    """The format of a kind, whose facts follow from its fields."""
    if kind == "block":
        block = read_block(document, common)
        check_block_facts(block, facts)
        return block
    common["bits"] = document.get("bits", int)
    fmt = _READERS[kind](document, common)
    check_facts(fmt, facts)
    return fmt


def with_place(error: LowbitError, path: Path) -> FormatError:
    """The same error, with the file named in front."""
    place = str(path)
    message = error.message if error.message.startswith(place) else f"{place}: {error.message}"
    return FormatError(message, hint=error.hint)


def read_kind(document: Table) -> str:
    """The kind, checked."""
    kind: str = document.get("kind", str)
    if kind not in KINDS:
        raise document.error("kind", f"{kind!r} is unknown", f"one of {', '.join(KINDS)}")
    return kind


def read_identifier(document: Table, field: str = "id") -> str:
    """The id: lower case, so that a look-up can ignore case."""
    identifier: str = document.get(field, str)
    if not is_identifier(identifier):
        raise document.error(field, f"{identifier!r} is not an id", f"{ID_RULE}; other spellings are aliases")
    return identifier


def read_names(document: Table, field: str) -> tuple[str, ...]:
    """A list of names without repetition, whatever their case."""
    names = document.strings(field)
    seen: set[str] = set()
    for name in names:
        if not name.strip() or name != name.strip():
            raise document.error(field, f"{name!r} is empty or has blanks around it")
        if name.lower() in seen:
            raise document.error(field, f"{name!r} stands there twice (look-up ignores case)")
        seen.add(name.lower())
    return names


def read_policy(document: Table, kind: str = "") -> str:
    """The default policy of ``[defaults]``: the name of a preset."""
    presets = BLOCK_PRESETS if kind == "block" else CAST_PRESETS
    defaults = document.table("defaults")
    defaults.only("policy")
    policy: str = defaults.get("policy", str)
    if policy not in presets:
        raise defaults.error("policy", f"{policy!r} is not a preset", f"one of {', '.join(presets)}")
    return policy


def read_source(document: Table) -> Source:
    """Where the format is defined: optional, but not without a title."""
    if "source" not in document.values:
        return Source()
    source = document.table("source")
    source.only("title", "edition", "clause", "url")
    title = source.get("title", str)
    if not title:
        raise source.error("title", "it is empty", "name the document that defines the format")
    return Source(title, *(source.get(name, str, default="") for name in ("edition", "clause", "url")))


def _float(document: Table, common: Mapping[str, Any]) -> FloatFormat:
    table = document.table("fields")
    table.only("signed", "exponent", "mantissa", "bias")
    fields = Fields(table.get("signed", bool), table.get("exponent", int), table.get("mantissa", int))
    bias = table.get("bias", int)
    total = int(fields.signed) + fields.magnitude_bits
    # Patterns are read before the format is made, so its own check of the widths would come too late.
    if min(fields.exponent_bits, fields.mantissa_bits) < 0 or total != common["bits"]:
        raise document.error(
            "fields",
            f"sign {int(fields.signed)} + exponent {fields.exponent_bits} + mantissa {fields.mantissa_bits} = {total} "
            f"bits, but bits = {common['bits']}: the fields overlap or leave a gap",
            "padding is not part of a format: state the bits that are used",
        )
    specials = read_specials(document.table("specials"), fields)
    return FloatFormat(**common, **asdict(fields), bias=bias, **specials)


def _fixed(document: Table, common: Mapping[str, Any]) -> FixedFormat:
    kind = document.values["kind"]
    fields = document.table("fields")
    fields.only("signed", "fraction", "narrow")
    if "specials" in document.values:
        raise document.error("specials", f"a format of kind {kind!r} has no special values", "remove the table")
    fraction_bits = fields.get("fraction", int, default=0)
    if (kind == "integer") != (fraction_bits == 0):
        what = f"{fraction_bits} contradicts kind = {kind!r}"
        raise fields.error("fraction", what, "an integer has no fraction bits, fixed point has some")
    return FixedFormat(
        **common,
        signed=fields.get("signed", bool),
        fraction_bits=fraction_bits,
        narrow=fields.get("narrow", bool, default=False),
    )


def _table(document: Table, common: Mapping[str, Any]) -> TableFormat:
    values = document.get("values", list)
    for place, value in enumerate(values):
        if type(value) not in (int, float):
            raise document.error(f"values[{place}]", f"{value!r} is not a number", "write 0.25, 1, inf or nan")
    exact = tuple(from_float(float(value)) for value in values)
    ordered, repeated = document.get("ordered", bool, default=True), document.get("repeated", bool, default=False)
    check_list(exact, ordered=ordered, repeated=repeated)
    return TableFormat(**common, values=exact)


def _vector(document: Table, common: Mapping[str, Any]) -> VectorFormat:
    """From vectors that stand in the file, or from the integers and pulses of a pyramid."""
    if "pyramid" not in document.values:
        rows = []
        for place, row in enumerate(document.get("values", list)):
            if type(row) is not list or any(type(number) not in (int, float) for number in row):
                raise document.error(f"values[{place}]", f"{row!r} is not a list of numbers", "write [0.5, -1]")
            rows.append(tuple(float(number) for number in row))
        return VectorFormat(**common, values=tuple(rows))
    if "values" in document.values:
        raise document.error("values", "a pyramid has its vectors from [pyramid]", "remove one of the two")
    table = document.table("pyramid")
    table.only("dimension", "pulses")
    numbers = [table.get(name, int) for name in ("dimension", "pulses")]
    for name, number in zip(("dimension", "pulses"), numbers, strict=True):
        if not 1 <= number <= MAX_DIMENSION:
            raise table.error(name, f"{number} is outside 1..{MAX_DIMENSION}")
    return VectorFormat(**common, values=pyramid_values(*numbers))


_READERS: Mapping[str, Callable[[Table, Mapping[str, Any]], Element]] = MappingProxyType(
    {"float": _float, "integer": _fixed, "fixed": _fixed, "table": _table, "vector": _vector}
)
