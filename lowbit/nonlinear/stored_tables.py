"""Look-up tables that products build or ship, as data: never computed again through a host's libm.

A file holds decimal integers after ``//`` comments. ``tests/nonlinear`` computes each table again from exact
arithmetic, and ``tests/cross`` compares what comes out of it with the products.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from lowbit.errors import InputError

_FOLDER = Path(__file__).parent / "tables"


def stored_tables() -> list[str]:
    """The names of all tables."""
    return sorted(path.stem for path in _FOLDER.glob("*.txt"))


@cache
def stored_table(name: str) -> tuple[int, ...]:
    """The entries of a table.

    Raises InputError: there is no table of that name.
    """
    if name not in stored_tables():
        raise InputError(f"no stored table is called {name!r}", hint=f"one of: {', '.join(stored_tables())}")
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="ascii").splitlines()
    return tuple(int(entry) for line in lines if not line.startswith("//") for entry in line.split())
