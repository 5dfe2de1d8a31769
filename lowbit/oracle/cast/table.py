"""Projection to a format that is known by the list of its values alone: the value is looked up among them.

Decisions that no standard makes:

- Beyond either end the gap beside the last value goes on, so that a value is rounded first and out of range only if it
  rounds to the first value that is missing.
- Which of two codes is even or odd is told by the neighbour nearer zero; that of a missing neighbour is the other.
- A value that rounds below the smallest one of a format of positive numbers underflows.
- Where there is no zero, zero is rounded like any other number, without a sign.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from lowbit.errors import PolicyError
from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NAN, Exact, from_fraction
from lowbit.format.protocol import Scalar
from lowbit.oracle.cast.projection import INEXACT, INVALID, OVERFLOW, UNDERFLOW, Projection
from lowbit.oracle.cast.rounding import Gap, rounds_up
from lowbit.oracle.cast.specials import from_infinity, from_nan, from_negative, from_overflow, nan_code, refuse
from lowbit.policy.cast import Policy


class _Place(NamedTuple):
    """A value of the format and its code; None for the values that would come next beyond the ends."""

    value: Fraction
    code: int | None


@lru_cache(maxsize=64)
def _places(fmt: Scalar) -> tuple[_Place, ...]:
    """The values of the format in their order, one that is missing before and one behind them."""
    codes: dict[Fraction, int] = {}
    for code in reversed(fmt.codes):  # of several codes the lowest stays
        value = fmt.decode(code)
        if value.kind == FINITE and not (value.significand == 0 and value.negative):
            codes[value.fraction()] = code
    if fmt.negative_zero:
        codes.setdefault(Fraction(0), fmt.zero_code(negative=True))
    values = sorted(codes)
    low, high = (values[1] - values[0], values[-1] - values[-2]) if len(values) > 1 else (1, 1)
    inside = (_Place(value, codes[value]) for value in values)
    return (_Place(values[0] - low, None), *inside, _Place(values[-1] + high, None))


def project_table(value: Exact, fmt: Scalar, policy: Policy, random: int) -> Projection:
    """Project to a listed format; see :func:`lowbit.oracle.cast.project`."""
    if policy.overflow == "wrap":
        raise PolicyError(
            f"overflow = 'wrap' has no meaning for {fmt.id}, a {fmt.kind} format",
            hint="overflow='saturate', 'infinity', 'nan' or 'ieee'",
        )
    if value.kind == NAN:
        return from_nan(value, fmt, policy)
    finite = value.kind == FINITE
    negative = value.significand < 0 if finite else value.negative
    if negative and not fmt.signed:
        if policy.negative == "absolute":
            positive = Exact(FINITE, -value.significand, value.exponent) if finite else INFINITY
            result = project_table(positive, fmt, policy, random)
            return replace(result, flags=result.flags | INVALID, rule=f"the sign is dropped; {result.rule}")
        if not finite:
            return from_negative(value, fmt, policy)
    if not finite:
        return from_infinity(value, fmt, policy)
    number, places = value.fraction(), _places(fmt)
    floor = max(bisect_right(places, number, key=lambda place: place.value) - 1, 0)
    below, above = places[floor], places[min(floor + 1, len(places) - 1)]
    if number <= places[0].value or number >= places[-1].value:
        return _out_of_range(value, fmt, policy, "beyond the ends")
    if number == below.value:
        code = _signed_code(value, below, fmt, policy)
        return Projection(code, 0, fmt.decode(code), fmt.decode(code), "exact")
    near, far = (above, below) if negative else (below, above)
    rest = (number - near.value) / (far.value - near.value)
    odd = near.code % 2 == 1 if near.code is not None else far.code is not None and far.code % 2 == 0
    up, rule = rounds_up(Gap(rest.numerator, rest.denominator, odd, negative), policy, random)
    nearest = far if up else near
    if nearest.code is None:
        return _out_of_range(value, fmt, policy, rule)
    code = _signed_code(value, nearest, fmt, policy)
    return Projection(code, INEXACT, _exact(below), _exact(above), rule)


def _exact(place: _Place) -> Exact | None:
    return None if place.code is None else from_fraction(place.value)


def _signed_code(value: Exact, place: _Place, fmt: Scalar, policy: Policy) -> int:
    """The code of a place, that of -0 where a negative value becomes zero and the policy keeps the sign."""
    assert place.code is not None
    if place.value or not fmt.negative_zero:
        return place.code
    return fmt.zero_code(value.negative and policy.negative_zero == "keep")


def _out_of_range(value: Exact, fmt: Scalar, policy: Policy, rule: str) -> Projection:
    """A value that rounds to the first one that is missing at either end."""
    below: Exact | None = fmt.max
    above = None if fmt.infinity_code() is None else INFINITY
    if value.fraction() < fmt.max.fraction():
        if value.significand >= 0:
            return _underflow(value, fmt, policy)
        if not fmt.signed:
            return from_negative(value, fmt, policy)
        below, above = None if fmt.infinity_code(negative=True) is None else MINUS_INFINITY, fmt.min
    code, words, saturated = from_overflow(value, fmt, policy)
    return Projection(code, OVERFLOW | INEXACT, below, above, f"{rule}; {words}", saturated)


def _underflow(value: Exact, fmt: Scalar, policy: Policy) -> Projection:
    """A value that rounds below the smallest one of a format of positive values."""
    if policy.underflow == "error":
        raise refuse(value, fmt, "rounds below the smallest value", "underflow", "minimum")
    nan = policy.underflow == "nan"
    code, words = (nan_code(value, fmt, policy), "NaN") if nan else (fmt.lowest_code, "which stands in")
    return Projection(code, UNDERFLOW | INEXACT, None, fmt.min, f"below the smallest value: {words}")
