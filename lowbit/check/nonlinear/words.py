"""Words about the answers of a nonlinearity: one wrong result, and what the wrong ones have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from lowbit.dut.kernel import place
from lowbit.errors import LowbitError
from lowbit.oracle.nonlinear.steps import Steps
from lowbit.vectors.case import Array, Case
from lowbit.vectors.nonlinear.rule import Nonlinearity

SHOWN_CODES = 8
STEPS_SHOWN = 10
GROUPS = (64, 32, 16, 8, 4)


class _Trace(Steps):
    """Notes the intermediates of one element, and those of its whole row."""

    def __init__(self, made: Nonlinearity, element: int) -> None:
        super().__init__(made.widths, "wrap")
        self.wanted = element
        self.seen: dict[str, int] = {}

    def __call__(self, name: str, value: int) -> int:
        result = super().__call__(name, value)
        if self.element in (self.wanted, -1) or name in ("sum", "sum_of_squares"):
            self.seen[name] = result
        return result


def explain_code(made: Nonlinearity, case: Case, index: tuple[int, ...], expected: int, got: int) -> str:
    """One wrong result: its code, its row, the reference's intermediates, expected and got."""
    codes = case.arrays["codes"][index[0]] if made.by_row else case.arrays["codes"]
    element = index[-1]
    lines = [place(case)]
    if made.by_row:
        lines += [
            f"element         row {index[0]}, element {element} of {codes.size}",
            f"row             {row_words(codes)}",
        ]
    lines.append(f"code            {int(codes[element])}")
    lines += _intermediates(
        made, case, codes if made.by_row else codes[element : element + 1], element if made.by_row else 0
    )
    lines += [f"expected        {expected}", f"got             {got}, {got - expected:+d}"]
    return "\n".join(lines)


def row_words(codes: Array) -> str:
    """The first codes of a row, its maximum and where that is."""
    listed = ", ".join(str(code) for code in codes[:SHOWN_CODES].tolist())
    more = ", ..." if codes.size > SHOWN_CODES else ""
    top = int(np.argmax(codes))
    return f"{listed}{more}; maximum {int(codes[top])} at {top}"


def _intermediates(made: Nonlinearity, case: Case, codes: Array, element: int) -> list[str]:
    trace = _Trace(made, element)
    operands = {name: array.tolist() for name, array in case.arrays.items() if name != "codes"}
    try:
        made.by_oracle(codes.tolist(), operands, trace)
    except (LowbitError, ValueError, IndexError):
        return []
    names = [step.name for step in made.widths.steps[:-1] if step.name in trace.seen]
    return [f"  {name:<22}{trace.seen[name]}" for name in names[-STEPS_SHOWN:]]


def pattern_words(expected: Sequence[Array], cases: Sequence[Case], got: Sequence[Array]) -> str:
    """What the wrong results have in common, where no rule explains them."""
    wrong = [want != answer for want, answer in zip(expected, got, strict=True)]
    count = sum(int(np.count_nonzero(item)) for item in wrong)
    total = sum(item.size for item in wrong)
    differences = np.concatenate([(answer - want)[bad] for want, answer, bad in zip(expected, got, wrong, strict=True)])
    low, high = int(differences.min()), int(differences.max())
    parts = list(_places(cases, wrong))
    if low >= -1 and high <= 1:
        side = "too low" if high < 0 else "too high" if low > 0 else "too low or too high"
        parts.insert(0, f"by one unit at most, {side}: a rounding")
    else:
        parts.insert(0, f"by {low:+d} to {high:+d}")
    return f"follows no scheme that lowbit knows: {count:,} of {total:,} results differ, {'; '.join(parts)}"


def _places(cases: Sequence[Case], wrong: Sequence[Array]) -> Iterator[str]:
    rows = [(case.arrays["codes"][row], bad[row]) for case, bad in _by_row(cases, wrong) for row in range(len(bad))]
    if not rows:
        return
    bad_rows = [codes for codes, bad in rows if bad.any()]
    good_rows = [codes for codes, bad in rows if not bad.any()]
    if good_rows and all(codes.max() != 0 for codes in bad_rows) and any(codes.max() == 0 for codes in good_rows):
        zero = [codes for codes in good_rows if codes.max() == 0]
        if len(zero) == sum(codes.max() == 0 for codes, _ in rows) and len(bad_rows) > len(rows) // 2:
            yield "rows whose maximum is 0 are right: the maximum is not subtracted, perhaps"
    for step in GROUPS:
        if all(codes.size % step for codes in bad_rows) and any(codes.size % step == 0 for codes in good_rows):
            yield f"only in rows whose length is not a multiple of {step}"
            break
    first = [bool(bad[0].any()) for _, bad in _by_row(cases, wrong)]
    if not any(first):
        yield "never in the first row of a call"
    shortest = min(codes.size for codes in bad_rows)
    if shortest > 1 and sum(codes.size < shortest for codes in good_rows) > 1:
        yield f"only in rows of {shortest:,} codes and more"


def _by_row(cases: Sequence[Case], wrong: Sequence[Array]) -> list[tuple[Case, Array]]:
    return [(case, bad) for case, bad in zip(cases, wrong, strict=True) if bad.ndim == 2]
