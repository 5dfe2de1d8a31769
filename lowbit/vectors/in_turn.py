"""Rows of several sources, each source in turn."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Row = TypeVar("Row")


def in_turn(sources: Iterable[Iterator[Row]], count: int, key: Callable[[Row], bytes]) -> list[Row]:
    """The first rows of every source, one of each in turn, until there are ``count``; rows of one key come once."""
    left = list(sources)
    rows: dict[bytes, Row] = {}
    while left and len(rows) < count:
        for source in list(left):
            row = next(source, None)
            if row is None:
                left.remove(source)
            elif len(rows) < count:
                rows.setdefault(key(row), row)
    return list(rows.values())
