"""What a flag of a vector is."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Flag:
    """Why a row exists."""

    number: int  # the value in the last column of a ``.vec`` row
    name: str
    catches: str  # the bug that such rows are made to catch
    source: str  # where the bug was seen or the rule is written
    bugs: tuple[str, ...] = ()  # ids of the hypotheses of ``lowbit.check`` that such rows are made to catch
