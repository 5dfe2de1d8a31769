"""The one way of a check: cases to a device, its answers beside the reference's, the verdict, claims and examples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.check.claims import Claim, Follows, beside_results
from lowbit.check.comparison import Comparison, Rows, compare
from lowbit.check.known import KnownDifference, explain_known
from lowbit.check.operation import Group, Operation
from lowbit.check.result import KNOWN, MISMATCH, PASS, CheckResult, Example, GroupResult
from lowbit.dut.device import Device
from lowbit.vectors.case import Array, Case

Progress = Callable[[int, int], None]
"""Called with the cases or rows done, and the differences found so far."""


def unseen(done: int, differences: int) -> None:
    """Progress that nobody looks at."""
    del done, differences


def check(
    device: Device, operation: Operation, cases: Sequence[Case], *, progress: Progress = unseen, **settings: Any
) -> CheckResult:
    """Run a device on cases and compare; the settings are those of ``conclude``."""
    return conclude(device.name, answered(device, operation, cases, progress), **settings)


def answered(device: Device, operation: Operation, cases: Sequence[Case], progress: Progress = unseen) -> Comparison:
    """What a device answers, beside the reference."""
    expected: list[Array] = []
    answers: list[Array] = []
    wrong = 0
    for number, case in enumerate(cases, 1):
        answers.append(operation.canonical(case, np.asanyarray(device.run(case))))
        expected.append(operation.expected(case))
        wrong += int(np.ma.filled(answers[-1] != expected[-1], True).sum())
        progress(number, wrong)
    return compare(operation, cases, answers, expected)


def conclude(
    name: str,
    comparison: Comparison,
    *,
    version: str = "",
    option: str = "",
    known: Sequence[KnownDifference] = (),
    max_errors: int = 1,
) -> CheckResult:
    """Decide the verdict and, where there are differences that are not published, find out what the kernel does.

    ``name``, ``version`` and ``option``: the kernel. ``known``: the published differences that speak of it.
    ``max_errors``: examples of each group.
    """
    facts: dict[str, Any] = {
        "kernel": name,
        "version": version,
        "option": option,
        "operation": comparison.operation,
        "vectors": len(comparison),
        "differences": comparison.differences,
    }
    if not comparison.differences:
        return CheckResult(**facts, verdict=PASS)
    used, left = explain_known(comparison, known)
    if not len(left):
        return CheckResult(**facts, verdict=KNOWN, known=used)
    operation = comparison.operation
    claims = list(operation.identify(comparison)) if comparison.good.any() else []
    claims += beside_results(comparison, claims)
    followed = np.zeros(len(comparison), dtype=bool)
    for claim in claims:
        if isinstance(claim, Follows):
            followed[claim.rows] = True
    case, index = comparison.place(int(left[0]))
    return CheckResult(
        **facts,
        verdict=MISMATCH,
        known=used,
        claims=claims,
        groups=[_group(group, comparison, claims, followed, max_errors) for group in operation.groups(comparison)],
        command=operation.command(comparison.cases[case], index),
    )


def _group(
    group: Group, comparison: Comparison, claims: Sequence[Claim], followed: npt.NDArray[np.bool_], max_errors: int
) -> GroupResult:
    examples = [_example(comparison, row, claims) for row in _shown(comparison, group.rows)[:max_errors].tolist()]
    left = int(np.count_nonzero(~followed[group.rows]))
    return GroupResult(group.name, group.catches, len(group.rows), group.total, examples, left)


def _shown(comparison: Comparison, rows: Rows) -> Rows:
    """Every row of a conversion; the first wrong result of each other case."""
    if comparison.cases[0].has_rows:
        return rows
    return rows[np.unique(comparison.case_numbers(rows), return_index=True)[1]]


def _example(comparison: Comparison, row: int, claims: Sequence[Claim]) -> Example:
    number, index = comparison.place(row)
    case, expected = comparison.cases[number], int(comparison.expected[row])
    got = None if comparison.unwritten[row] else int(comparison.got[row])
    return Example(case, index, expected, got, comparison.operation.detail_of_wrong(case, index, expected, got, claims))
