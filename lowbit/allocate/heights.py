"""How many bits a choice stands for, for tables and pictures."""

from __future__ import annotations

import re
from functools import cache

from lowbit.errors import LowbitError


@cache
def bits_of(choice: str) -> float | None:
    """The bits of a number format, or the first number in another name (``w4a8`` -> 4); None without one."""
    from lowbit.format.registry import get_format

    try:
        return float(getattr(get_format(choice), "bits"))  # noqa: B009 (block formats have none)
    except (LowbitError, AttributeError):
        number = re.search(r"[0-9]+(?:\.[0-9]+)?", choice)
        return float(number.group()) if number else None
