"""Elements that are vectors: of all vectors the one with the least distance, in fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lowbit.exact import FINITE, Exact
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Element
from lowbit.oracle.arithmetic.exact import is_zero
from lowbit.oracle.block.scale import Coarse, exact_terms
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy


def nearest_code(numbers: Sequence[Fraction], element: Element) -> int:
    """The code of the nearest vector, the lowest one of several."""
    return min(element.codes, key=lambda code: distance(numbers, code, element))


def distance(numbers: Sequence[Fraction], code: int, element: Element) -> Fraction:
    """The square of the distance from the vector of a code."""
    pairs = zip(numbers, element.vector(code), strict=True)
    return sum(((number - own.fraction()) ** 2 for number, own in pairs), Fraction(0))


def explained(numbers: Sequence[Fraction], element: Element) -> str:
    """Which vector is the nearest and which one would be next, with their squared distances."""
    code = nearest_code(numbers, element)
    words = f"the nearest of {len(element.codes)}, {_distance_words(numbers, code, element)}"
    others = [other for other in element.codes if other != code]
    if not others:
        return words
    second = min(others, key=lambda other: distance(numbers, other, element))
    return f"{words}; next {element.hexadecimal(second)}, {_distance_words(numbers, second, element)}"


def _distance_words(numbers: Sequence[Fraction], code: int, element: Element) -> str:
    return f"squared distance {float(distance(numbers, code, element)):.6g}"


def coordinate(
    value: Exact, quotient: Exact, scale: Exact, above: Coarse | None, fmt: BlockFormat, policy: BlockPolicy
) -> Fraction:
    """What a value over its scales is before the nearest vector is looked for: with exact steps the very fraction.

    What is not finite becomes the number that the policy of the elements makes of it, among those of all vectors.
    """
    if quotient.kind != FINITE:
        chosen = policy.policy("element", fmt.number)
        return decode(encode(quotient, fmt.number, chosen).code, fmt.number).fraction()
    if policy.arithmetic == "exact" and not policy.quotient_format and value.kind == FINITE:
        over, total = exact_terms(value, scale, above)
        if over.kind == total.kind == FINITE and not is_zero(total):
            return over.fraction() / total.fraction()
    return quotient.fraction()
