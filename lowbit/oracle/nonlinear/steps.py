"""The declared width of every intermediate, applied: the oracle passes each value through here."""

from __future__ import annotations

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.widths import OVERFLOWS, Widths


class Steps:
    """Applies the overflow rule of a scheme to each intermediate, and remembers the range that each took.

    Parameters
    ----------
    widths : Widths
    overflow : {"wrap", "saturate", "trap"}

    Attributes
    ----------
    ranges : dict
        Name -> (smallest, largest) value that the intermediate had before the overflow rule.
    row, element : int
        Where the computation is, for the report of a trap; -1 for a quantity of the whole row.
    """

    def __init__(self, widths: Widths, overflow: str = "wrap") -> None:
        if overflow not in OVERFLOWS:
            raise InputError(f"unknown overflow: {overflow!r}", hint=f"one of: {', '.join(OVERFLOWS)}")
        self.widths = widths
        self.overflow = overflow
        self.ranges: dict[str, tuple[int, int]] = {}
        self.row = 0
        self.element = -1

    def __call__(self, name: str, value: int) -> int:
        """The intermediate after the overflow rule."""
        step = self.widths[name]
        low, high = self.ranges.get(name, (value, value))
        self.ranges[name] = (min(low, value), max(high, value))
        if step.holds(value):
            return value
        if self.overflow == "saturate":
            return step.low if value < step.low else step.high
        if self.overflow == "wrap":
            return step.wrapped(value)
        raise IntermediateOverflowError(
            f"{self.widths.operation} under {self.widths.scheme}: {name} is {value} and does not fit {step.bits} bits",
            row=self.row,
            element=self.element,
            name=name,
            value=value,
            bits=step.bits,
        )

    def divisor(self, name: str, value: int) -> int:
        """A divisor that has passed its step; wrapping can make it zero, which no scheme defines."""
        if value == 0:
            raise InputError(f"row {self.row}: {name} wrapped to 0 and is divided by", hint="overflow='saturate'")
        return value
