"""A requantisation in words: the scheme or the bug of a kernel, and one wrong code."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lowbit.check.claims import Closest, Follows
from lowbit.check.report.values import alternatives, counted, got_words
from lowbit.check.requantize.operation import RequantizeOperation
from lowbit.check.result import Example
from lowbit.policy.requantize import REQUANTIZE_SCHEMES, RequantizeScheme


def rule_words(claims: Sequence[Follows], operation: RequantizeOperation) -> str:
    """The scheme that a kernel follows, or its bug."""
    (claim,) = claims
    if claim.bugs:
        words = alternatives([bug.words for bug in claim.bugs])
        under = {rule.scheme.name for rule in claim.rules}  # type: ignore[attr-defined]
        if operation.scheme.name in under:
            return words
        return f"follows {alternatives(sorted(under))}, but {words}"
    schemes: list[RequantizeScheme] = [rule.scheme for rule in claim.rules]  # type: ignore[attr-defined]
    best, asked = schemes[0], operation.scheme
    if not best.name:
        changes = ", ".join(f"{axis} {own}" for axis, (own, _) in best.differences(asked).items())
        return f"follows {asked.name} but for {changes}"
    each: list[RequantizeScheme] = []
    for scheme in schemes:
        if scheme.name and scheme not in each:
            each.append(scheme)
    alike = [[other.name for other in schemes if other == item and other.name not in ("", item.name)] for item in each]
    same = [f"the same as {counted(names)}" if names else "" for names in alike]
    summaries = [REQUANTIZE_SCHEMES.summaries[item.name] for item in each]
    if len(each) == 1:
        return f"follows {best.name}{f' ({same[0]})' if same[0] else ''}: {summaries[0]}"
    told = [
        f"{item.name} ({'; '.join(filter(None, (summary, others)))})"
        for item, summary, others in zip(each, summaries, same, strict=True)
    ]
    return f"follows {alternatives(told)}, which these inputs cannot tell apart"


def closest_words(claim: Closest, operation: RequantizeOperation) -> str:
    """The scheme that is not quite that of the kernel."""
    del operation
    name = claim.rule.scheme.name  # type: ignore[attr-defined]
    return f"closest is {name}, from which {len(claim.left):,} differ, the first for accumulator {claim.first}"


def number(value: Fraction | int) -> str:
    """An intermediate in decimals; a code or another integer in full."""
    return str(value) if isinstance(value, int) or value.denominator == 1 else f"{float(value):.9g}"


def example_lines(example: Example, operation: RequantizeOperation) -> list[str]:
    """The exact product, what the scheme makes of it, and what was expected."""
    del operation
    exact = example.detail.product
    twice = exact * 2
    tie = " (a tie)" if twice.denominator == 1 and twice.numerator % 2 else ""
    return [
        example.case.place,
        f"accumulator     {int(example.case.arrays['accumulators'][example.index])}",
        f"exact product   {float(exact):.9g}{tie}, zero point {example.case.scalars['zero_point']}",
        *(f"{name:<16}{number(value)}" for name, value in example.detail.steps),
        f"expected        {example.expected}",
        f"got             {got_words(example)}",
    ]
