"""What wrong sums have in common where the order of the additions is not known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lowbit.check.comparison import Comparison
from lowbit.check.facts import Fact
from lowbit.check.gemm.rules import Magnitudes, problem_of

EXACT_BELOW = 1 << 24
"""Integers up to here are exact in binary32."""
INT32_ENDS = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True)
class SumsInBinary32(Fact):
    """Every result is a binary32 number or an end of int32, and all are right where no sum can pass 2^24."""

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so, and right results that are not such numbers are among those that differ."""
        got, expected = comparison.got[comparison.good], comparison.expected[comparison.wrong]
        single = (got.astype(np.float32).astype(np.int64) == got) | np.isin(got, INT32_ENDS)
        if not single.all() or (expected.astype(np.float32).astype(np.int64) == expected).all():
            return False
        return all(
            Magnitudes.of(problem_of(case)).bound > EXACT_BELOW
            for case, wrong in zip(comparison.cases, comparison.parts("wrong"), strict=True)
            if wrong.any()
        )
