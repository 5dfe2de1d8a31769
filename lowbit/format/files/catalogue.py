"""Formats and families of one origin (the distribution, a directory, a plug-in), by name."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from lowbit.errors import FormatError, UnknownFormatError
from lowbit.format.common import Format
from lowbit.format.files.document import read_document, read_format, read_names
from lowbit.format.files.family import Family
from lowbit.format.files.family_file import read_family

ENVIRONMENT_VARIABLE = "LOWBIT_FORMATS"


def path_for_a_name(text: str) -> UnknownFormatError:
    """What is said of a path where the name of a format belongs."""
    there = os.path.isfile(text)  # noqa: PTH113 - Path.is_file raises where the text is too long
    what = "the path of a file, not a name" if there else "neither a name nor a file"
    return UnknownFormatError(
        f"format {text!r} is unknown: it is {what}",
        hint=f"formats have ids; ${ENVIRONMENT_VARIABLE}={text if there else 'FILE'} adds those of a file, and so does "
        "lowbit.load_format(file)",
    )


def format_files(paths: Iterable[Path]) -> list[Path]:
    """Files, and the ``*.toml`` files of directories in the order of their names."""
    return [file for path in paths for file in (sorted(path.glob("*.toml")) if path.is_dir() else [path])]


class Catalogue:
    """Formats by id and alias, names in use for several formats, and families.

    ``formats``: by id; ``spellings``: lower-case id or alias to id; ``ambiguous``: lower-case name to the ids of the
    formats that it is in use for.
    """

    def __init__(self) -> None:
        self.formats: dict[str, Format] = {}
        self.spellings: dict[str, str] = {}
        self.ambiguous: dict[str, list[str]] = {}
        self.families: list[Family] = []
        self._origins: dict[str, str] = {}
        self._read: set[Path] = set()

    def read(self, path: Path, others: Iterable[Catalogue] = ()) -> Format | Family:
        """Read one file and add what it describes; a file that was read before is read anew."""
        document = read_document(path)
        self._read.add(path)
        if "family" in document.values:
            family = read_family(document)
            if any(known.id == family.id for catalogue in (self, *others) for known in catalogue.families):
                raise document.error("family", f"there is a family {family.id!r} already")
            self.families.append(family)
            return family
        fmt = read_format(document)
        self.add(fmt, str(path), read_names(document, "ambiguous"), others)
        return fmt

    def read_all(self, paths: Iterable[Path], others: Iterable[Catalogue] = ()) -> None:
        """Read files and those of directories, as `format_files` lists them; none of them twice."""
        for file in format_files(paths):
            if file not in self._read:
                self.read(file, others)

    def add(self, fmt: Format, origin: str, ambiguous: Iterable[str] = (), others: Iterable[Catalogue] = ()) -> None:
        """Add a format; what the same origin gave before under that id is replaced.

        Raises FormatError: one of its names belongs to another format, or is in use for several.
        """
        before = self.formats.get(fmt.id)
        replaced = before is not None and self._origins[fmt.id] == origin
        for name in (fmt.id, *fmt.aliases):
            for catalogue in (self, *others):
                owner = catalogue.owner(name.lower())
                if owner is not None and not (replaced and catalogue is self and owner == fmt.id):
                    raise FormatError(
                        f"{origin}: the name {name!r} of {fmt.id!r} is taken: {owner}",
                        hint="choose another id, or drop the alias; built-in names cannot be redefined",
                    )
        if replaced:
            self._remove(fmt.id)
        self.formats[fmt.id] = fmt
        self._origins[fmt.id] = origin
        self.spellings.update({name.lower(): fmt.id for name in (fmt.id, *fmt.aliases)})
        for name in ambiguous:
            self.ambiguous.setdefault(name.lower(), []).append(fmt.id)

    def _remove(self, identifier: str) -> None:
        self.spellings = {name: owner for name, owner in self.spellings.items() if owner != identifier}
        for owners in self.ambiguous.values():
            owners[:] = [owner for owner in owners if owner != identifier]

    def owner(self, name: str) -> str | None:
        """Whose name it is, in words where it is several formats'."""
        if name in self.ambiguous:
            return f"in use for {', '.join(self.ambiguous[name])}"
        if name in self.spellings:
            return self.spellings[name]
        member = self._member(name)
        return None if member is None else f"the family {member.family!r}"

    def find(self, name: str) -> Format | None:
        """The format of a lower-case name; None where it is not known here.

        Raises UnknownFormatError: the name is of a family, but a parameter is out of range.
        """
        identifier = self.spellings.get(name)
        return self.formats[identifier] if identifier is not None else self._member(name)

    def _member(self, name: str) -> Format | None:
        return next((fmt for family in self.families if (fmt := family.find(name)) is not None), None)
