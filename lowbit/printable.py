"""Text from elsewhere, fit to be shown: names of devices and files must not steer the reader's terminal."""

from __future__ import annotations

import unicodedata

SPELLED_OUT = frozenset({"Cc", "Cs"})
"""Unicode's categories of controls, with which escape sequences begin, and of surrogates, which no stream takes."""

LONGEST_EXCERPT = 60


def excerpt(text: str) -> str:
    """The text in quotes for a message; of a long one the beginning, and how long it is."""
    if len(text) <= LONGEST_EXCERPT:
        return repr(text)
    return f"{text[:LONGEST_EXCERPT]!r}... ({len(text):,} characters)"


def printable(text: str, *, line: bool = False) -> str:
    """The text with its control characters spelled out, but for line ends and tabs.

    A name or message from elsewhere must not colour, move or rename the reader's terminal.

    Parameters
    ----------
    text : str
    line : bool
        The text is part of a line: its line ends and tabs are spelled out as well.
    """
    kept = "" if line else "\n\t"
    return "".join(
        character if character in kept or unicodedata.category(character) not in SPELLED_OUT else _spelled(character)
        for character in text
    )


def _spelled(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")
