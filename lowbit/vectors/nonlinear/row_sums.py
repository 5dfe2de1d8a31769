"""Rows of codes with a wanted sum of what the codes contribute to it."""

from __future__ import annotations

from collections.abc import Mapping


def row_of_sum(
    target: int, parts: Mapping[int, int], high: int, cheapest: int, length: int, *, exact: bool = True
) -> list[int] | None:
    """A row of this sum with the largest code in it, found greedily; None if the greedy way misses it.

    Parameters
    ----------
    target : int
        The wanted sum.
    parts : mapping of int to int
        Code -> what it adds to the sum when the row's maximum is ``high``.
    high, cheapest : int
        The maximum, and the code that adds least.
    length : int
        Codes in the row.
    exact : bool
        Whether a sum a little below will not do.
    """
    floor = parts[cheapest]
    missing = target - parts[high] - (length - 1) * floor
    if missing < 0:
        return None
    row = [high]
    for code in sorted(parts, key=lambda code: -parts[code]):
        gain = parts[code] - floor
        if gain <= 0:
            break
        count = min(missing // gain, length - len(row))
        row += [code] * count
        missing -= count * gain
    return row + [cheapest] * (length - len(row)) if missing == 0 or not exact else None
