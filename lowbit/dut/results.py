"""A device somewhere else: its answers to all cases in one file, in order, each row by row."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from lowbit.dut.code_files import read_results
from lowbit.format.scalar import Scalar
from lowbit.vectors.case import Array, Case


class ResultsFile:
    """Answers that were computed elsewhere; a masked array has those that were not written.

    ``result``: the format of a result; ``cases``: what was answered, in order.
    """

    def __init__(self, path: str, result: Scalar, cases: Sequence[Case]) -> None:
        self.name, self._result, self._cases = path, result, cases
        self._answers: dict[int, Array] = {}

    def open(self) -> None:
        """Read the file.

        Raises InputError: it cannot be read or is truncated; DeviceError: it holds another number of results.
        """
        self._read()

    def _read(self) -> None:
        count = sum(case.outputs for case in self._cases)
        rows = len(self._cases) == 1 and self._cases[0].has_rows
        beside = f" for {count} inputs" if rows else f"; the {len(self._cases)} cases have {count}"
        hint = (
            "results of all inputs in order, of a case row by row; inputs are those of --set, --n, --seed or --inputs"
        )
        results = read_results(self.name, self._result, count, beside=beside, hint=hint)
        end = 0
        for case in self._cases:
            start, end = end, end + case.outputs
            self._answers[id(case)] = results[start:end].reshape(case.shape)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._answers.clear()

    def run(self, case: Case) -> Array:
        """The results of one of the cases."""
        if not self._answers:
            self._read()
        return self._answers[id(case)]
