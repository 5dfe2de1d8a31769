"""Runs an oracle in unlimited integers and writes down what every intermediate was."""

from __future__ import annotations

from lowbit.nonlinear.widths import Widths
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.proof.span import Span, span_of


class Recorder(Steps):
    """Steps without an overflow rule: values pass as they are, and are remembered.

    ``values``: name -> the values it had, in the order in which they arose; in the order of the widths.
    """

    def __init__(self, widths: Widths) -> None:
        super().__init__(widths, "trap")
        self.values: dict[str, list[int]] = {step.name: [] for step in widths.steps}

    def __call__(self, name: str, value: int) -> int:
        """Note the value and return it."""
        self.values[name].append(value)
        return value

    def spans(self, *names: str) -> dict[str, Span]:
        """The range of each of these intermediates, or of all, that have arisen."""
        return {name: span_of(self.values[name]) for name in names or self.values if self.values.get(name)}

    def overflows(self) -> dict[str, int]:
        """The intermediates that left their width -> the first value that did."""
        beyond = {}
        for name, (low, high) in self.limits.items():
            outside = next((value for value in self.values[name] if not low <= value <= high), None)
            if outside is not None:
                beyond[name] = outside
        return beyond
