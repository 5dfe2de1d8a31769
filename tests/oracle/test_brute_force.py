"""Encoding against points built between known neighbours: nothing is searched, the answer follows from the place.

For two neighbours a < b of a format and a fraction t of the way from a to b, every rounding mode says which of the
two it is by t and the parity of a's code alone.
"""

from fractions import Fraction
from itertools import pairwise

import pytest

from lowbit.exact import finite
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat
from lowbit.oracle import decode, project
from lowbit.policy.cast import ROUNDINGS, Policy
from tests.thinned import thinned

SMALL = [
    name
    for name in formats(kind="scalar")
    if isinstance(get_format(name), FloatFormat)
    and (get_format(name).bits <= 6 or name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu", "float8_e5m2fnuz"))
]
P3109 = ["binary3p1se", "binary3p3uf", "binary4p2sf", "binary5p1ue", "binary6p3se"]
EXACT_MODES = [name for name in ROUNDINGS if not name.startswith("stochastic")]
HALF = Fraction(1, 2)
PLACES = [
    Fraction(1, 2**40),
    Fraction(1, 4),
    HALF - Fraction(1, 2**40),
    HALF,
    HALF + Fraction(1, 2**40),
    Fraction(7, 8),
]


def dyadic(value: Fraction):
    return finite(value.numerator, 1 - value.denominator.bit_length())


def goes_up(mode, place, odd, negative):
    """Whether a magnitude at ``place`` between neighbours, the lower with an odd code or not, goes up."""
    if mode.startswith("nearest_"):
        if place != HALF:
            return place > HALF
        ties = {"even": odd, "odd": not odd, "away": True, "zero": False, "up": not negative, "down": negative}
        return ties[mode.removeprefix("nearest_")]
    return {
        "toward_zero": False,
        "away_from_zero": True,
        "toward_positive": not negative,
        "toward_negative": negative,
        "to_odd": not odd,
    }[mode]


@pytest.mark.parametrize("name", SMALL + P3109)
def test_every_interval_in_every_mode(name):
    fmt = get_format(name)
    values = [decode(code, fmt).fraction() for code in range(fmt.max_code + 1)]
    for mode in EXACT_MODES:
        policy = Policy(rounding=mode)
        for code, (low, high) in enumerate(pairwise(values)):
            for place in PLACES:
                magnitude = low + (high - low) * place
                for negative in (False, True) if fmt.signed else (False,):
                    up = goes_up(mode, place, code % 2 == 1, negative)
                    result = project(dyadic(-magnitude if negative else magnitude), fmt, policy)
                    expected = code + up
                    if negative and (expected or fmt.negative_zero):
                        expected += fmt.sign_bit
                    assert result.code == expected, (name, mode, str(magnitude), negative)
                    neighbours = (-high, -low) if negative else (low, high)
                    assert result.lower is not None
                    assert result.upper is not None
                    assert (result.lower.fraction(), result.upper.fraction()) == neighbours


@pytest.mark.parametrize("name", SMALL + P3109)
def test_overflow_begins_at_the_rounded_value(name):
    """Between the largest value and the one that the next code would have, the mode decides whether it overflows."""
    fmt = get_format(name)
    low = decode(fmt.max_code, fmt).fraction()
    high = fmt.magnitude(fmt.max_code + 1).fraction()
    saturated = fmt.max_code
    for mode in EXACT_MODES:
        for place in PLACES:
            result = project(dyadic(low + (high - low) * place), fmt, Policy(rounding=mode, overflow="saturate"))
            up = goes_up(mode, place, fmt.max_code % 2 == 1, False)
            assert result.code == saturated
            assert bool(result.flags & 4) == up, (mode, place)
            assert result.saturated == up


@pytest.mark.parametrize("name", [name for name in formats(kind="scalar") if get_format(name).bits <= 16])
def test_round_trip_of_every_code(name):
    fmt = get_format(name)
    policy = Policy(nan_code="payload")
    codes = fmt.codes
    for code in codes if fmt.bits < 16 else (*codes[:300], *codes[::97], *codes[-300:]):
        value = decode(code, fmt)
        if value.kind != 3:
            result = project(value, fmt, policy)
            assert (result.code, result.flags) == (first_of(code, fmt), 0)
            if value.kind == 0:
                assert result.lower == result.upper
                assert result.lower.reduced() == value.reduced()
        else:
            assert decode(project(value, fmt, policy).code, fmt).kind == 3


def first_of(code, fmt):
    """The first code of a value, in a table that repeats values; elsewhere the code itself."""
    if fmt.kind != "table":
        return code
    return next(other for other in fmt.codes if decode(other, fmt) == decode(code, fmt))


@pytest.mark.parametrize("name", ["float8_e4m3fn", "float8_e5m2", "float6_e2m3fn", "float8_e8m0fnu", "int8", "q3.5"])
@pytest.mark.parametrize("mode", thinned(EXACT_MODES, 4))
def test_rounding_is_monotonic(name, mode):
    fmt = get_format(name)
    policy = Policy(rounding=mode, overflow="saturate", negative="zero")
    results = []
    for step in range(-2000, 2000):
        result = project(finite(step * 37, -7), fmt, policy)
        results.append(decode(result.code, fmt).fraction())
    assert results == sorted(results)
    assert len(set(results)) >= 8
