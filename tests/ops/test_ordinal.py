"""Ordinals, neighbours and distances, against the order of the exact values."""

import math
from itertools import pairwise

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, POSITIVE_INFINITY
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat
from lowbit.ops.cast.ordinal import from_ordinal, next_after, ordinal, ulp_distance
from lowbit.oracle.cast.decode import decode

SMALL = [
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e8m0fnu",
    "float8_e4m3fnu",
    "float4_e2m1fn",
    "float6_e3m2fn",
    "binary8p4se",
    "binary6p1uf",
    "int4",
    "uint3",
    "int4_narrow",
    "q2.3",
]


def codes_of(fmt):
    low, high = (0, (1 << fmt.bits) - 1) if fmt.kind == "float" else (fmt.min_code, fmt.max_code)
    return range(low, high + 1)


def real(value):
    if value.kind == FINITE:
        return float(value.fraction())
    return math.inf if value.kind == POSITIVE_INFINITY else -math.inf


@pytest.mark.parametrize("name", SMALL)
def test_ordinals_number_the_values_in_their_order(name):
    fmt = get_format(name)
    values = {code: decode(code, fmt) for code in codes_of(fmt)}
    reals = {code: real(value) for code, value in values.items() if value.kind != NAN}
    ordinals = dict(zip(reals, ordinal(list(reals), fmt).tolist(), strict=True))
    # Equal values have equal ordinals, and the distinct ones are consecutive.
    pairs = sorted({(reals[code], ordinals[code]) for code in reals})
    assert len(pairs) == len(set(reals.values()))
    steps = [after - before for (_, before), (_, after) in pairwise(pairs)]
    assert set(steps) == {1}
    assert ordinals[0] == 0


@pytest.mark.parametrize("name", SMALL)
def test_next_after_is_the_next_exact_value(name):
    fmt = get_format(name)
    values = {code: decode(code, fmt) for code in codes_of(fmt)}
    reals = sorted({real(value) for value in values.values() if value.kind != NAN})
    for direction, step in (("up", 1), ("down", -1)):
        result = next_after(np.array(list(values)), fmt, direction=direction)
        assert result.dtype == np.dtype(fmt.code_dtype)
        for code, after in zip(values, result.tolist(), strict=True):
            if values[code].kind == NAN:
                assert after == code
                continue
            place = reals.index(real(values[code])) + step
            expected = reals[min(max(place, 0), len(reals) - 1)]
            assert real(values[after]) == expected


@pytest.mark.parametrize("name", SMALL)
def test_from_ordinal_is_the_inverse(name):
    fmt = get_format(name)
    codes = np.array([code for code in codes_of(fmt) if decode(code, fmt).kind != NAN])
    if fmt.kind == "float" and fmt.negative_zero:
        codes = codes[codes != fmt.sign_bit]
    back = from_ordinal(ordinal(codes, fmt), fmt)
    assert back.dtype == np.dtype(fmt.code_dtype)
    assert back.tolist() == codes.tolist()


def test_next_up_keeps_the_sign_of_zero():
    # IEEE 754-2019 5.3.1: nextUp of the negative number of least magnitude is -0.
    assert next_after(0x81, "float8_e4m3fn") == 0x80
    assert next_after(0x80, "float8_e4m3fn") == 0x01
    assert next_after(0x01, "float8_e4m3fn", direction="down") == 0x00
    assert next_after(0x00, "float8_e4m3fn", direction="down") == 0x81
    assert next_after(0x81, "float8_e4m3fnuz") == 0x00


@pytest.mark.parametrize("name", ["float16", "float32", "float64"])
def test_against_numpy(name):
    fmt, dtype = get_format(name), np.dtype(name)
    random = np.random.default_rng(5)
    codes = random.integers(0, 1 << fmt.bits, 2000, dtype=np.uint64, endpoint=False).astype(fmt.code_dtype)
    codes[:4] = [0, 1, fmt.sign_bit, fmt.max_code]
    values = codes.view(dtype)
    for direction, limit in (("up", np.inf), ("down", -np.inf)):
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            expected = np.nextafter(values, dtype.type(limit))
        # NumPy goes from -min to -0 and from min to +0 as well; NaN payloads are not its promise.
        finite = ~np.isnan(values)
        assert (next_after(codes, fmt, direction=direction)[finite] == expected.view(fmt.code_dtype)[finite]).all()


def test_ulp_distance():
    assert ulp_distance(0x38, 0x3A, "float8_e4m3fn") == 2
    assert ulp_distance(0x01, 0x81, "float8_e4m3fn") == 2
    assert ulp_distance(0x00, 0x80, "float8_e4m3fn") == 0
    assert ulp_distance([-128, 127], [127, 127], "int8").tolist() == [255, 0]
    top, bottom = 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF
    assert ulp_distance(np.uint64([top]), np.uint64([bottom]), "float64").tolist() == [2 * 0x7FEFFFFFFFFFFFFF]


def test_ulp_distance_of_nans():
    with pytest.raises(InputError, match="0x7f at index 1 is a NaN of float8_e4m3fn"):
        ulp_distance([0, 0x7F], [0, 0], "float8_e4m3fn")
    assert ulp_distance([0x7F, 0x7F, 0], [0xFF, 0, 1], "float8_e4m3fn", nan=99).tolist() == [0, 99, 1]


def test_ordinal_of_nan():
    with pytest.raises(InputError, match="is a NaN"):
        ordinal(0x80, "float8_e4m3fnuz")
    assert ordinal([0x80, 1], "float8_e4m3fnuz", nan=-1000).tolist() == [-1000, 1]


def test_limits_of_64_bits():
    assert ordinal(-(1 << 63), "int64") == -(1 << 63)
    assert next_after(np.int64([(1 << 63) - 1]), "int64").tolist() == [(1 << 63) - 1]


UNSIGNED_64 = ["uint64", FixedFormat(id="half_scale", bits=64, signed=False, fraction_bits=32)]
LONG_CODES = [0, 1, (1 << 63) - 1, 1 << 63, (1 << 63) + 1, (1 << 64) - 2, (1 << 64) - 1]


@pytest.mark.parametrize("fmt", UNSIGNED_64)
@pytest.mark.parametrize("kind", [list, np.uint64])
def test_unsigned_integers_of_64_bits(fmt, kind):
    codes = kind(LONG_CODES)
    assert ordinal(codes, fmt).dtype == np.uint64
    assert ordinal(codes, fmt).tolist() == LONG_CODES
    assert from_ordinal(codes, fmt).tolist() == LONG_CODES
    assert next_after(codes, fmt).tolist() == [min(code + 1, (1 << 64) - 1) for code in LONG_CODES]
    assert next_after(codes, fmt, direction="down").tolist() == [max(code - 1, 0) for code in LONG_CODES]
    assert ulp_distance(codes, codes[::-1], fmt).tolist() == [
        abs(first - second) for first, second in zip(LONG_CODES, LONG_CODES[::-1], strict=True)
    ]


def test_a_scalar_of_64_bits():
    assert next_after((1 << 63) - 1, "uint64") == 1 << 63
    assert from_ordinal(1 << 63, "uint64") == ordinal(1 << 63, "uint64") == 1 << 63
    assert ulp_distance((1 << 64) - 1, 0, "uint64") == (1 << 64) - 1
    with pytest.raises(InputError, match="0x8000000000000000 is not a code of int64 by ordinal"):
        from_ordinal(1 << 63, "int64")


def test_a_list_of_codes_below_and_from_half_the_range():
    # NumPy alone would make floats of it.
    assert ordinal([1, (1 << 63) + 1], "float64").tolist() == [1, -1]


@pytest.mark.parametrize("nan", [1 << 70, 1 << 63, -(1 << 63) - 1, 0.5, "x", True])
def test_the_ordinal_of_nans_is_an_int64(nan):
    with pytest.raises(InputError, match=f"nan = {nan}|nan = 'x'"):
        ordinal([0x7F, 0], "float8_e4m3fn", nan=nan)


@pytest.mark.parametrize("nan", [-1, 1 << 64, 0.5, "x", True])
def test_the_distance_of_nans_is_a_uint64(nan):
    with pytest.raises(InputError, match=f"nan = {nan}|nan = 'x'"):
        ulp_distance([0x7F, 0], [0, 0], "float8_e4m3fn", nan=nan)


def test_the_largest_nan_numbers():
    assert ordinal([0x7F], "float8_e4m3fn", nan=-(1 << 63)).tolist() == [-(1 << 63)]
    assert ulp_distance([0x7F], [0], "float8_e4m3fn", nan=(1 << 64) - 1).tolist() == [(1 << 64) - 1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ordinal(256, "float8_e5m2"), "0x100 is not a code of float8_e5m2"),
        (lambda: ordinal([0, -1], "float8_e5m2"), "-0x1 at index 1"),
        (lambda: from_ordinal([0, 125], "float8_e5m2"), "0x7d at index 1"),
        (lambda: from_ordinal(0.5, "float8_e5m2"), "integers, not float64"),
        (lambda: ordinal([1, 1 << 64], "uint64"), "codes of uint64 are integers, not object"),
        (lambda: ordinal([[0], [0, 1]], "float8_e5m2"), "differ in length"),
        (lambda: ulp_distance([0, 1], [0, 1, 2], "float8_e5m2"), r"shapes \(2,\) and \(3,\)"),
        (lambda: next_after(0, "float8_e5m2", direction=["up"]), "neither 'up' nor 'down'"),
        (lambda: next_after(0, "float8_e5m2", direction="left"), "'left' is neither 'up' nor 'down'"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(InputError, match=message):
        call()


def test_a_scalar_gives_a_scalar():
    assert type(ordinal(3, "float8_e5m2")) is int
    assert type(next_after(3, "float8_e5m2")) is int
    assert type(from_ordinal(3, "float8_e5m2")) is int
