"""The manifest of ``golden/``: one entry a set, with what made it and what its rows hash to."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.errors import VectorFileError
from lowbit.files.reading import CANNOT_READ
from lowbit.format.registry import data_directory
from lowbit.vectors.flags.cast import FLAGS
from lowbit.vectors.recipe import GENERATOR_VERSION, ORACLE, Recipe
from lowbit.vectors.vec import VectorFile, read_vectors, render_body

SCHEMA = "lowbit.golden/1"
FIRST_VERSION = "0.1.0"
MANIFEST = "manifest.toml"

_HEAD = """\
# The golden sets of lowbit. Written by `lowbit golden regen`; do not edit.
# schema.json describes this file, README.md how to use the sets from C and Verilog.
schema = "lowbit.golden/1"
"""


@dataclass(frozen=True)
class Entry:
    """One set of the manifest."""

    recipe: Recipe  # what makes it
    rows: int  # how many rows it has
    flags: tuple[str, ...]  # names of the flags that occur
    sha256: str  # of the rows, as in the header of the file
    since: str = FIRST_VERSION  # the version of lowbit that first had it
    generator_version: int = GENERATOR_VERSION  # of the generator that made it
    oracle: str = ORACLE  # what gave the expected codes
    # Why the set is not to be used any more; "" while it is good. A wrong set is never edited silently.
    withdrawn: str = ""

    @property
    def id(self) -> str:
        """The id of the set."""
        return self.recipe.id


@dataclass(frozen=True)
class Difference:
    """A set that is not what it should be, and why."""

    id: str
    reason: str


def golden_directory() -> Path:
    """Where the golden sets are: in the wheel, or at the top of the repository."""
    return data_directory("golden")


def describe(recipe: Recipe, file: VectorFile, since: str = FIRST_VERSION) -> Entry:
    """The entry of a set that was just made."""
    digest = hashlib.sha256(render_body(file.columns, file.rows)).hexdigest()
    names = tuple(FLAGS[number].name for number in np.unique(file.flags).tolist())
    return Entry(recipe, len(file.rows), names, digest, since)


def render_manifest(entries: Iterable[Entry]) -> str:
    """The manifest as TOML; the same entries give the same text."""
    return _HEAD + "".join(f"\n[[set]]\n{_render_entry(entry)}" for entry in entries)


def _render_entry(entry: Entry) -> str:
    recipe = entry.recipe
    arguments = ", ".join(f"{key} = {_toml(value)}" for key, value in sorted(recipe.arguments.items()))
    generator = f'{{ name = "{recipe.generator}", version = {entry.generator_version}, arguments = {{ {arguments} }} }}'
    pairs: dict[str, str] = {
        "id": _toml(entry.id),
        "file": _toml(recipe.file),
        "op": _toml(recipe.op),
        "source": _toml(recipe.source),
        "target": _toml(recipe.target),
        "policy": _toml(recipe.policy),
        "generator": generator.replace("{  }", "{}"),
        "oracle": _toml(entry.oracle),
        "rows": str(entry.rows),
        "flags": _toml(list(entry.flags)),
        "sha256": _toml(entry.sha256),
        "since": _toml(entry.since),
    }
    if entry.withdrawn:
        pairs["withdrawn"] = _toml(entry.withdrawn)
    return "".join(f"{key} = {value}\n" for key, value in pairs.items())


def _toml(value: Any) -> str:
    """Strings, booleans, integers and lists of them: JSON writes these as TOML does."""
    return json.dumps(value)


def read_manifest(directory: Path | None = None) -> dict[str, Entry]:
    """The entries of a manifest by id, in order.

    Raises VectorFileError: the manifest is missing, is not TOML, is of another version, or an entry is incomplete or
    comes twice.
    """
    path = (directory or golden_directory()) / MANIFEST
    document = read_document(path, SCHEMA)
    entries: dict[str, Entry] = {}
    for number, item in enumerate(document.get("set", []), start=1):
        entry = _parse_entry(item, f"{path}: set {number}")
        if entry.id in entries:
            raise VectorFileError(f"{path}: set {number}: the id {entry.id!r} comes twice", hint="remove one of them")
        entries[entry.id] = entry
    return entries


def read_document(path: Path, schema: str) -> dict[str, Any]:
    """A file of tables that ``lowbit golden regen`` wrote."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        hint = "`lowbit golden regen` makes it"
        raise VectorFileError(f"{path}: cannot be read: {error.strerror}", hint=hint, code=CANNOT_READ) from error
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are among them
        raise VectorFileError(f"{path}: is not TOML: {error}", hint="`lowbit golden regen` makes it anew") from error
    if document.get("schema") != schema:
        raise VectorFileError(f"{path}: schema is {document.get('schema')!r}, this version reads {schema!r}")
    return document


def _parse_entry(item: Mapping[str, Any], where: str) -> Entry:
    try:
        generator = item["generator"]
        folders = str(item["file"]).split("/")[2:-1]
        arguments = MappingProxyType(dict(generator["arguments"]))
        op, source, target, policy = (str(item[key]) for key in ("op", "source", "target", "policy"))
        recipe = Recipe(op, source, target, policy, generator["name"], arguments, "/".join(folders))
        entry = Entry(
            recipe,
            item["rows"],
            tuple(item["flags"]),
            item["sha256"],
            item["since"],
            generator["version"],
            item["oracle"],
            item.get("withdrawn", ""),
        )
    except (KeyError, TypeError) as error:
        raise VectorFileError(f"{where} lacks {error}", hint="`lowbit golden regen` makes the manifest anew") from error
    for key, made in (("id", recipe.id), ("file", recipe.file)):
        if item.get(key) != made:
            raise VectorFileError(f"{where}: {key} is {item.get(key)!r}, but its fields say {made!r}")
    return entry


def read_set(entry: Entry, directory: Path | None = None) -> VectorFile:
    """Read the file of an entry and verify that it is the one that the manifest means.

    Raises VectorFileError: the file is missing or damaged, or its rows are not those of the manifest.
    """
    path = (directory or golden_directory()) / entry.recipe.file
    file = read_vectors(path)
    found = describe(entry.recipe, file)
    if file.header["set"] != entry.id:
        raise VectorFileError(f"{path}: holds the set {file.header['set']!r}, the manifest says {entry.id!r}")
    for what in ("rows", "sha256", "flags"):
        if getattr(found, what) != getattr(entry, what):
            raise VectorFileError(
                f"{path}: {what} is {getattr(found, what)}, the manifest says {getattr(entry, what)}",
                hint="restore the file, or run `lowbit golden regen` and look at the difference in git",
            )
    return file
