"""How text reaches the terminal: colour, box characters, plain columns. Standard library only, so it starts fast."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from argparse import Namespace
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TextIO

from lowbit._version import __version__
from lowbit.printable import columns

STYLES = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
"""Style -> its number in an ANSI SGR sequence (ECMA-48 8.3.117)."""

FIELD_STYLES = {
    "sign": "red",
    "exponent": "green",
    "mantissa": "blue",
    "integer": "green",
    "fraction": "blue",
    "code": "blue",
}
"""The colour of each bit field, the same wherever bits are shown."""


WIDEST, NARROWEST = 100, 40
"""Prose is wrapped between these widths."""


class Terminal:
    """Where a verb writes: one stream and whether it takes colour.

    ``mode``: ``auto`` colours a terminal unless ``NO_COLOR`` is set (https://no-color.org) or ``TERM`` is ``dumb``;
    ``stream``: standard output unless given.
    """

    def __init__(self, mode: str = "auto", stream: TextIO | None = None) -> None:
        self.stream = sys.stdout if stream is None else stream
        self.color = mode == "always" or (mode == "auto" and takes_color(self.stream))

    def paint(self, text: str, *styles: str) -> str:
        """The text in these styles, or as it is where colour is off."""
        if not self.color or not styles or not text:
            return text
        return f"\x1b[{';'.join(STYLES[style] for style in styles)}m{text}\x1b[0m"

    def write(self, text: str = "") -> None:
        """Write a line."""
        self.stream.write(text.rstrip() + "\n")

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def table(self, rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> None:
        """Write rows in columns, the first of them as the heads."""
        head, *lines = columns(rows, right=right)
        self.lines([self.paint(head, "bold"), *lines])

    @property
    def room(self) -> int | None:
        """How wide the terminal is, or what ``COLUMNS`` says; None for a file or a pipe, where all has room."""
        if not (os.environ.get("COLUMNS") or (hasattr(self.stream, "isatty") and self.stream.isatty())):
            return None
        return max(NARROWEST, shutil.get_terminal_size((WIDEST, 24)).columns)

    @property
    def columns(self) -> int:
        """How wide a line of prose may be: at most 100 columns."""
        return min(WIDEST, self.room or WIDEST)

    @property
    def boxes(self) -> bool:
        """Whether the stream's encoding has the box-drawing characters."""
        try:
            "┌─┬┐│└┴┘".encode(getattr(self.stream, "encoding", None) or "ascii")
        except (LookupError, UnicodeEncodeError):
            return False
        return True


def takes_color(stream: TextIO) -> bool:
    """Whether a stream is a terminal that wants colour."""
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return False
    return hasattr(stream, "isatty") and stream.isatty()


def terminal(arguments: Namespace) -> Terminal:
    """Standard output under the ``--color`` of the command line."""
    return Terminal(getattr(arguments, "color", "auto"))


def add_output_format(parser: Any, forms: Sequence[str] = ("text", "json")) -> None:
    """``--output-format``: in which form a verb prints."""
    parser.add_argument("--output-format", choices=forms, default="text", help="form of the output (default: text)")


def print_document(document: Mapping[str, Any], schema: str = "", **settings: Any) -> None:
    """Write JSON to standard output; one with a schema begins with that and the version of lowbit."""
    print(json.dumps(headed(document, schema), **{"indent": 2, **settings}))


def headed(document: Mapping[str, Any], schema: str) -> dict[str, Any]:
    """A document that begins with its schema and the version of lowbit, if it has a schema."""
    return {"schema": schema, "lowbit": __version__, **document} if schema else {**document}


def wrapped(text: str, width: int, indent: int = 0) -> list[str]:
    """The lines of a text that stands ``indent`` columns from the left."""
    return textwrap.wrap(text, max(NARROWEST // 2, width - indent), break_on_hyphens=False, break_long_words=False)


def fitting(rows: Sequence[Sequence[str]], room: int | None) -> tuple[list[Sequence[str]], list[str]]:
    """A table without the last columns that a terminal has no room for, and the heads of these."""
    widths = [max(map(len, column)) + 2 for column in zip(*rows, strict=True)]
    kept = len(widths)
    while room is not None and kept > 1 and sum(widths[:kept]) - 2 > room:
        kept -= 1
    return [row[:kept] for row in rows], list(rows[0][kept:])
