"""A device somewhere else: its answers to all cases in one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from lowbit.dut.code_files import read_results
from lowbit.format.scalar import Scalar
from lowbit.vectors.case import Array, Case


class Results(ABC):
    """Answers that were computed elsewhere.

    ``cases``: what was answered.
    """

    def __init__(self, path: str, cases: Sequence[Case]) -> None:
        self.name, self._cases = path, cases
        self._answers: dict[int, Array] = {}

    def open(self) -> None:
        """Read the file now, so that a bad one is noticed before any work."""
        self._read()

    @abstractmethod
    def _read(self) -> None:
        """Read the file into ``_answers``."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._answers.clear()

    def run(self, case: Case) -> Array:
        """The results of one of the cases."""
        if not self._answers:
            self._read()
        return self._answers[id(case)]


class ResultsFile(Results):
    """The results of all cases in order, each row by row; a masked array has those that were not written.

    ``result``: the format of a result.
    """

    def __init__(self, path: str, result: Scalar, cases: Sequence[Case]) -> None:
        super().__init__(path, cases)
        self._result = result

    def _read(self) -> None:
        """Read the file.

        Raises InputError: it cannot be read or is truncated; DeviceError: it holds another number of results.
        """
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
