"""What all number formats share, and how the bits of a code are divided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType
from typing import NamedTuple

from lowbit.errors import FormatError

MAX_BITS = 64
ID_RULE = "use lower-case letters, digits, '_' and '.'"
_ID_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789_.")


@dataclass(frozen=True)
class Source:
    """Where a format is defined, so that every figure can be checked."""

    title: str = ""
    edition: str = ""
    clause: str = ""
    url: str = ""


class Field(NamedTuple):
    """A field of a code: bits ``high`` down to ``low``, written ``high:low`` as in Verilog."""

    name: str
    high: int
    low: int

    @property
    def width(self) -> int:
        return self.high - self.low + 1

    @property
    def span(self) -> str:
        return f"{self.high}:{self.low}" if self.width > 1 else str(self.high)


def fields_of(*widths: tuple[str, int]) -> tuple[Field, ...]:
    """Fields side by side, the most significant first; empty ones are left out."""
    found, high = [], sum(width for _, width in widths) - 1
    for name, width in widths:
        if width:
            found.append(Field(name, high, high - width + 1))
            high -= width
    return tuple(found)


def is_identifier(text: str) -> bool:
    """Whether a format may have this id."""
    return bool(text) and not set(text) - _ID_CHARACTERS


def check_id(id: object) -> None:
    """Refuse what a format cannot be called; None stands for a name that is made.

    Raises FormatError.
    """
    if id is not None and not (isinstance(id, str) and is_identifier(id)):
        raise FormatError(f"{id!r} is not an id", hint=ID_RULE)


@dataclass(frozen=True, kw_only=True)
class Format:
    """What all formats share.

    Attributes
    ----------
    id : str
        The canonical name; ml_dtypes' where there is one.
    aliases : tuple of str
        Other unambiguous names.
    family : str
        The parametric family that made it, or "".
    default_policy : str
        The preset that ``encode`` follows when none is given.
    source : Source
    facts : mapping of str to str
        What the source itself prints, as exact strings; redundant on purpose, tests derive them again.
    """

    id: str
    aliases: tuple[str, ...] = ()
    family: str = ""
    summary: str = ""
    default_policy: str = "ieee"
    source: Source = field(default=Source(), compare=False)
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), compare=False, hash=False)

    @property
    def kind(self) -> str:
        """``"float"``, ``"integer"``, ``"fixed"``, ``"block"``, or what another kind calls itself."""
        raise TypeError(f"{type(self).__name__} is abstract: use FloatFormat or FixedFormat")

    @property
    def description(self) -> str:
        """The figures that tell formats of one name apart."""
        return self.summary

    def __str__(self) -> str:
        return self.id

    def __getstate__(self) -> dict[str, object]:
        """For pickle and copy: the fields alone, since what follows from them is kept in forms that neither takes."""
        return {item.name: getattr(self, item.name) for item in fields(self)} | {"facts": dict(self.facts)}

    def _require_common(self) -> None:
        """The types of the fields that every format has."""
        for name in ("id", "family", "summary", "default_policy"):
            value = getattr(self, name)
            self._require(isinstance(value, str), f"{name} = {value!r} is not a string")
        # Files and the functions of build.py take ids alone; here whatever a line of a file or of a report can hold.
        self._require(self.id.isprintable() and self.id.split() == [self.id], f"{self.id!r} is not an id", ID_RULE)
        names: object = self.aliases
        self._require(
            isinstance(names, tuple) and all(isinstance(name, str) for name in names),
            f"aliases = {names!r} is not a tuple of names",
            "a tuple of one name is written ('name',)",
        )

    def _require_integers(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(type(value) is int, f"{name} = {value!r} is not an integer")

    def _require_booleans(self, *names: str) -> None:
        for name in names:
            value = getattr(self, name)
            self._require(isinstance(value, bool), f"{name} = {value!r} is neither True nor False")

    def _require(self, condition: bool, what: str, hint: str = "") -> None:
        if not condition:
            raise FormatError(f"format {self.id!r}: {what}", hint=hint)
