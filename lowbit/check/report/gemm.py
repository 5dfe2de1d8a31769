"""A matrix product in words: "accumulates in 16 bits, saturating each pair of products", and one wrong element."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.check.claims import Follows
from lowbit.check.gemm.operation import GemmDetail, GemmOperation, spelled_alike
from lowbit.check.gemm.rules import Magnitudes
from lowbit.check.report.values import NOT_WRITTEN, alternatives, spell_values
from lowbit.check.result import Example
from lowbit.policy.accumulator import Accumulator

COUNTED = {2: "pair", 4: "quadruple"}


def rule_words(claims: Sequence[Follows], operation: GemmOperation) -> str:
    """The accumulator or the bug that a kernel has."""
    (claim,) = claims
    if claim.bugs:
        return alternatives([bug.words for bug in claim.bugs])
    accumulators: list[Accumulator] = [rule.accumulator for rule in claim.rules]  # type: ignore[attr-defined]
    best, asked = accumulators[0], operation.accumulator
    words = accumulator_words(best, claim, everything=operation.operands.zero_points)
    named = [item.name for item in accumulators if item.name and item.name != asked.name]
    alike = spelled_alike(accumulators, best, {"width", "overflow"}, zero_points=operation.operands.zero_points)
    sizes = Magnitudes.of_formats(operation.operands)
    arithmetics = {item: sizes.plain(item, operation.result_bits) for item in accumulators}
    told_apart = {arithmetics[item] for item in (*alike, *(item for item in accumulators if item.name))}
    others = len(set(arithmetics.values()) - told_apart)
    told = [f"as {alternatives(named)}"] if named else []
    told += (
        [f"or as {'one' if others == 1 else f'one of {others}'} more that these inputs cannot tell from it"]
        if others
        else []
    )
    return f"{words} ({', '.join(told)})" if told else words


def accumulator_words(accumulator: Accumulator, claim: Follows, *, everything: bool = False) -> str:
    """What a kernel with this accumulator does.

    ``claim``: its choices are the widths and overflows that the answers allow. ``everything``: whether compensated zero
    points are worth a word.
    """
    parts = []
    if accumulator.combine_width:
        how = "saturates" if accumulator.combine_overflow == "saturate" else "wraps"
        parts.append(f"{how} {_group(accumulator.combine)} to {accumulator.combine_width} bits")
    widths = spell_values(claim.choices.get("width", (accumulator.width,)), None)
    parts.append(f"accumulates in {widths.replace('|', ' or ').replace('..', ' to ')} bits")
    step = "" if accumulator.combine_width else f" at {_group(accumulator.combine)}"
    overflows = {"wrap": "wrapping", "saturate": f"saturating{step}"}
    parts.append(alternatives([overflows[value] for value in claim.choices.get("overflow", (accumulator.overflow,))]))
    if accumulator.order == "pairwise":
        parts.append("adding pairwise, as a tree")
    elif accumulator.order == "blocked":
        parts.append(f"adding blocks of {accumulator.block} products")
    elif accumulator.order == "lanes":
        parts.append(f"adding in {accumulator.lanes} lanes ({accumulator.reduction} at the end)")
    if accumulator.spill_every:
        parts.append(f"spilling every {accumulator.spill_every} products into {accumulator.spill_width} bits")
    if accumulator.dropped_bits:
        parts.append(f"giving up the low {accumulator.dropped_bits} bits of each operand")
    if everything and accumulator.zero_points == "compensated":
        parts.append("correcting for zero points at the end")
    return ", ".join(parts)


def _group(combine: int) -> str:
    if combine == 1:
        return "each product"
    return f"each {COUNTED[combine]} of products" if combine in COUNTED else f"each sum of {combine} products"


def example_lines(example: Example, operation: GemmOperation) -> list[str]:
    """The element, both values, their difference, and whatever single slip explains it."""
    digits, mask = operation.result_bits // 4 + 2, (1 << operation.result_bits) - 1
    row, column = example.index
    lines = [
        example.case.place,
        f"element   row {row}, column {column}",
        f"expected  {example.expected:>12}  {example.expected & mask:#0{digits}x}",
    ]
    if example.got is None:
        return [*lines, f"got       {NOT_WRITTEN:>12}"]
    lines.append(f"got       {example.got:>12}  {example.got & mask:#0{digits}x}")
    lines.append(f"got - expected = {example.got - example.expected}")
    detail: GemmDetail = example.detail
    if detail.first is not None:
        lines.append(f"got is the sum of the first {detail.first} of {example.case.sizes['k']} products")
    if detail.missing is not None:
        lines.append(f"got lacks the product of k = {detail.missing}")
    if detail.low is not None:
        lines.append(f"got is the low {detail.low} bits of the sum")
    if detail.end is not None:
        lines.append(f"got is an end of {detail.end} bits")
    if detail.overflow is not None:
        lines.append(f"an accumulator like the kernel's overflows first at k = {detail.overflow}")
    return lines
