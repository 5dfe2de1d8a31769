"""A nonlinearity in words: the scheme or the bug of a kernel, and one wrong result with its intermediates."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.check.claims import Follows
from lowbit.check.nonlinear.operation import NonlinearDetail, NonlinearOperation
from lowbit.check.report.values import counted, got_words
from lowbit.check.result import Example

BUGS_AT_MOST = 3
SHOWN_CODES = 8
STEPS_SHOWN = 10


def rule_words(claims: Sequence[Follows], operation: NonlinearOperation) -> str:
    """The scheme that a kernel follows, or its bug."""
    (claim,) = claims
    made = claim.rules[0].made  # type: ignore[attr-defined]
    if claim.bugs:
        words = list(dict.fromkeys(bug.words for bug in claim.bugs))
        told = " or ".join(words[:BUGS_AT_MOST])
        if len(words) > BUGS_AT_MOST:
            told += f" (or one of {len(words) - BUGS_AT_MOST} more that cannot be told apart from it)"
        return told if made == operation.made else f"follows {made.label}, but {told}"
    # Wrapping and saturating intermediates are one where nothing overflows: only what differs is told.
    every = [rule.made for rule in claim.rules]  # type: ignore[attr-defined]
    names = list(dict.fromkeys(item.label for item in every if item.overflow == "wrap"))
    names = names or list(dict.fromkeys(item.label for item in every))
    if len(names) > 1:
        return f"follows {counted(names, '; or ')}, which these inputs cannot tell apart"
    return f"follows {names[0]}"


def example_lines(example: Example, operation: NonlinearOperation) -> list[str]:
    """The code, its row, the reference's intermediates, expected and got."""
    detail: NonlinearDetail = example.detail
    lines = [example.case.place]
    if operation.made.by_row:
        row, element = example.index
        lines.append(f"element         row {row}, element {element} of {len(detail.row)}")
        lines.append(f"row             {_row(detail.row)}")
    lines.append(f"code            {detail.code}")
    lines += [f"  {name:<22}{value}" for name, value in list(detail.intermediates.items())[-STEPS_SHOWN:]]
    return [*lines, f"expected        {example.expected}", f"got             {got_words(example)}"]


def _row(codes: Sequence[int]) -> str:
    """The first codes of a row, its maximum and where that is."""
    listed = ", ".join(str(code) for code in codes[:SHOWN_CODES])
    more = ", ..." if len(codes) > SHOWN_CODES else ""
    top = max(codes)
    return f"{listed}{more}; maximum {top} at {codes.index(top)}"
