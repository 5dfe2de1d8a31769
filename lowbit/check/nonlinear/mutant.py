"""A bug of a nonlinearity, and the oracle with one intermediate computed in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lowbit.check import operation
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity

LONGEST_SHIFT = 1 << 12
"""To the left, which no kernel exceeds: an unsigned difference of 32 bits makes numbers of a gigabit of it."""


class Mutant(Steps):
    """Steps of the oracle with some of them changed.

    ``codes``: the row; ``everything``: all codes of the call; ``last``: name -> the value that the intermediate had
    last.
    """

    def __init__(
        self, nonlinearity: Nonlinearity, changes: Mapping[str, Change], codes: list[int], everything: list[int]
    ) -> None:
        super().__init__(nonlinearity.widths, "wrap")
        self.changes, self.codes, self.everything = changes, codes, everything
        self.last: dict[str, int] = {}

    @property
    def code(self) -> int:
        """The code of the element."""
        return self.codes[self.element]

    def __call__(self, name: str, value: int) -> int:
        """The intermediate, changed if the bug is there, within its width."""
        change = self.changes.get(name)
        result = super().__call__(name, value if change is None else change(value, self))
        if name.startswith("quotient") and result < -LONGEST_SHIFT:
            raise OverflowError(f"{name} is {result}, and a number is shifted left by as much")
        self.last[name] = result
        return result


Change = Callable[[int, Mutant], int]
Compute = Callable[[Nonlinearity, FixedFormat, Case], Array]


@dataclass(frozen=True)
class Bug(operation.Bug):
    """A bug of a nonlinearity."""

    run: Compute  # (nonlinearity, result format, case) -> the results


def mutant(name: str, words: str, changes: Mapping[str, Change]) -> Bug:
    """A bug in intermediates, run by the oracle."""

    def run(made: Nonlinearity, target: FixedFormat, case: Case) -> Array:
        del target
        codes = case.arrays["codes"]
        rows = codes.reshape(-1, codes.shape[-1]).tolist()
        operands = {key: array.tolist() for key, array in case.arrays.items() if key != "codes"}
        everything = codes.reshape(-1).tolist()
        results = [made.by_oracle(row, operands, Mutant(made, changes, row, everything)) for row in rows]
        return np.array(results, np.int64).reshape(case.shape)

    return Bug(name, words, run)
