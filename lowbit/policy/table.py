"""A TOML table that knows where it stands, so that every complaint names file, field and remedy.

Formats, families and presets are read through it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowbit.errors import FormatError, LowbitError

_TYPE_NAMES = {str: "a string", int: "an integer", bool: "true or false", list: "a list", dict: "a table"}


class Table:
    """One table of a file.

    ``values``: what the TOML reader gave; ``path``: the file; ``prefix``: where the table stands in it (``"fields."``),
    "" for the whole file; ``kind``: what its errors are.
    """

    def __init__(
        self, values: Mapping[str, Any], path: Path, prefix: str = "", kind: type[LowbitError] = FormatError
    ) -> None:
        self.values = values
        self.path = path
        self.prefix = prefix
        self.kind = kind

    def error(self, field: str, what: str, hint: str = "") -> LowbitError:
        """An error about one field of this table."""
        place = f"{self.prefix}{field}"
        return self.kind(f"{self.path}: {place}: {what}" if place else f"{self.path}: {what}", hint=hint)

    def only(self, *known: str) -> None:
        """Refuse fields that are not known."""
        for name in self.values:
            if name not in known:
                from difflib import get_close_matches

                close = get_close_matches(name, known, n=1)
                guess = f"did you mean {close[0]!r}? " if close else ""
                raise self.error(name, "unknown field", f"{guess}known here are {', '.join(known)}")

    def get(self, name: str, *types: type, default: Any = None) -> Any:
        """A field of one of some types; without a default it must be there (``default=...`` may be "" or [])."""
        if name not in self.values:
            if default is None:
                wanted = " or ".join(_TYPE_NAMES[kind] for kind in types)
                raise self.error(name, "the field is missing", f"add {name} = <{wanted}>")
            return default
        value = self.values[name]
        # bool is a subclass of int in Python, never in TOML.
        if type(value) not in types:
            wanted = " or ".join(_TYPE_NAMES[kind] for kind in types)
            raise self.error(name, f"{value!r} is not {wanted}", f"write {name} = <{wanted}>")
        return value

    def strings(self, name: str) -> tuple[str, ...]:
        """A list of strings, empty where the field is absent."""
        values = self.get(name, list, default=[])
        for value in values:
            if not isinstance(value, str):
                raise self.error(name, f"{value!r} is not a string", f'write {name} = ["...", "..."]')
        return tuple(values)

    def table(self, name: str, *, required: bool = True) -> Table:
        """A table inside this one."""
        values = self.get(name, dict, default=None if required else {})
        return Table(values, self.path, f"{self.prefix}{name}.", self.kind)

    def tables(self, name: str, *, required: bool = True) -> list[Table]:
        """An array of tables inside this one."""
        rows = self.get(name, list, default=None if required else [])
        for row in rows:
            if not isinstance(row, dict):
                raise self.error(name, f"{row!r} is not a table", f"write [[{name}]]")
        return [Table(row, self.path, f"{self.prefix}{name}[{index}].", self.kind) for index, row in enumerate(rows)]
