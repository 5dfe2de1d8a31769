"""A matrix product in words: "accumulates in 16 bits, saturating each pair of products", and one wrong element."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.check.claims import Follows
from lowbit.check.gemm.operation import GemmDetail, GemmOperation, closest, spelled_alike
from lowbit.check.gemm.rules import Magnitudes
from lowbit.check.report.values import NOT_WRITTEN, alternatives, spell_values
from lowbit.check.result import Example
from lowbit.policy.accumulator import Accumulator

MOST_TOLD = 2
"""Accumulators that cannot be told apart are told, if there are no more; else the rest is counted."""
APART = ", which these inputs cannot tell apart"
COUNTED = {2: "pair", 4: "quadruple"}


def rule_words(claims: Sequence[Follows], operation: GemmOperation) -> str:
    """The accumulator or the bug that a kernel has."""
    (claim,) = claims
    if claim.bugs:
        told = alternatives([bug.words for bug in claim.bugs])
        under = [rule.accumulator for rule in claim.rules]  # type: ignore[attr-defined]
        if operation.accumulator in under:
            return told
        return f"{told}, and {_family_words(_families(under, operation)[0], operation)}"
    families = _families([rule.accumulator for rule in claim.rules], operation)  # type: ignore[attr-defined]
    words = [_family_words(family, operation) for family in families]
    return f"{alternatives(words, named=MOST_TOLD)}{APART if len(words) > 1 else ''}"


def _families(accumulators: Sequence[Accumulator], operation: GemmOperation) -> list[list[Accumulator]]:
    """The accumulators, those together that differ in width and overflow alone or compute the same of these formats.

    Those closest to the one asked for come first, in each family and of the families.
    """
    sizes = Magnitudes.of_formats(operation.operands)
    arithmetics = {item: sizes.plain(item, operation.result_bits) for item in accumulators}
    families, left = [], list(accumulators)
    while left:
        best = closest(left, operation.accumulator)
        alike = spelled_alike(left, best, {"width", "overflow"}, zero_points=operation.operands.zero_points)
        own = {arithmetics[item] for item in alike}
        members = [item for item in left if arithmetics[item] in own]
        families.append([best, *(item for item in members if item != best)])
        left = [item for item in left if arithmetics[item] not in own]
    return families


def _family_words(family: Sequence[Accumulator], operation: GemmOperation) -> str:
    """``accumulates in 24 bits, wrapping (as fpga_24)``."""
    zero_points = operation.operands.zero_points
    alike = spelled_alike(family, family[0], {"width", "overflow"}, zero_points=zero_points)
    words = accumulator_words(family[0], alike, everything=zero_points)
    named = [item.name for item in family if item.name and item.name != operation.accumulator.name]
    return f"{words} (as {alternatives(named)})" if named else words


def accumulator_words(accumulator: Accumulator, alike: Sequence[Accumulator], *, everything: bool = False) -> str:
    """What a kernel with this accumulator does.

    ``alike``: what differs from it in width and overflow alone, and agrees with the answers, too.
    ``everything``: whether compensated zero points are worth a word.
    """
    parts = []
    if accumulator.combine_width:
        how = "saturates" if accumulator.combine_overflow == "saturate" else "wraps"
        parts.append(f"{how} {_group(accumulator.combine)} to {accumulator.combine_width} bits")
    widths = spell_values(sorted({item.width for item in alike}), None)
    parts.append(f"accumulates in {widths.replace('|', ' or ').replace('..', ' to ')} bits")
    step = "" if accumulator.combine_width else f" at {_group(accumulator.combine)}"
    overflows = {"wrap": "wrapping", "saturate": f"saturating{step}"}
    found = sorted({item.overflow for item in alike}, key=lambda value: value != accumulator.overflow)
    parts.append(alternatives([overflows[value] for value in found]))
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
