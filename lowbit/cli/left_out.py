"""What of a model's file was not measured, or not as it stands, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowbit.cli.terminal import Terminal, wrapped
from lowbit.printable import excerpt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowbit.files.selection import LeftOut

LISTED = 4
"""Tensors named for each reason; JSON and the plan's file have them all."""


def left_out_heading(left_out: Sequence[LeftOut]) -> str:
    """How many tensors are left as they are."""
    count, numbers = len(left_out), sum(item.size for item in left_out)
    return f"{count} tensor{'s' if count != 1 else ''} with {numbers:,} numbers left as they are"


def write_left_out(page: Terminal, left_out: Sequence[LeftOut], unscaled: Sequence[str] = ()) -> None:
    """A line for each reason, with the names."""
    groups: dict[str, list[str]] = {}
    for item in left_out:
        groups.setdefault(item.reason, []).append(item.name)
    if unscaled:
        reason = "8-bit floats without scales beside them are measured by the values that they hold"
        groups[reason] = list(unscaled)
    for reason, names in groups.items():
        more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
        listed = ", ".join(excerpt(name, quoted=False) for name in names[:LISTED])
        page.lines(f"  {line}" for line in wrapped(f"{reason}: {listed}{more}", page.columns, 2))
