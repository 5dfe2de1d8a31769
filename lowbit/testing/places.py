"""The places of a format that strategies draw from, the simplest first."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from lowbit.exact import FINITE, NAN, Exact, finite, from_fraction
from lowbit.format.scalar import Scalar


def simplicity(value: Exact) -> tuple[int, int, int, bool]:
    """What a value is sorted by: 0 and 1 come first, small integers and halves soon, NaN last, + before -."""
    if value.kind != FINITE:
        return (2 if value.kind == NAN else 1, 0, value.significand, value.negative)
    reduced = value.reduced()
    width = abs(reduced.significand).bit_length()
    return (0, 0 if width == 0 else width + abs(reduced.exponent), abs(reduced.significand), value.negative)


def midpoint(fmt: Scalar, ordinal: int, step: int = 1) -> Exact:
    """Half way from the value of an ordinal to the next one in the direction of ``step``."""
    ends = (fmt.value_at(place).fraction() for place in (ordinal, ordinal + step))
    return from_fraction(sum(ends, Fraction()) / 2).reduced()


@lru_cache(maxsize=64)
def overflow_values(fmt: Scalar) -> tuple[float, ...]:
    """Values around the largest one: its tie, both neighbours of that, the next binade; the simplest first."""
    top, low = (fmt.ordinal(code) or 0 for code in (fmt.largest_code(), fmt.lowest_code))
    tie = midpoint(fmt, top)
    wanted = [fmt.value_at(top), tie, fmt.value_at(top + 1), fmt.value_at(top + 2)]
    shift = 53 - tie.significand.bit_length()
    wanted += [finite((tie.significand << shift) + step, tie.exponent - shift) for step in (1, -1) if shift > 0]
    leading = wanted[0].significand.bit_length() + wanted[0].exponent
    wanted += [finite(1, leading), finite(1, leading + 1), finite(3, leading)]
    if fmt.signed:
        wanted.append(midpoint(fmt, low, -1))
    signs = (1, -1) if fmt.signed else (1,)
    both = {finite(sign * value.significand, value.exponent).reduced() for value in wanted for sign in signs}
    return tuple(as_float(value) for value in sorted(both, key=simplicity) if fits_float(value))


def fits_float(value: Exact) -> bool:
    """Whether binary64 holds a finite value."""
    reduced = value.reduced()
    width = abs(reduced.significand).bit_length()
    return width <= 53 and reduced.exponent >= -1074 and reduced.exponent + width <= 1024


def as_float(value: Exact) -> float:
    """A value as a Python float; a NaN loses its payload."""
    if value.kind == NAN:
        return float("nan")
    if value.kind != FINITE:
        return float("-inf") if value.negative else float("inf")
    if value.significand == 0:
        return -0.0 if value.negative else 0.0
    return float(value.fraction())
