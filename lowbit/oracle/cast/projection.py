"""What a projection returns: the code, and why it is that one."""

from __future__ import annotations

from dataclasses import dataclass

from lowbit.exact import Exact

INVALID, DIVIDE_BY_ZERO, OVERFLOW, UNDERFLOW, INEXACT = 16, 8, 4, 2, 1
"""The exception flags in the order of RISC-V's fflags: NV DZ OF UF NX."""

FLAG_NAMES = {INVALID: "NV", DIVIDE_BY_ZERO: "DZ", OVERFLOW: "OF", UNDERFLOW: "UF", INEXACT: "NX"}


@dataclass(frozen=True, slots=True)
class Projection:
    """The code that a value was projected to."""

    code: int  # of the target format; a signed value for an integer or fixed-point format
    flags: int  # the exceptions raised, NV=16 DZ=8 OF=4 UF=2 NX=1
    # lower, upper: the neighbours of a finite value in the target's set of values: ``lower <= value <= upper``, both
    # equal to the value where it is in the set. An infinity counts where the target has it; None where nothing is on
    # that side. Both None for an infinity or a NaN.
    lower: Exact | None
    upper: Exact | None
    rule: str  # which rule decided, in words
    saturated: bool = False  # whether an infinity, or a finite value beyond the range, came out as the end of the range


def flag_names(flags: int) -> str:
    """``"OF NX"`` for 5, ``""`` for none."""
    return " ".join(name for bit, name in FLAG_NAMES.items() if flags & bit)
