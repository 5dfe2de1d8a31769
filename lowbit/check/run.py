"""Check one kernel of an operation with several operands: run its cases, compare, identify, report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from lowbit.check.cast.explain import NOT_WRITTEN
from lowbit.check.operation import Identification, Operation
from lowbit.check.result import MISMATCH, PASS, CheckResult, Example, GroupResult, unwritten_words
from lowbit.dut.kernel import place
from lowbit.vectors.case import Array, Case
from lowbit.vectors.flags.cast import FLAGS

Progress = Callable[[int, int], None]


class Kernel(Protocol):
    """What runs cases: a device, or a library."""

    @property
    def name(self) -> str:
        """How reports call it."""
        ...

    def run(self, case: Case) -> Array:
        """The results of a case; a masked array where some were not written."""
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
        got.append(np.asanyarray(kernel.run(case)))
        wrong += int(np.count_nonzero(_wrong(expected[-1], got[-1])))
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
    wrong = [_wrong(want, answer) for want, answer in zip(expected, got, strict=True)]
    differences = [int(np.count_nonzero(rows)) for rows in wrong]
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
    unwritten = sum(int(np.count_nonzero(np.ma.getmaskarray(answer))) for answer in got)
    found = _identified(operation, cases, got, wrong) if unwritten else operation.identify(cases, got)
    first = next(case for case, count in zip(cases, differences, strict=True) if count)
    return CheckResult(
        **facts,
        verdict=MISMATCH,
        words=found.words,
        hint="" if version else _hint(operation, sum(differences) - unwritten, facts["vectors"], found),
        complete=bool(found.survivors) and not unwritten,
        choices=dict(found.choices),
        asked=dict(found.asked),
        groups=_groups(operation, cases, expected, got, wrong, found, max_errors),
        command=operation.command(first),
    )


def _wrong(expected: Array, got: Array) -> Array:
    """Which results differ; what was not written always does."""
    return np.asarray(np.ma.filled(expected != got, True))


def _identified(
    operation: Operation, cases: Sequence[Case], got: Sequence[Array], wrong: Sequence[Array]
) -> Identification:
    """What the kernel does in the cases that it wrote whole, and how many results it did not write."""
    masks = [np.ma.getmaskarray(answer) for answer in got]
    whole = [index for index, mask in enumerate(masks) if not mask.any()]
    found = Identification((), {}, {}, "is exact in what it wrote")
    if any(wrong[index].any() for index in whole):
        found = operation.identify([cases[index] for index in whole], [got[index] for index in whole])
    elif any((rows & ~mask).any() for rows, mask in zip(wrong, masks, strict=True)):
        found = replace(found, words="is wrong in cases that it did not write whole")
    elif all(mask.all() for mask in masks):
        found = replace(found, words="wrote nothing")
    lost = unwritten_words(sum(int(mask.sum()) for mask in masks), sum(case.outputs for case in cases))
    return replace(found, words=f"{found.words}; but {lost}")


def _hint(operation: Operation, differences: int, vectors: int, found: Identification) -> str:
    if found.survivors or differences * 2 <= vectors:
        return ""
    return f"more than half of the results differ: a C function has to be {operation.prototype.c('f')}"


def _groups(
    operation: Operation,
    cases: Sequence[Case],
    expected: Sequence[Array],
    got: Sequence[Array],
    wrong: Sequence[Array],
    found: Identification,
    max_errors: int,
) -> list[GroupResult]:
    groups = []
    for flag in dict.fromkeys(case.flag for case in cases):
        members = [index for index, case in enumerate(cases) if case.flag == flag]
        bad = [index for index in members if wrong[index].any()]
        if not bad:
            continue
        total = sum(cases[index].outputs for index in members)
        count = sum(int(np.count_nonzero(wrong[index])) for index in bad)
        examples = [
            _example(operation, cases[index], expected[index], got[index], wrong[index], found)
            for index in bad[:max_errors]
        ]
        groups.append(GroupResult(FLAGS[flag].name, FLAGS[flag].catches, count, total, examples))
    return sorted(groups, key=lambda group: -group.differences)


def _example(
    operation: Operation, case: Case, expected: Array, got: Array, wrong: Array, found: Identification
) -> Example:
    """The first wrong result of a case."""
    index = tuple(int(axis[0]) for axis in np.nonzero(wrong))
    want = int(expected[index])
    if np.ma.getmaskarray(got)[index]:
        text, given = f"{place(case)}\nexpected        {want}\ngot             {NOT_WRITTEN}", NOT_WRITTEN
    else:
        answer = int(got[index])
        text = operation.explain(case, index, want, answer, found)
        given = _hexadecimal(answer, operation.result_bits)
    where = f"{case.name}[{','.join(map(str, index))}]"
    return Example(where, _hexadecimal(want, operation.result_bits), given, text)


def _hexadecimal(value: int, bits: int) -> str:
    """Two's complement of the result's width, or of 64 bits where the value does not fit."""
    width = bits if -(1 << (bits - 1)) <= value < 1 << bits else 64
    return f"{value & ((1 << width) - 1):#0{width // 4 + 2}x}"
