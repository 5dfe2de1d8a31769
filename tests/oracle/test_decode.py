"""Decoding against figures printed in the standards and against the formula of P3109."""

import struct
from fractions import Fraction

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, NEGATIVE_INFINITY, POSITIVE_INFINITY, Exact, from_float
from lowbit.format.registry import formats, get_format
from lowbit.format.scalar import FloatFormat
from lowbit.oracle import decode
from lowbit.oracle.cast.decode import magnitude_value
from lowbit.vectors.recipes import p3109_names

FLOATS = [name for name in formats(kind="scalar") if isinstance(get_format(name), FloatFormat)]
SMALL_FLOATS = [name for name in FLOATS if get_format(name).bits <= 16]

# OCP OFP8 v1.0 table 1 and 2, OCP MX v1.0 tables 1 to 5 and section 5.4: code -> value, as printed.
OCP = [
    ("float8_e4m3fn", 0x7E, "448"),
    ("float8_e4m3fn", 0x08, "1/64"),
    ("float8_e4m3fn", 0x07, "7/512"),
    ("float8_e4m3fn", 0x01, "1/512"),
    ("float8_e4m3fn", 0xFE, "-448"),
    ("float8_e5m2", 0x7B, "57344"),
    ("float8_e5m2", 0x04, "1/16384"),
    ("float8_e5m2", 0x03, "3/65536"),
    ("float8_e5m2", 0x01, "1/65536"),
    ("float6_e3m2fn", 0x1F, "28"),
    ("float6_e3m2fn", 0x04, "1/4"),
    ("float6_e3m2fn", 0x03, "3/16"),
    ("float6_e3m2fn", 0x01, "1/16"),
    ("float6_e2m3fn", 0x1F, "15/2"),
    ("float6_e2m3fn", 0x08, "1"),
    ("float6_e2m3fn", 0x07, "7/8"),
    ("float6_e2m3fn", 0x01, "1/8"),
    ("float4_e2m1fn", 0x7, "6"),
    ("float4_e2m1fn", 0x2, "1"),
    ("float4_e2m1fn", 0x1, "1/2"),
    ("float4_e2m1fn", 0xF, "-6"),
    ("float8_e8m0fnu", 127, "1"),
    ("float8_e8m0fnu", 254, str(2**127)),
    ("float8_e8m0fnu", 0, f"1/{2**127}"),
]


@pytest.mark.parametrize(("name", "code", "value"), OCP)
def test_ocp_figures(name, code, value):
    assert decode(code, get_format(name)).fraction() == Fraction(value)


@pytest.mark.parametrize(
    ("name", "code", "kind", "negative"),
    [
        ("float8_e4m3fn", 0x7F, NAN, False),
        ("float8_e4m3fn", 0xFF, NAN, True),
        ("float8_e5m2", 0x7C, POSITIVE_INFINITY, False),
        ("float8_e5m2", 0xFC, NEGATIVE_INFINITY, True),
        ("float8_e5m2", 0x7D, NAN, False),
        ("float8_e5m2", 0xFF, NAN, True),
        ("float8_e8m0fnu", 0xFF, NAN, False),
        ("float8_e4m3fnuz", 0x80, NAN, True),
        ("float8_e4m3fn", 0x80, FINITE, True),
    ],
)
def test_special_codes(name, code, kind, negative):
    value = decode(code, get_format(name))
    assert (value.kind, value.negative) == (kind, negative)


def test_all_values_of_e2m1():
    values = [decode(code, get_format("float4_e2m1fn")).fraction() for code in range(8)]
    assert [str(value) for value in values] == ["0", "1/2", "1", "3/2", "2", "3", "4", "6"]


def test_nan_carries_its_mantissa_field():
    assert decode(0xFFC12345, get_format("float32")) == Exact(NAN, 0x412345, -23, True)
    assert decode(0x80, get_format("float8_e5m2fnuz")) == Exact(NAN, 0, -2, True)


def p3109_decode(code, bits, precision, signed, extended):
    """P3109 v4.0 4.7.2, as printed; None for NaN, a string for infinities."""
    half = 2 ** (bits - 1)
    if code == (half if signed else 2**bits - 1):
        return None
    if extended and code == (half - 1 if signed else 2**bits - 2):
        return "+inf"
    if extended and signed and code == 2**bits - 1:
        return "-inf"
    if signed and half < code:
        return -p3109_decode(code - half, bits, precision, signed, extended)
    bias = 2 ** (bits - precision - 1) if signed else 2 ** (bits - precision)
    trailing, exponent = code % 2 ** (precision - 1), code // 2 ** (precision - 1)
    significand = Fraction(trailing, 2 ** (precision - 1))
    if exponent == 0:
        return significand * Fraction(2) ** (1 - bias)
    return (1 + significand) * Fraction(2) ** (exponent - bias)


def members(sizes):
    """(name, K, P) of every P3109 format of these sizes."""
    return [(name, *(int(figure) for figure in name[len("binary") : -2].split("p"))) for name in p3109_names(sizes)]


@pytest.mark.parametrize(("name", "bits", "precision"), members(range(3, 9)))
def test_p3109_formula(name, bits, precision):
    fmt, signed, extended = get_format(name), name[-2] == "s", name[-1] == "e"
    for code in range(2**bits):
        value = decode(code, fmt)
        expected = p3109_decode(code, bits, precision, signed, extended)
        if expected is None:
            assert value.kind == NAN
        elif isinstance(expected, str):
            assert value.kind == (POSITIVE_INFINITY if expected == "+inf" else NEGATIVE_INFINITY)
        else:
            assert value.kind == FINITE
            assert value.fraction() == expected


@pytest.mark.exhaustive
@pytest.mark.parametrize(("name", "bits", "precision"), members(range(9, 17)))
def test_p3109_formula_wide(name, bits, precision):
    fmt, signed, extended = get_format(name), name[-2] == "s", name[-1] == "e"
    for code in range(0, 2**bits, 1 if bits < 13 else 61):
        expected = p3109_decode(code, bits, precision, signed, extended)
        if expected is not None and not isinstance(expected, str):
            assert decode(code, fmt).fraction() == expected


@pytest.mark.parametrize("name", SMALL_FLOATS)
def test_values_rise_with_the_magnitude_code(name):
    fmt = get_format(name)
    values = [decode(code, fmt) for code in range(fmt.max_code + 1)]
    assert all(value.kind == FINITE for value in values)
    scaled = [value.significand << (value.exponent - fmt.smallest_exponent) for value in values]
    assert scaled == sorted(set(scaled))


@pytest.mark.parametrize("name", FLOATS)
def test_own_formula_agrees_with_the_derived_properties(name):
    fmt = get_format(name)
    codes = {0, 1, fmt.min_normal_code, fmt.max_code, fmt.max_code + 1, fmt.max_code // 2}
    for code in codes:
        assert magnitude_value(code, fmt).reduced() == fmt.magnitude(code).reduced()


def test_float16_and_float32_against_the_machine():
    halves = np.arange(0x7C00, dtype=np.uint16)
    for code, expected in zip(halves.tolist(), halves.view(np.float16).tolist(), strict=True):
        assert decode(code, get_format("float16")).fraction() == Fraction(expected)
    for code in (1, 0x7FFFFF, 0x800000, 0x3F800001, 0x7F7FFFFF, 0xBF9D70A4):
        expected = struct.unpack("<f", struct.pack("<I", code))[0]
        assert decode(code, get_format("float32")).fraction() == Fraction(expected)


def test_float64_reads_as_a_python_float():
    for value in (0.1, -2.5, 5e-324, 1.7976931348623157e308, -0.0, float("inf")):
        code = struct.unpack("<Q", struct.pack("<d", value))[0]
        assert decode(code, get_format("float64")).reduced() == from_float(value).reduced()


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("float8_e4m3fn", 256),
        ("float8_e4m3fn", -1),
        ("float4_e2m1fn", 16),
        ("float8_e4m3fnu", 128),
        ("int8", 128),
        ("uint4", -1),
        ("int8_narrow", -128),
    ],
)
def test_codes_out_of_range_are_refused(name, code):
    with pytest.raises(InputError, match="is not a code of"):
        decode(code, get_format(name))


def test_integers_and_fixed_point():
    assert decode(-128, get_format("int8")).fraction() == -128
    assert decode(-3, get_format("q2.6")).fraction() == Fraction(-3, 64)
    assert decode(255, get_format("uq4.4")).fraction() == Fraction(255, 16)
