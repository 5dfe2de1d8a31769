"""Casts into a format that is known by the list of its values alone: by comparison with them, exactly.

Each value, each midpoint and the places where the range ends divide the number line into points and the intervals
between them, and a policy treats all numbers of an interval alike. So the answer to one number of each is computed, in
fractions; where the intervals begin among the codes of the source is found once, and an array is only sorted into
them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from fractions import Fraction
from functools import lru_cache
from itertools import pairwise, repeat
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lowbit.exact import FINITE, INFINITY, MINUS_INFINITY, NAN, NEGATIVE_ZERO, Exact, from_fraction
from lowbit.format.listing import listing
from lowbit.format.scalar import Scalar
from lowbit.kernels.cast import layout as at
from lowbit.ops.arrays import Array, is_infinite, is_nan, is_negative
from lowbit.ops.cast.ordinal import first_ordinal, ordinal_dtype, ordinals_of
from lowbit.ops.cast.outcomes import Outcome, Outcomes
from lowbit.ops.cast.rounding import rounds_away
from lowbit.policy.cast import Policy

if TYPE_CHECKING:
    from lowbit.ops.cast.paths import Cast


def encode(value: Exact, target: Scalar, policy: Policy, random: int = 0) -> Outcome:
    """The code of one value, and the flags that it raises.

    The gap before the first value and after the last one counts as wide as the one beside it, so that a value beyond
    the ends is rounded first and only then out of range. The code of the neighbour nearer zero says which is even.
    """
    outcomes = Outcomes(target, policy)
    negative = value.negative
    if value.kind != FINITE:
        return outcomes.nan(negative) if value.kind == NAN else outcomes.infinity(negative)
    number = value.fraction()
    if number == 0 and target.zero:
        return outcomes.zero(negative)
    if number < 0 and not target.signed and policy.negative == "absolute":
        code, flags = encode(from_fraction(-number), target, policy, random)
        return Outcome(code, flags | at.INVALID)
    values, first = listing(target).values, -listing(target).below
    last = first + len(values) - 1
    floor = first + bisect_right(values, number) - 1
    below, above = target.value_at(floor).fraction(), target.value_at(floor + 1).fraction()
    rounded, inexact = floor, 0
    if floor == last and number >= above:
        rounded = floor + 1
    elif number > below:
        negative = number < 0  # -0 where there is no zero is rounded like 0
        near, far = (floor + 1, floor) if negative else (floor, floor + 1)
        rest = (above - number if negative else number - below) / (above - below)
        odd = _is_odd(near if first <= near <= last else far, target) == (first <= near <= last)
        away = rounds_away(rest.numerator, rest.denominator, odd, negative, policy, random)
        rounded, inexact = far if away else near, at.INEXACT
    if not first <= rounded <= last:
        return outcomes.underflow(0) if rounded < first and number >= 0 else outcomes.overflow(rounded < first)
    code = outcomes.zero(negative).code if target.zero and rounded == 0 else target.from_ordinal(rounded)
    return Outcome(code, inexact)


def encode_each(values: Iterable[Exact], target: Scalar, policy: Policy, random: Array | None) -> tuple[Array, Array]:
    """Codes and flags of values one by one."""
    draws = repeat(0) if random is None else random.tolist()
    answers = [encode(value, target, policy, draw) for value, draw in zip(values, draws, strict=False)]
    codes, flags = zip(*answers, strict=True) if answers else ((), ())
    return np.array(codes, dtype=target.code_dtype), np.array(flags, dtype=np.uint8)


def _is_odd(ordinal: int, target: Scalar) -> bool:
    return target.from_ordinal(ordinal) % 2 == 1


class Comparison(NamedTuple):
    """Where the intervals begin among a source's ordinals, and the codes and flags of each."""

    cast: Cast
    starts: Array
    codes: Array
    flags: Array
    specials: tuple[tuple[Exact, Outcome], ...]


def lower(cast: Cast) -> Comparison:
    """The intervals of a target that has no fields to compute with, and the answers to each."""
    places = _places(cast.target)
    beside = [places[0] - 1, *((low + high) / 2 for low, high in pairwise(places)), places[-1] + 1]
    numbers = [beside[0], *(number for pair in zip(places, beside[1:], strict=True) for number in pair)]
    exact = [] if cast.policy.stochastic else map(from_fraction, numbers)
    codes, flags = encode_each(exact, cast.target, cast.policy, None)
    specials = [Exact(NAN), Exact(NAN, negative=True), INFINITY, MINUS_INFINITY]
    specials += [NEGATIVE_ZERO] if cast.target.zero else []
    return Comparison(
        cast,
        _starts(cast.source, cast.target),
        codes,
        flags,
        tuple((value, encode(value, cast.target, cast.policy)) for value in specials),
    )


@lru_cache(maxsize=64)
def _places(target: Scalar) -> tuple[Fraction, ...]:
    """Every value, the first one beyond either end, the midpoints between all of these, and where the sign changes.

    For an unsigned format they are mirrored, since a policy may drop the sign.
    """
    listed = listing(target)
    ordinals = range(-listed.below - 1, len(listed.values) - listed.below + 1)
    values = [target.value_at(ordinal).fraction() for ordinal in ordinals]
    places = {*values, Fraction(0), *((low + high) / 2 for low, high in pairwise(values))}
    return tuple(sorted(places if target.signed else places | {-place for place in places}))


@lru_cache(maxsize=64)
def _starts(source: Scalar, target: Scalar) -> Array:
    """Two ordinals of the source for each place: the first that reaches it, the first beyond it."""
    last = source.ordinal(source.largest_code()) or 0
    starts = []
    for place in _places(target):
        first = first_ordinal(source, place)
        reached = first <= last and source.value_at(first).fraction() == place
        starts += [first, first + reached]
    return np.array(starts, dtype=ordinal_dtype(source))


@lru_cache(maxsize=64)
def rounded_up_midpoints(source: Scalar, target: Scalar) -> tuple[tuple[int, int], ...]:
    """The source's ordinals to which midpoints of a table are rounded up, to nearest even; each with the lower code."""
    rounded = []
    listed = listing(target)
    for (below, above), code in zip(pairwise(listed.values), listed.codes, strict=False):
        middle = (below + above) / 2
        up = first_ordinal(source, middle)
        low, high = (source.value_at(place).fraction() for place in (up - 1, up))
        if high != middle and (high - middle, source.from_ordinal(up) % 2) < (middle - low, 1):
            rounded.append((up, code))
    return tuple(rounded)


def run(
    comparison: Comparison,
    codes: Array,
    out: Array,
    flags: Array | None = None,
    random: Array | None = None,
    *_: object,
) -> None:
    """Sort the codes into the intervals."""
    source, policy = comparison.cast.source, comparison.cast.policy
    ordinals = ordinals_of(codes, source, nan=0)
    negative = is_negative(codes, source)
    if policy.flush_inputs == "always":
        ordinals = np.where(np.abs(ordinals) < source.min_normal_code, 0, ordinals)
    if random is None:
        place = np.searchsorted(comparison.starts, ordinals, side="right")
        out[...], raised = comparison.codes[place], comparison.flags[place]
    else:
        out[...], raised = encode_each(map(source.value_at, ordinals.tolist()), comparison.cast.target, policy, random)
    nan, infinite = is_nan(codes, source), is_infinite(codes, source)
    zero = (ordinals == 0) & ~nan & source.zero
    for value, (code, flag) in comparison.specials:
        kind = nan if value.kind == NAN else infinite if value.kind != FINITE else zero
        chosen = kind & (negative == value.negative)
        out[chosen], raised[chosen] = code, flag
    if flags is not None:
        flags[...] = raised
