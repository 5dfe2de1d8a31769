"""Exponents of smaller blocks below a scale: how often the quotients of a block are halved."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

from lowbit.exact import FINITE, NAN, Exact, finite, floor_log2
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.oracle.arithmetic import exact

Split = Callable[[Sequence[Exact], ScaleField], list[list[Exact]]]
"""The quotients of each block of a field."""


def lowered(
    quotients: list[Exact], fmt: BlockFormat, blocks: Split, places: Callable[[ScaleField], list[int]]
) -> tuple[dict[str, list[int]], list[Exact]]:
    """The exponents of each field by its name, and what is left of the quotients.

    ``places`` says for each element which block of a field it is in.
    """
    codes, top = {}, floor_log2(fmt.number.max) + fmt.headroom
    for field in fmt.lower_exponents:
        top -= field.format.codes[-1]
        found = [_exponent(block, field, top) for block in blocks(quotients, field)]
        powers = [finite(1, -found[place]) for place in places(field)]
        quotients = [exact.multiply(value, power) for value, power in zip(quotients, powers, strict=True)]
        codes[field.name] = found
    return codes, quotients


def _exponent(block: Sequence[Exact], field: ScaleField, top: int) -> int:
    """How often the largest quotient is halved until it is below 2^(top + 1), as far as the field reaches."""
    lowest, highest = field.format.codes[0], field.format.codes[-1]
    kinds = {value.kind for value in block}
    if NAN in kinds:
        return lowest
    if kinds - {FINITE}:
        return highest
    largest = max((abs(value.fraction()) for value in block), default=Fraction(0))
    halvings = lowest
    while halvings < highest and largest >= Fraction(2) ** (top + 1 + halvings):
        halvings += 1
    return halvings
