"""Runs an oracle in unlimited integers and writes down what every intermediate was."""

from __future__ import annotations

from lowbit.nonlinear.widths import Widths
from lowbit.oracle.nonlinear.steps import Steps


class Recorder(Steps):
    """Steps without an overflow rule: values pass as they are, and are remembered.

    Attributes
    ----------
    values : dict
        Name -> the values it had, in the order in which they arose.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__(widths, "trap")
        self.values: dict[str, list[int]] = {}

    def __call__(self, name: str, value: int) -> int:
        """Note the value and return it."""
        self.widths.index(name)
        self.values.setdefault(name, []).append(value)
        return value

    def overflows(self) -> dict[str, int]:
        """The intermediates that left their width -> the first value that did."""
        found = {}
        for name, values in self.values.items():
            step = self.widths[name]
            beyond = next((value for value in values if not step.holds(value)), None)
            if beyond is not None:
                found[name] = beyond
        return found
