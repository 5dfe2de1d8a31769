"""The intermediates that lead the reference to a result."""

from __future__ import annotations

from lowbit.errors import LowbitError
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity


class _Trace(Steps):
    """Notes the intermediates of one element, and those of its whole row."""

    def __init__(self, made: Nonlinearity, element: int) -> None:
        super().__init__(made.widths, "wrap")
        self.wanted = element
        self.seen: dict[str, int] = {}

    def __call__(self, name: str, value: int) -> int:
        result = super().__call__(name, value)
        if self.element in (self.wanted, -1) or name in ("sum", "sum_of_squares"):
            self.seen[name] = result
        return result


def intermediates(made: Nonlinearity, case: Case, codes: Array, element: int) -> dict[str, int]:
    """Name -> value of all but the result, in order; nothing where the scheme refuses the row."""
    trace = _Trace(made, element)
    operands = {name: array.tolist() for name, array in case.arrays.items() if name != "codes"}
    try:
        made.by_oracle(codes.tolist(), operands, trace)
    except (LowbitError, ValueError, IndexError):
        return {}
    return {step.name: trace.seen[step.name] for step in made.widths.steps[:-1] if step.name in trace.seen}
