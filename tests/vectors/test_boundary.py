"""The directed generator keeps its promises: checked with exact fractions, not with its own arithmetic."""

from __future__ import annotations

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import FINITE, finite
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat
from lowbit.oracle.cast.decode import decode
from lowbit.oracle.cast.project import project
from lowbit.policy.cast import Policy
from lowbit.vectors.cast.boundary import boundary
from lowbit.vectors.cast.points import floor_codes, magnitudes, max_magnitude, points
from lowbit.vectors.cast.representative import class_flags, representative_codes
from lowbit.vectors.flags import cast as f
from lowbit.vectors.patterns import from_patterns, to_patterns
from lowbit.vectors.splitmix import splitmix64

DOWN = Policy(rounding="toward_zero")
SOURCES = ("float64", "float32", "float16", "bfloat16", "tf32")
TARGETS = (
    *("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e8m0fnu", "float8_e5m3fnu", "float6_e2m3fn"),
    *("float4_e2m1fn", "float4_e3m0", "binary8p1sf", "binary6p3ue", "int8", "uint4", "int4_narrow", "q4.4"),
)


def magnitude_value(fmt, code):
    """The value of a magnitude code, two virtual ones beyond the largest included."""
    if isinstance(fmt, FixedFormat):
        return Fraction(code) / Fraction(2) ** fmt.fraction_bits
    return fmt.magnitude(code).fraction()


def finite_values(made, source):
    """code -> exact value of the finite rows."""
    decoded = {code: decode(code, source) for code in made.codes.tolist()}
    return {code: value.fraction() for code, value in decoded.items() if value.kind == FINITE}


def all_midpoints(target):
    values = [magnitude_value(target, code) for code in range(max_magnitude(target) + 3)]
    return [(code, (low + high) / 2) for code, (low, high) in enumerate(pairwise(values))]


@pytest.mark.parametrize("target_name", TARGETS)
def test_reach_0_is_part_of_every_reach(target_name):
    source, target = get_format("float32"), get_format(target_name)
    alone, usual = boundary(source, target, reach=0), boundary(source, target)
    assert set(alone.codes.tolist()) < set(usual.codes.tolist())
    assert f.NEAR_TIE not in alone.flag_names
    with pytest.raises(InputError, match="reach = -1 is negative"):
        boundary(source, target, reach=-1)


@pytest.mark.parametrize("target_name", TARGETS)
@pytest.mark.parametrize("source_name", ["float32", "float16", "float64"])
def test_every_midpoint_and_its_neighbours_are_there(source_name, target_name):
    source, target = get_format(source_name), get_format(target_name)
    made = boundary(source, target)
    codes, values = set(made.codes.tolist()), finite_values(made, source)
    present = set(values.values())
    largest = source.max.fraction()
    held = 0
    for _, middle in all_midpoints(target):
        below = project(finite(middle.numerator, 1 - middle.denominator.bit_length()), source, DOWN)
        exact = below.flags == 0
        if middle > largest:
            continue
        held += exact
        assert exact == (middle in present)
        for step in (-3, -2, -1, 1, 2, 3) if exact else (0, 1, 2):
            code = below.code + step
            if 0 <= code <= source.max_code:
                assert code in codes, f"{source} code {code:#x}, {step} beside the tie {middle}"
    assert held > 0


@pytest.mark.parametrize("target_name", TARGETS)
def test_flags_say_what_the_rows_are(target_name):
    source, target = get_format("float32"), get_format(target_name)
    made = boundary(source, target)
    values = finite_values(made, source)
    lower_of = {middle: code for code, middle in all_midpoints(target)}
    seen = set()
    for code, flag in zip(made.codes.tolist(), made.flags.tolist(), strict=True):
        seen.add(flag)
        value = abs(values[code]) if code in values else None
        if flag in (f.TIE_EVEN, f.TIE_ODD):
            assert lower_of[value] % 2 == (flag == f.TIE_ODD)
        elif flag == f.CARRY_TO_EXPONENT:
            assert (lower_of[value] + 1) % (1 << target.mantissa_bits) == 0
        elif flag == f.OVERFLOW_TIE:
            assert lower_of[value] == target.max_code
        elif flag in (f.NEAR_TIE, f.DOUBLE_ROUNDING, f.NEAR_VALUE, f.STICKY):
            assert value not in lower_of
        elif flag == f.SUBNORMAL:
            assert 0 < value < target.min_normal.fraction()
        elif flag == f.NEGATIVE:
            assert not target.signed
            assert values[code] < 0
        elif flag == f.NEGATIVE_ZERO:
            assert value == 0
        elif flag in (f.NAN_SIGN, f.NAN_PAYLOAD, f.INFINITY):
            assert value is None
    assert {f.TIE_EVEN, f.NEAR_TIE, f.NEAR_VALUE, f.INFINITY, f.NAN_SIGN, f.NAN_PAYLOAD, f.NEGATIVE_ZERO} <= seen
    assert set(made.flag_names) == seen


def rounded_to(value, precision):
    """Nearest even with an unbounded exponent."""
    exponent = 0
    while value * Fraction(2) ** exponent >= 1 << precision:
        exponent -= 1
    while value * Fraction(2) ** exponent < 1 << (precision - 1):
        exponent += 1
    return Fraction(round(value * Fraction(2) ** exponent)) / Fraction(2) ** exponent


@pytest.mark.parametrize(
    ("source_name", "precisions"), [("float64", {24, 11, 8}), ("float32", {11, 8}), ("float16", {8})]
)
def test_double_rounding_rows_become_ties_in_the_intermediate_format(source_name, precisions):
    source, target = get_format(source_name), get_format("float8_e4m3fn")
    made = boundary(source, target)
    ties = {middle for _, middle in all_midpoints(target)}
    values = finite_values(made, source)
    killed = set()
    rows = [abs(values[code]) for code in made.codes[made.flags == f.DOUBLE_ROUNDING].tolist()]
    for value in rows:
        found = {precision for precision in (24, 11, 8) if rounded_to(value, precision) in ties}
        assert found, f"{value} vanishes in no intermediate format"
        killed |= found
    assert precisions <= killed
    assert len(rows) >= 2 * len(ties)


@pytest.mark.parametrize(
    "name", ["float8_e4m3fn", "float8_e8m0fnu", "float8_e4m3fnuz", "int8", "uint4", "float6_e2m3fn"]
)
def test_a_small_source_is_listed_whole(name):
    source = get_format(name)
    made = boundary(source, get_format("float8_e5m2"))
    assert sorted(to_patterns(made.codes, source).tolist()) == list(range(1 << source.bits))


@pytest.mark.parametrize("target_name", TARGETS)
@pytest.mark.parametrize("source_name", [*SOURCES, "int32", "int64", "uint64"])
def test_rows_are_unique_ordered_and_reproducible(source_name, target_name):
    source, target = get_format(source_name), get_format(target_name)
    made, again = boundary(source, target), boundary(source, target)
    patterns = to_patterns(made.codes, source)
    assert (patterns[1:] > patterns[:-1]).all()
    assert np.array_equal(made.codes, again.codes)
    assert np.array_equal(made.flags, again.flags)
    assert np.array_equal(to_patterns(from_patterns(patterns, source), source), patterns)
    assert len(made) == len(made.flags) > 8


def test_the_ends_of_64_bit_integers_are_there():
    made = boundary(get_format("int64"), get_format("float16"))
    assert {-(1 << 63), (1 << 63) - 1, 0} <= set(made.codes.tolist())
    made = boundary(get_format("uint64"), get_format("float16"))
    assert made.codes.dtype == np.uint64
    assert {(1 << 64) - 1, 0} <= set(made.codes.tolist())


def test_the_lowest_binade_of_e8m0_is_met_from_float32_subnormals():
    source, target = get_format("float32"), get_format("float8_e8m0fnu")
    made = boundary(source, target)
    values = finite_values(made, source)
    low, high = Fraction(1, 1 << 127), Fraction(3, 1 << 128)
    inside = [code for code, value in values.items() if low < value < high]
    assert len(inside) >= 20
    assert all(code < source.min_normal_code for code in inside)


def test_nans_of_every_class():
    made = boundary(get_format("float32"), get_format("float16"))
    nans = {code for code in made.codes.tolist() if code & 0x7FFFFFFF > 0x7F800000}
    quiet, all_ones, lowest, vanishing = 0x7FC00000, 0x7FFFFFFF, 0x7F800001, 0x7F800004
    for code in (quiet, all_ones, lowest, vanishing):
        assert {code, code | 1 << 31} <= nans


def test_a_set_for_an_8_bit_target_takes_less_than_50_milliseconds():
    source, target = get_format("float32"), get_format("float8_e4m3fn")
    boundary(source, target)
    best = min(_seconds(source, target) for _ in range(5))
    assert best < 0.05


def _seconds(source, target):
    start = time.perf_counter()
    boundary(source, target)
    return time.perf_counter() - start


@pytest.mark.parametrize(
    "name", ["float64", "float16", "float8_e8m0fnu", "binary16p1ue", "binary12p7sf", "int8", "uint64", "q8.8"]
)
def test_floor_codes_against_fractions(name):
    fmt = get_format(name)
    top = max_magnitude(fmt)
    sample = sorted({0, 1, 2, top, top - 1, *(int(code) % (top + 1) for code in splitmix64(3, 60))})
    codes = np.array(sample, dtype=np.uint64)
    floor, exact, valid = floor_codes(magnitudes(fmt, codes), fmt)
    assert exact.all()
    assert valid.all()
    assert floor.tolist() == sample
    for significand, exponent in zip((splitmix64(7, 80) >> np.uint64(12)).tolist(), range(-60, 20), strict=True):
        value = Fraction(significand) * Fraction(2) ** exponent
        floor, exact, valid = floor_codes(points([significand], [exponent]), fmt)
        code = int(floor[0])
        if not valid[0]:
            assert value < magnitude_value(fmt, 0)
            continue
        assert magnitude_value(fmt, code) <= value
        assert code == top or value < magnitude_value(fmt, code + 1)
        assert bool(exact[0]) == (magnitude_value(fmt, code) == value)


@pytest.mark.parametrize("name", ["float16", "bfloat16", "float8_e5m2", "float8_e4m3fnuz", "int16", "uint3"])
def test_representative_codes_hold_every_class(name):
    fmt = get_format(name)
    patterns = representative_codes(fmt)
    assert len(patterns) == (1 << fmt.bits if fmt.bits <= 10 else len(set(patterns.tolist())))
    kinds = {decode(code, fmt).kind for code in from_patterns(patterns, fmt).tolist()}
    assert kinds == ({0} if isinstance(fmt, FixedFormat) else {0, 3} if fmt.infinity is None else {0, 1, 2, 3})
    flags = class_flags(patterns, fmt).tolist()
    for code, flag in zip(from_patterns(patterns, fmt).tolist(), flags, strict=True):
        assert (flag in (f.NAN_SIGN, f.NAN_PAYLOAD)) == (decode(code, fmt).kind == 3)
