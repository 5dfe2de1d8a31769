"""Text from elsewhere, fit to be shown: names of devices and files must not steer the reader's terminal."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Sequence

SPELLED_OUT = frozenset({"Cc", "Cs"})
"""Unicode's categories of controls, with which escape sequences begin, and of surrogates, which no stream takes."""

LONGEST_EXCERPT = 100


LONGEST_MESSAGE = 4_000
"""Characters of a message: what somebody else has written is all that makes one longer."""


def excerpt(text: str, *, quoted: bool = True) -> str:
    """The text for a message or a table; of a long one the beginning, and how long it is.

    ``quoted``: in quotes, as Python writes it; else as part of a line, its controls and line ends spelled out.
    """
    start = repr(text[:LONGEST_EXCERPT]) if quoted else printable(text[:LONGEST_EXCERPT], line=True)
    return start if len(text) <= LONGEST_EXCERPT else f"{start}... ({len(text):,} characters)"


def shortened(message: str) -> str:
    """The message; of one that is far too long the beginning and the end."""
    left_out = len(message) - LONGEST_MESSAGE
    if left_out <= 0:
        return message
    half = LONGEST_MESSAGE // 2
    return f"{message[:half]} ... ({left_out:,} characters left out) ... {message[-half:]}"


def printable(text: str, *, line: bool = False) -> str:
    """The text with its control characters spelled out, but for line ends and tabs.

    A name or message from elsewhere must not colour, move or rename the reader's terminal.

    ``line``: the text is part of a line: its line ends and tabs are spelled out as well.
    """
    kept = "" if line else "\n\t"
    return "".join(
        character if character in kept or unicodedata.category(character) not in SPELLED_OUT else _spelled(character)
        for character in text
    )


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def counted(count: int, noun: str) -> str:
    """A number of things: ``1 layer``, ``1,024 layers``."""
    return f"{count:,} {noun}{'s' * (count != 1)}"


def first_names(names: Sequence[str], most: int) -> str:
    """So many names that somebody else gave, as part of a line: ``a, b and 3 more``."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(excerpt(name, quoted=False) for name in names[:most]) + more


def columns(rows: Iterable[Sequence[str]], *, right: Collection[int] = ()) -> list[str]:
    """Lay rows of cells out in columns as wide as their widest cell; the columns in ``right`` are right-aligned."""
    table = [list(row) for row in rows]
    if not table:
        return []
    widths = [max(len(row[index]) for row in table) for index in range(len(table[0]))]
    return [
        "  ".join(
            cell.rjust(width) if index in right else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
