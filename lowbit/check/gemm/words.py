"""An accumulator in words: "accumulates in 16 bits, saturating each pair of products"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lowbit.policy.accumulator import Accumulator

COUNTED = {2: "pair", 4: "quadruple"}


def accumulator_words(accumulator: Accumulator, widths: str, *, everything: bool = False) -> str:
    """What a kernel with this accumulator does, to follow "your kernel".

    Parameters
    ----------
    widths : str
        The widths that the answers allow, as a range.
    everything : bool
        Whether compensated zero points are worth a word.
    """
    parts = []
    if accumulator.combine_width:
        how = "saturates" if accumulator.combine_overflow == "saturate" else "wraps"
        parts.append(f"{how} {_group(accumulator.combine)} to {accumulator.combine_width} bits")
    parts.append(f"accumulates in {widths} bits")
    how = "saturating" if accumulator.overflow == "saturate" else "wrapping"
    step = "" if accumulator.overflow == "wrap" or accumulator.combine_width else f" at {_group(accumulator.combine)}"
    parts.append(how + step)
    if accumulator.order == "pairwise":
        parts.append("adding pairwise, as a tree")
    elif accumulator.order == "blocked":
        parts.append(f"adding blocks of {accumulator.block} products")
    elif accumulator.order == "lanes":
        parts.append(f"adding in {accumulator.lanes} lanes ({accumulator.reduction} at the end)")
    if accumulator.spill_every:
        parts.append(f"spilling every {accumulator.spill_every} products into {accumulator.spill_width} bits")
    if accumulator.dropped_bits:
        parts.append(f"giving up the low {accumulator.dropped_bits} bits of each operand")
    if everything and accumulator.zero_points == "compensated":
        parts.append("correcting for zero points at the end")
    return ", ".join(parts)


def _group(combine: int) -> str:
    if combine == 1:
        return "each product"
    return f"each {COUNTED[combine]} of products" if combine in COUNTED else f"each sum of {combine} products"


def closest(survivors: Sequence[Accumulator], asked: Accumulator) -> Accumulator:
    """The survivor to put into words: the one asked for, else a named one, else what takes the fewest words."""

    def rank(item: Accumulator) -> tuple[Any, ...]:
        idle = Accumulator(width=item.width, overflow=item.overflow)
        plain = item.order == "sequential" and not item.spill_every
        return (item != asked, not item.name, not plain, len(item.differences(idle)), item.width)

    return min(survivors, key=rank)


def survivor_choices(survivors: Sequence[Accumulator], asked: Accumulator) -> dict[str, str]:
    """Axis -> the values that survive, for the axes that say something about any survivor."""
    live = {axis for item in survivors for axis in item.live_axes()} - {"operands", "bias", "zero_points"}
    values = {axis: [getattr(item, axis) for item in survivors] for axis in Accumulator.AXES if axis in live}
    return {axis: ranges(found, getattr(asked, axis)) for axis, found in values.items()}


def ranges(values: Sequence[Any], first: Any = None) -> str:
    """``16|24..32|saturate``: the different values, ``first`` apart, runs of integers drawn together."""
    if first in values and set(values) != {first}:
        return f"{first}|{ranges([value for value in values if value != first])}"
    distinct = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    runs: list[list[Any]] = []
    for value in distinct:
        if runs and isinstance(value, int) and isinstance(runs[-1][-1], int) and value == runs[-1][-1] + 1:
            runs[-1].append(value)
        else:
            runs.append([value])
    return "|".join(f"{run[0]}..{run[-1]}" if len(run) > 2 else "|".join(map(str, run)) for run in runs)
