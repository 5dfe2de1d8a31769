"""The declared width of every intermediate, applied: the oracle passes each value through here."""

from __future__ import annotations

from collections.abc import Callable

from lowbit.errors import InputError, IntermediateOverflowError
from lowbit.nonlinear.widths import OVERFLOWS, Widths


class Steps:
    """Applies the overflow rule of a scheme to each intermediate.

    ``limits``: name -> the smallest and largest value that fits; ``row`` and ``element``: where the computation is, for
    the report of a trap; -1 for a quantity of the whole row.
    """

    def __init__(self, widths: Widths, overflow: str = "wrap") -> None:
        if overflow not in OVERFLOWS:
            raise InputError(f"unknown overflow: {overflow!r}", hint=f"one of: {', '.join(OVERFLOWS)}")
        self.widths = widths
        self.overflow = overflow
        self.limits = {step.name: (step.low, step.high) for step in widths.steps}
        self.row = 0
        self.element = -1

    def __call__(self, name: str, value: int) -> int:
        """The intermediate after the overflow rule."""
        low, high = self.limits[name]
        if low <= value <= high:
            return value
        if self.overflow == "saturate":
            return low if value < low else high
        if self.overflow == "wrap":
            return (value - low) % (high - low + 1) + low
        step = self.widths[name]
        raise IntermediateOverflowError(
            f"{self.widths.operation} under {self.widths.scheme}: {name} is {value} and does not fit {step.bits} bits",
            row=self.row,
            element=self.element,
            name=name,
            value=value,
            bits=step.bits,
        )

    def each(self, row: list[int], function: Callable[[int], int]) -> list[int]:
        """A function of single codes over a row, its last intermediate being the result."""
        results = []
        for self.element, code in enumerate(row):
            results.append(function(code))
        return results

    def summed(self, codes: list[int], part: Callable[[int], int]) -> tuple[list[int], int]:
        """What each code of a row adds to the intermediate ``sum``, and that sum."""
        parts, total = [], 0
        for self.element, code in enumerate(codes):
            parts.append(part(code))
            total = self("sum", total + parts[-1])
        self.element = -1
        return parts, total

    def divisor(self, name: str, value: int) -> int:
        """A divisor that has passed its step; wrapping can make it zero, which no scheme defines."""
        if value == 0:
            raise InputError(f"row {self.row}: {name} wrapped to 0 and is divided by", hint="overflow='saturate'")
        return value
