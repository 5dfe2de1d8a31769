"""What a check of a whole model found, as text and as JSON has it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lowbit.check.model.compare import LayerDifference, ModelComparison

SCHEMA = "lowbit/check-model/1"
LISTED = 5


def document(comparison: ModelComparison, kernel: str) -> dict[str, Any]:
    """All of it."""
    verdict = "MISMATCH" if comparison.differences else "pass"
    return {"kernel": kernel, "verdict": verdict, **asdict(comparison)}


def lines(comparison: ModelComparison, kernel: str) -> Iterator[str]:
    """A line for each finding."""
    compared = f"{comparison.compared} of {comparison.layers} layers compared"
    if comparison.first is None:
        yield f"{kernel}: equal; {compared}"
        return
    count = len(comparison.differences)
    differ = (
        "1 differs from what its own inputs give" if count == 1 else f"{count} differ from what their own inputs give"
    )
    yield f"{kernel}: MISMATCH; {compared}, {differ}"
    for place, one in enumerate(comparison.differences[:LISTED]):
        yield from _layer(one, "the first layer that differs" if not place else "then")
    if len(comparison.differences) > LISTED:
        yield f"  and {len(comparison.differences) - LISTED} more; --output-format json has them all"


def _layer(one: LayerDifference, which: str) -> Iterator[str]:
    index = ", ".join(map(str, one.index))
    yield f"  {which}: {one.layer} ({one.operation}), {one.label}"
    many = f"{one.differences:,} of {one.total:,} codes differ, by {one.largest:,} at most"
    yield f"    {many}; at [{index}] {one.expected} is expected, {one.got} is there"
    for place, claim in enumerate(one.claims[:LISTED]):
        yield f"    {'or it' if place else 'the kernel'} {claim}"
    if len(one.claims) > LISTED:
        yield f"    or one of {len(one.claims) - LISTED} more that these codes do not tell apart"
    if not one.claims:
        yield "    what the kernel does instead is not known"
    if one.unseen:
        named = ", ".join(one.unseen[:LISTED]) + (", ..." if len(one.unseen) > LISTED else "")
        yield f"    {len(one.unseen)} layers before it were not handed out, and one of them may be wrong: {named}"
