"""A kernel somewhere else: the results of all cases in one file, in order, each row by row.

The forms are those of ``lowbit.dut.files``; the cases are written by ``lowbit gen``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lowbit.dut.files import read_results
from lowbit.format.scalar import Scalar
from lowbit.vectors.case import Array, Case


class CaseFile:
    """Answers that were computed elsewhere.

    Parameters
    ----------
    path : str
    result : Scalar
        The format of a result.
    cases : sequence of Case
        What was answered, in order.
    """

    def __init__(self, path: str, result: Scalar, cases: Sequence[Case]) -> None:
        self.name = path
        counts = [case.outputs for case in cases]
        results = read_results(
            path,
            result,
            sum(counts),
            beside=f"; the {len(cases)} cases have {sum(counts)}",
            hint="results of all cases in order, each row by row; the same --set, --n and --seed as the inputs",
        )
        ends = np.cumsum(counts)
        self._answers = {
            id(case): results[end - count : end].astype(np.int64).reshape(case.shape)
            for case, end, count in zip(cases, ends, counts, strict=True)
        }

    def run(self, case: Case) -> Array:
        """The results of one of the cases; a masked array where some were not written."""
        return self._answers[id(case)]
