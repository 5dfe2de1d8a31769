"""Codebooks and power grids: their values, from the formulas of their sources; lists of one's own."""

from fractions import Fraction
from math import isnan

import numpy as np
import pytest

import lowbit
from lowbit import oracle
from lowbit.errors import FormatError
from lowbit.exact import NAN

TABLES = lowbit.formats(kind="table")
every_table = pytest.mark.parametrize("name", TABLES)


def linspace(start, end, count):
    """As PyTorch computes it in binary32 with fused multiply-adds, which binary64 holds before the one rounding."""
    start, end = np.float32(start), np.float32(end)
    step = np.float64(np.float32(end - start) / np.float32(count - 1))
    points = [start + step * place for place in range(count // 2)]
    return np.float32([*points, *(end - step * (count - 1 - place) for place in range(count // 2, count))])


@pytest.mark.parametrize(("name", "positive", "offset"), [("nf4", 8, 0.9677083), ("nf3", 4, 1 - (1 / 16 + 1 / 14) / 2)])
def test_normal_floats_are_quantiles(name, positive, offset):
    stats = pytest.importorskip("scipy.stats")
    above, below = (
        stats.norm.ppf(linspace(offset, 0.5, steps + 1)[:-1].astype(np.float64)) for steps in (positive, positive - 1)
    )
    values = np.sort(np.float32([*above, 0, *-below]))
    assert lowbit.decode(range(2 * positive), name).tolist() == (values / values.max()).tolist()


def test_fp4_of_bitsandbytes_is_twelfths_by_sign_and_magnitude():
    twelfths = np.float32([0, 0.0625, 8, 12, 4, 6, 2, 3]) / np.float32(12)
    assert lowbit.decode(range(16), "bnb_fp4").tobytes() == np.concatenate([twelfths, -twelfths]).tobytes()


@pytest.mark.parametrize(("name", "signed"), [("bnb_dynamic8", True), ("bnb_dynamic8u", False)])
def test_dynamic_maps_are_means_in_seven_decades(name, signed):
    values = [np.float32(0), np.float32(1)]
    for decade in range(7):
        points = linspace(0.1, 1, 2 ** (decade + (not signed)) + 1)
        means = (points[:-1] + points[1:]) / np.float32(2) * np.float32(10 ** (decade - 6))
        values += [*means, *(-means if signed else ())]
    assert lowbit.decode(range(256), name).tolist() == np.sort(np.float32(values)).tolist()


def test_abnormal_float_prints_as_its_source_does():
    printed = "-1 -0.69441008 -0.51243739 -0.3736951 -0.25607552 -0.14982478 -0.04934812 0 0.04273164 0.12934483"
    printed += " 0.21961274 0.31675666 0.42563882 0.55496234 0.72424863 1"
    assert lowbit.decode(range(16), "af4").tolist() == np.float32(printed.split()).tolist()


@every_table
def test_every_code_is_worth_what_is_listed_in_binary32(name):
    fmt = lowbit.get_format(name)
    codes = np.arange(1 << fmt.bits, dtype=np.uint8)
    values = lowbit.decode(codes, fmt)
    exact = [oracle.decode(code, fmt) for code in fmt.codes]
    for value, known in zip(values.tolist(), exact, strict=True):
        assert isnan(value) if known.kind == NAN else Fraction(value) == known.fraction()
    first = [exact.index(known) for known in exact]  # of several codes with one value the lowest
    assert lowbit.encode(values, fmt).tolist() == first
    assert lowbit.encode(values.astype(np.float64), fmt).tolist() == first


@every_table
def test_random_values_go_to_the_nearest(name):
    fmt = lowbit.get_format(name)
    table = lowbit.decode(range(1 << fmt.bits), fmt, dtype=np.float64)
    values = np.random.default_rng(7).uniform(float(np.nanmin(table)), 1, 2000).astype(np.float32)
    distance = np.abs(table[lowbit.encode(values, fmt)] - values)
    assert (distance == np.nanmin(np.abs(table[:, None] - values.astype(np.float64)), axis=0)).all()


def test_a_power_grid_is_even_after_the_power():
    assert lowbit.get_format("power4_0.5").values == lowbit.power_format(4, 0.5).values
    half = lowbit.decode(range(16), lowbit.power_format(4, Fraction(1, 2)))
    assert np.allclose(np.sign(half) * np.abs(half) ** 0.5 * 7, [*range(8), np.nan, *range(-7, 0)], equal_nan=True)
    assert half[[1, 3]].tolist() == [np.float32(1 / 49), np.float32(9 / 49)]
    even = lowbit.decode(range(16), lowbit.power_format(4, 1))
    assert even[:8].tolist() == (np.arange(8, dtype=np.float32) / np.float32(7)).tolist()
    assert lowbit.power_format(5, 0.3, id="mine").id == "mine"
    assert lowbit.power_format(8, 2).id == "custom_power8_2"


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((1, 0.5), "bits = 1 is not an integer from 2 to 12"),
        ((4.0, 0.5), "bits = 4.0 is not an integer"),
        ((4, 0), "exponent = 0 is not a number above 0"),
        ((4, float("nan")), "exponent = nan is not"),
        ((4, 17), "at most 16"),
        ((4, True), "exponent = True"),
        ((4, 1e-300), "exponent = 1e-300: two of the 8 magnitudes of 4 bits are one number in binary32"),
    ],
)
def test_power_grids_that_are_refused(arguments, match):
    with pytest.raises(FormatError, match=match):
        lowbit.power_format(*arguments)


def test_a_table_of_ones_own():
    fmt = lowbit.table_format(np.float32([-1, -0.1, 0, 0.6]))
    assert (fmt.id, fmt.bits, fmt.values[1].fraction()) == ("custom_table2", 2, Fraction(float(np.float32(-0.1))))
    assert lowbit.encode([-0.04, -0.06, 0.31, 9.0], fmt).tolist() == [2, 1, 3, 3]
    shuffled = lowbit.table_format([0.0, 2, float("nan"), -0.0], ordered=False, id="mine")
    assert lowbit.encode([1.1, -0.1, float("nan")], shuffled).tolist() == [1, 3, 2]


WRONG = [
    ([1, 2, 3], {}, r"3 values are not one for each of 2\^2 codes"),
    ([], {}, "0 values"),
    ([1, "2"], {}, "values: '2', of code 1, is not a number"),
    (None, {}, "values = None is not a list of numbers"),
    ([0, 2**60 + 1], {}, "more than 53 significant bits"),
    ([0, 10**400], {}, "more than 53 significant bits"),
    ([1, True], {}, "True, of code 1"),
    ([0, 0.5, 0.25, 1], {}, "code 2 is worth 0.25, less than code 1, which is worth 0.5"),
    ([0, float("inf"), 0.25, 1], {}, "code 2 is worth 0.25, less than code 1"),
    ([0, 1, 1, 2], {}, "codes 1 and 2 are both worth 1"),
    ([0, 1, 1, 2], {"ordered": False}, "codes 1 and 2 are both worth 1"),
    ([0, 1], {"id": "nf4"}, "belongs to another format"),
    ([0, 1], {"id": "N F"}, "is not an id"),
    ([0, 1], {"default_policy": "nope"}, "'nope' is not a preset"),
    ([0, -0.0], {"ordered": False}, "no value differs from zero"),
]


@pytest.mark.parametrize(("values", "options", "match"), WRONG)
def test_tables_that_are_refused(values, options, match):
    with pytest.raises(FormatError, match=match):
        lowbit.table_format(values, **options)
