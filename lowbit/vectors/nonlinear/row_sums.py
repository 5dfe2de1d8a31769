"""Rows of codes with a wanted sum of what the codes contribute to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping


def near_powers(
    parts: Mapping[int, int], high: int, length: int, distance: int, *, exact: bool = True
) -> Iterator[list[int]]:
    """Rows of a length whose sums are next to powers of two: the power itself, and ``distance`` sums below it.

    ``parts`` are what codes add to the sum when the row's maximum is ``high``, as for :func:`row_of_sum`.
    """
    cheapest = min(parts, key=lambda code: (parts[code], code))
    least = parts[high] + (length - 1) * parts[cheapest]
    most = parts[high] + (length - 1) * max(parts.values())
    for power in range(least.bit_length(), most.bit_length() + 1):
        for below in range(distance + 1):
            row = row_of_sum((1 << power) - below, parts, high, cheapest, length, exact=exact)
            if row is not None:
                yield row


def row_of_sum(
    target: int, parts: Mapping[int, int], high: int, cheapest: int, length: int, *, exact: bool = True
) -> list[int] | None:
    """A row of this sum with the largest code in it, found greedily; None if the greedy way misses it.

    ``target``: the wanted sum. ``parts``: code -> what it adds to the sum when the row's maximum is ``high``. ``high``
    and ``cheapest``: the maximum, and the code that adds least. ``length``: codes in the row. ``exact``: whether a sum
    a little below will not do.
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
