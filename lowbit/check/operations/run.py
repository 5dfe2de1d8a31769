"""Check one kernel of an operation with several operands: run its cases, compare, identify, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np

from lowbit.check.operations.operation import Identification, Operation
from lowbit.check.result import MISMATCH, PASS, CheckResult, Example, GroupResult
from lowbit.vectors.case import Array, Case
from lowbit.vectors.flags import FLAGS

Progress = Callable[[int, int], None]


class Kernel(Protocol):
    """What runs cases: a device, or a library."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def run(self, case: Case) -> Array:
        """The results of a case."""
        ...


def unseen(done: int, differences: int) -> None:
    """Progress that nobody looks at."""
    del done, differences


def check_kernel(
    kernel: Kernel,
    operation: Operation,
    cases: Sequence[Case],
    *,
    version: str = "",
    option: str = "",
    max_errors: int = 3,
    progress: Progress = unseen,
) -> CheckResult:
    """Run a kernel on cases and compare."""
    expected: list[Array] = []
    got: list[Array] = []
    wrong = 0
    for number, case in enumerate(cases, 1):
        expected.append(operation.expected(case))
        got.append(np.asarray(kernel.run(case)))
        wrong += int(np.count_nonzero(expected[-1] != got[-1]))
        progress(number, wrong)
    return conclude_kernel(
        kernel.name, operation, cases, expected, got, version=version, option=option, max_errors=max_errors
    )


def conclude_kernel(
    name: str,
    operation: Operation,
    cases: Sequence[Case],
    expected: Sequence[Array],
    got: Sequence[Array],
    *,
    version: str = "",
    option: str = "",
    max_errors: int = 3,
) -> CheckResult:
    """The verdict and, where answers differ, what the kernel does instead."""
    differences = [int(np.count_nonzero(want != answer)) for want, answer in zip(expected, got, strict=True)]
    facts: dict[str, Any] = {
        "kernel": name,
        "version": version,
        "option": option,
        "source": operation.source,
        "target": operation.target,
        "policy": operation.rule_name,
        "vectors": sum(case.outputs for case in cases),
        "differences": sum(differences),
    }
    if not sum(differences):
        return CheckResult(**facts, verdict=PASS)
    found = operation.identify(cases, got)
    first = next(case for case, count in zip(cases, differences, strict=True) if count)
    return CheckResult(
        **facts,
        verdict=MISMATCH,
        words=found.words,
        hint="" if version else _hint(operation, facts["differences"], facts["vectors"], found),
        complete=bool(found.survivors),
        choices=dict(found.choices),
        asked=dict(found.asked),
        groups=_groups(operation, cases, expected, got, found, max_errors),
        command=operation.command(first),
    )


def _hint(operation: Operation, differences: int, vectors: int, found: Identification) -> str:
    if found.survivors or differences * 2 <= vectors:
        return ""
    return f"more than half of the results differ: a C function has to be {operation.prototype.c('f')}"


def _groups(
    operation: Operation,
    cases: Sequence[Case],
    expected: Sequence[Array],
    got: Sequence[Array],
    found: Identification,
    max_errors: int,
) -> list[GroupResult]:
    groups = []
    for flag in dict.fromkeys(case.flag for case in cases):
        members = [index for index, case in enumerate(cases) if case.flag == flag]
        wrong = [index for index in members if (expected[index] != got[index]).any()]
        if not wrong:
            continue
        total = sum(cases[index].outputs for index in members)
        count = sum(int(np.count_nonzero(expected[index] != got[index])) for index in wrong)
        examples = [
            _example(operation, cases[index], expected[index], got[index], found) for index in wrong[:max_errors]
        ]
        groups.append(GroupResult(FLAGS[flag].name, FLAGS[flag].catches, count, total, examples))
    return sorted(groups, key=lambda group: -group.differences)


def _example(operation: Operation, case: Case, expected: Array, got: Array, found: Identification) -> Example:
    """The first wrong result of a case."""
    index = tuple(int(axis[0]) for axis in np.nonzero(expected != got))
    want, answer = int(expected[index]), int(got[index])
    text = operation.explain(case, index, want, answer, found)
    place = f"{case.name}[{','.join(map(str, index))}]"
    return Example(place, _hexadecimal(want, operation.result_bits), _hexadecimal(answer, operation.result_bits), text)


def _hexadecimal(value: int, bits: int) -> str:
    """Two's complement of the result's width, or of 64 bits where the value does not fit."""
    width = bits if -(1 << (bits - 1)) <= value < 1 << bits else 64
    return f"{value & ((1 << width) - 1):#0{width // 4 + 2}x}"
