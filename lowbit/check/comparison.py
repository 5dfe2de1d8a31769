"""Bit for bit, answer against answer: which results differ, and which are not results at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from lowbit.check.operation import Operation, Rule
from lowbit.check.stray import output_numbers, stray_answers
from lowbit.vectors.case import Array, Case

Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a device answered beside what it should have answered: all answers of all cases in a row."""

    operation: Operation
    cases: Sequence[Case]
    # expected, got: by the reference, and what the device gave: results, or what is none (``lowbit.check.stray``); any
    # number where it gave nothing
    expected: Array
    got: Array
    # unwritten, stray, wrong: which answers were not written, cannot be results, or differ (as those do, too)
    unwritten: Mask
    stray: Mask
    wrong: Mask

    def __len__(self) -> int:
        return len(self.expected)

    @cached_property
    def good(self) -> Mask:
        """Which answers are there and can be results."""
        return ~(self.stray | self.unwritten)

    @cached_property
    def differences(self) -> int:
        """How many answers differ."""
        return int(np.count_nonzero(self.wrong))

    @cached_property
    def output_numbers(self) -> NDArray[np.uint8]:
        """Which of the kernel's results each answer belongs to."""
        return output_numbers(self.operation.prototype, self.cases)

    @cached_property
    def _starts(self) -> list[int]:
        return list(accumulate((case.outputs for case in self.cases), initial=0))

    def part(self, name: str, index: int) -> Array:
        """The part of an attribute that belongs to a case, in the case's shape."""
        flat: Array = getattr(self, name)
        return flat[self._starts[index] : self._starts[index + 1]].reshape(self.cases[index].shape)

    def parts(self, name: str) -> list[Array]:
        """``part`` of every case."""
        return [self.part(name, index) for index in range(len(self.cases))]

    def by_worth(self) -> list[int]:
        """The cases by what they rule out: the wrong ones first, of these the smallest."""
        right = [not mask.any() for mask in self.parts("wrong")]
        return sorted(range(len(right)), key=lambda index: (right[index], self.cases[index].outputs))

    def case_numbers(self, rows: Rows) -> Rows:
        """The case that each answer belongs to."""
        return np.searchsorted(self._starts, rows, side="right") - 1

    def place(self, row: int) -> tuple[int, tuple[int, ...]]:
        """The case that an answer belongs to, and where it is in it."""
        index = int(self.case_numbers(np.array([row]))[0])
        inside = np.unravel_index(row - self._starts[index], self.cases[index].shape)
        return index, tuple(int(axis) for axis in inside)

    def operand(self, name: str) -> Array:
        """An operand of every case, joined."""
        arrays = [case.arrays[name].reshape(-1) for case in self.cases]
        return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

    def by_rule(self, rule: Rule, rows: Rows) -> Array:
        """What a rule gives for some of the answers, which are in order."""
        bounds = np.searchsorted(rows, self._starts)
        results = []
        for index, case in enumerate(self.cases):
            inside = rows[bounds[index] : bounds[index + 1]]
            if len(inside):
                results.append(rule.run(case).reshape(-1)[inside - self._starts[index]])
        return np.concatenate(results) if results else np.zeros(0, np.int64)


def compare(
    operation: Operation, cases: Sequence[Case], answers: Sequence[Array], expected: Sequence[Array]
) -> Comparison:
    """Compare answers, masked arrays where some were not written, with what the reference gives."""
    got = _joined([np.ma.getdata(answer) for answer in answers])
    unwritten = _joined([np.ma.getmaskarray(answer) for answer in answers])
    right = _joined(expected)
    wrong = operation.differing(right, got) | unwritten
    stray = stray_answers(got, operation.prototype, cases) & ~unwritten
    return Comparison(operation, cases, right, got, unwritten, stray, wrong)


def _joined(arrays: Sequence[Array]) -> Array:
    flat = [np.asarray(array).reshape(-1) for array in arrays]
    return flat[0] if len(flat) == 1 else np.concatenate(flat)
