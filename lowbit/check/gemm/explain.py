"""One wrong element of a matrix product in words, and what all wrong cases have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lowbit.check.gemm.rules import GemmRule, low_bits, problem_of
from lowbit.dut.kernel import place
from lowbit.vectors.case import Case

MULTIPLES = (2, 4, 8, 16, 32, 64)
OFTEN = 0.25
"""A pattern is worth a word if at least this share of the cases that it speaks of is wrong."""

Mask = NDArray[np.bool_]


def explain_result(
    case: Case, index: tuple[int, int], expected: int, got: int, bits: int, rule: GemmRule | None
) -> str:
    """The element, both values, their difference, and whatever single slip explains it."""
    row, column = index
    digits = bits // 4
    mask = (1 << bits) - 1
    lines = [
        place(case),
        f"element   row {row}, column {column}",
        f"expected  {expected:>12}  {expected & mask:#0{digits + 2}x}",
        f"got       {got:>12}  {got & mask:#0{digits + 2}x}",
        f"got - expected = {got - expected}",
    ]
    lines += _slips(case, row, column, expected, got)
    if rule is not None and rule.bug is None:
        lines += _first_overflow(case, row, column, rule)
    return "\n".join(lines)


def _slips(case: Case, row: int, column: int, expected: int, got: int) -> Iterator[str]:
    """At most one line: which sum the wrong value is."""
    problem = problem_of(case)
    products = (problem.a[row] - problem.a_zero) * (problem.b[:, column] - problem.b_zero)
    sums = np.concatenate([[0], np.cumsum(products)])
    length = len(products)
    prefixes = np.flatnonzero(sums[:-1] == got)
    if got == expected:
        return
    if len(prefixes) and got:
        yield f"got is the sum of the first {int(prefixes[-1])} of {length} products"
        return
    missing = np.flatnonzero(products == expected - got)
    if len(missing) == 1 and length > 1:
        yield f"got lacks the product of k = {int(missing[0])}"
        return
    for bits in (8, 16, 24):
        if got == int(low_bits(np.array([sums[-1]]), bits)[0]):
            yield f"got is the low {bits} bits of the sum"
            return
    if got in (1 << (power := max(abs(got), 1).bit_length()) - 1, (1 << power) - 1, -(1 << power)) and power >= 7:
        yield (
            f"got is an end of {power + 1} bits"
            if got in ((1 << power) - 1, -(1 << power))
            else f"got is 2^{power - 1}"
        )


def _first_overflow(case: Case, row: int, column: int, rule: GemmRule) -> Iterator[str]:
    """The first product at which the accumulator that the kernel follows overflows."""
    from lowbit.ops.gemm.accumulate import accumulate

    problem = problem_of(case)
    _, counts = accumulate(
        problem.a[row : row + 1].astype(np.int16),
        problem.b[:, column : column + 1].astype(np.int16),
        replace(rule.accumulator, operands="any"),
        a_zero_point=problem.a_zero,
        b_zero_point=problem.b_zero,
        return_counts=True,
    )
    first = counts["first"]
    if first is not None:
        yield f"an accumulator like the kernel's overflows first at k = {first[-1]}"


def pattern_words(cases: Sequence[Case], wrong: Sequence[Mask]) -> str:
    """What the wrong results have in common, where no rule explains the answers: to follow "your kernel"."""
    bad = [bool(mask.any()) for mask in wrong]
    facts = [*_size_facts(cases, bad), *_zero_point_facts(cases, bad)]
    told = f"; it is right wherever {' and '.join(facts)}" if facts else ""
    told += "".join(f"; {line}" for line in _places(wrong))
    return f"follows no rule that lowbit knows in {sum(bad)} of {len(cases)} cases{told}"


def _size_facts(cases: Sequence[Case], wrong: Sequence[bool]) -> Iterator[str]:
    bad = np.array(wrong)
    for axis in "mnk":
        sizes = np.array([case.sizes[axis] for case in cases])
        for multiple in MULTIPLES:
            whole = sizes % multiple == 0
            if whole.any() and not (bad & whole).any() and _share(bad, ~whole) > OFTEN:
                yield f"{axis} is a multiple of {multiple}"
                break
        else:
            lowest = int(sizes[bad].min())
            below = sizes < lowest
            if np.count_nonzero(below) > len(cases) // 20 and _share(bad, ~below) > OFTEN:
                yield f"{axis} is less than {lowest}"


def _share(bad: NDArray[np.bool_], kind: NDArray[np.bool_]) -> float:
    return int(np.count_nonzero(bad & kind)) / max(int(np.count_nonzero(kind)), 1)


def _places(wrong: Sequence[Mask]) -> Iterator[str]:
    """Whether only the rows or columns of a tail are wrong."""
    masks = [mask for mask in wrong if mask.any()]
    for axis, name in enumerate(("rows", "columns")):
        for multiple in MULTIPLES:
            size = [mask.shape[axis] for mask in masks]
            first = [int(np.flatnonzero(mask.any(axis=1 - axis))[0]) for mask in masks]
            if all(start >= count // multiple * multiple for start, count in zip(first, size, strict=True)):
                yield f"only {name} after the last whole group of {multiple} are wrong"
                break


def _zero_point_facts(cases: Sequence[Case], wrong: Sequence[bool]) -> Iterator[str]:
    for name in ("a_zero_point", "b_zero_point"):
        values = [int(case.scalars.get(name, 0)) for case in cases]
        bad = [value for value, differs in zip(values, wrong, strict=True) if differs]
        if bad and all(bad) and any(values):
            yield f"{name} is 0"
