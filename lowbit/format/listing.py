"""All codes of a scalar format of few bits, by value: what a kind without closed forms is known from."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from lowbit.errors import FormatError
from lowbit.exact import FINITE, NAN, POSITIVE_INFINITY, Exact, from_fraction

if TYPE_CHECKING:
    from lowbit.format.protocol import Scalar

LISTED_BITS = 16
"""A kind of wider formats must know its figures in closed form."""


class Listing(NamedTuple):
    """All codes of a format of few bits, by value."""

    values: tuple[Fraction, ...]  # the distinct finite values, rising
    codes: tuple[int, ...]  # the lowest code of each, +0 before -0
    below: int  # how many of them come before ordinal 0
    ordinals: Mapping[int, int]
    infinities: tuple[int | None, int | None]  # +infinity first
    negative_zero: int | None
    nans: tuple[tuple[int, int], ...]

    def reduced(self) -> list[Exact]:
        """The values that are not zero, each with an odd significand."""
        return [from_fraction(value).reduced() for value in self.values if value]


@lru_cache(maxsize=64)
def listing(fmt: Scalar) -> Listing:
    """Every code of a format, decoded."""
    if fmt.bits > LISTED_BITS:
        raise FormatError(f"format {fmt.id!r}: {fmt.bits} bits are too many to list every code")
    values = {code: fmt.decode(code) for code in fmt.codes}
    finite = [(value.fraction(), value.negative, code) for code, value in values.items() if value.kind == FINITE]
    codes: dict[Fraction, int] = {}
    for fraction, _, code in sorted(finite):  # of equal values +0 comes first, then the lowest code
        codes.setdefault(fraction, code)
    places = {fraction: place for place, fraction in enumerate(codes)}
    below = sum(fraction < 0 for fraction in codes)
    below -= below == len(codes)
    ordinals = {code: places[fraction] - below for fraction, _, code in finite}
    ends: list[int | None] = [None, None]
    for code, value in values.items():
        if value.kind not in (FINITE, NAN):
            minus = value.kind != POSITIVE_INFINITY
            ends[minus] = code if ends[minus] is None else ends[minus]
            ordinals[code] = -below - 1 if minus else len(codes) - below
    zeros = [code for fraction, negative, code in finite if fraction == 0 and negative]
    nans: list[tuple[int, int]] = []
    for code, value in values.items():
        if value.kind == NAN:
            first = nans.pop()[0] if nans and nans[-1][1] == code - 1 else code
            nans.append((first, code))
    minus_zero = min(zeros, default=None)
    return Listing(tuple(codes), tuple(codes.values()), below, ordinals, (ends[0], ends[1]), minus_zero, tuple(nans))
