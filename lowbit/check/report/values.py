"""Values and alternatives as reports spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowbit.check.result import Example

NOT_WRITTEN = "not written"
"""What reports give for a result that a device's file has no word for, or one with unknown bits."""
NAMED_AT_MOST = 4
"""So many alternatives are told; the rest is counted."""


def got_words(example: Example) -> str:
    """The wrong result, and by how much it is wrong."""
    return NOT_WRITTEN if example.got is None else f"{example.got}, {example.got - example.expected:+d}"


def alternatives(words: Sequence[str], *, named: int = NAMED_AT_MOST) -> str:
    """``a``, ``a or b``, ``a, b or c``: each once, and how many more there are."""
    each = list(dict.fromkeys(words))
    if len(each) > named + 1:
        each = [*each[:named], f"one of {len(each) - named} more"]
    return " or ".join(filter(None, [", ".join(each[:-1]), each[-1]]))


def counted(words: Sequence[str], separator: str = ", ") -> str:
    """``a, b``; ``a, b, c and 2 more`` where there are many."""
    more = len(words) - NAMED_AT_MOST + 1
    rest = f" and {more} more" if more > 0 else ""
    return separator.join(words[: NAMED_AT_MOST - 1]) + rest


def listed(words: Sequence[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def spell(value: Any) -> str:
    """A choice as a word."""
    if isinstance(value, tuple):
        return "+".join(value) or "none"
    return str(value) if value not in ("", None) else "none"


def spell_values(values: Sequence[Any], asked: Any) -> str:
    """``16|24..32``, ``ieee|infinity``: runs of integers are drawn together, the one asked for stands apart."""
    if not all(type(value) is int for value in values):
        if len(values) > NAMED_AT_MOST:
            return f"any of {len(values)}"
        return "|".join(spell(value) for value in values)
    first = [asked] if asked in values else []
    runs: list[list[int]] = []
    for value in sorted(set(values) - set(first)):
        if runs and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return "|".join(
        [*map(str, first), *(f"{run[0]}..{run[-1]}" if len(run) > 2 else "|".join(map(str, run)) for run in runs)]
    )
