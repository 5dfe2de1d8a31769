"""What a flag of a vector is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """Why a row exists.

    Attributes
    ----------
    number : int
        The value in the last column of a ``.vec`` row.
    name : str
        Its name.
    catches : str
        The bug that such rows are made to catch.
    source : str
        Where the bug was seen or the rule is written.
    """

    number: int
    name: str
    catches: str
    source: str
