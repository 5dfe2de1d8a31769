"""Exception flags (IEEE 754-2019 clause 7) and the mark of saturation."""

import pytest

from lowbit.exact import INFINITY, MINUS_INFINITY, NEGATIVE_ZERO, NOT_A_NUMBER, ZERO, finite, parse_exact
from lowbit.format.registry import get_format
from lowbit.oracle import convert, project
from lowbit.oracle.cast.projection import flag_names
from lowbit.policy.cast import Policy

CASES = [
    ("float8_e4m3fn", "1", {}, ""),
    ("float8_e4m3fn", "17/16", {}, "NX"),
    ("float8_e4m3fn", ZERO, {}, ""),
    ("float8_e4m3fn", NEGATIVE_ZERO, {"negative_zero": "positive"}, ""),
    ("float8_e4m3fn", "480", {}, "OF NX"),
    ("float8_e4m3fn", "480", {"overflow": "nan"}, "OF NX"),
    ("float8_e4m3fn", "464", {}, "NX"),
    ("float8_e4m3fn", "1/512", {}, ""),
    ("float8_e4m3fn", "3/1024", {}, "UF NX"),
    ("float8_e4m3fn", NOT_A_NUMBER, {}, ""),
    ("float8_e4m3fn", INFINITY, {}, "NV"),
    ("float8_e5m2", INFINITY, {}, ""),
    ("float8_e5m2", INFINITY, {"infinity": "saturate"}, "NV"),
    ("float8_e5m2", INFINITY, {"infinity": "nan"}, "NV"),
    ("float4_e2m1fn", NOT_A_NUMBER, {}, "NV"),
    ("float8_e4m3fn", "7/512", {"flush_results": "after_rounding"}, "UF NX"),
    ("float8_e4m3fn", "15/1024", {"flush_results": "before_rounding"}, "UF NX"),
    ("float8_e4m3fnu", "-1", {}, "NV"),
    ("float8_e4m3fnu", "-1", {"negative": "zero"}, "NV"),
    ("float8_e4m3fnu", "-17/16", {"negative": "absolute"}, "NV NX"),
    ("float8_e4m3fnu", "-1e9", {"negative": "absolute"}, "NV OF NX"),
    ("float8_e4m3fnu", "-2^-20", {}, "UF NX"),
    ("float8_e4m3fnu", MINUS_INFINITY, {}, "NV"),
    ("float8_e8m0fnu", ZERO, {}, "NX"),
    ("float8_e8m0fnu", ZERO, {"zero": "nan"}, "NV"),
    ("float8_e8m0fnu", "2^-140", {}, "UF NX"),
    ("float8_e8m0fnu", "2^-140", {"underflow": "nan"}, "UF NX"),
    ("int8", "1", {}, ""),
    ("int8", "5/4", {}, "NX"),
    ("int8", "128", {}, "NV"),
    ("int8", "128", {"overflow": "wrap"}, "NV"),
    ("int8", "255/2", {"rounding": "toward_zero"}, "NX"),
    ("int8", "255/2", {}, "NV"),
    ("int8", NOT_A_NUMBER, {}, "NV"),
    ("uint8", "-1", {}, "NV"),
    ("uint8", "-1/4", {}, "NX"),
    ("q2.6", "1/128", {}, "NX"),
]


@pytest.mark.parametrize(("name", "value", "axes", "expected"), CASES)
def test_flags(name, value, axes, expected):
    exact = parse_exact(value) if isinstance(value, str) else value
    assert flag_names(project(exact, get_format(name), Policy(**axes)).flags) == expected


@pytest.mark.parametrize(
    ("value", "rounding", "tiny"),
    [
        # float16: the smallest normal value is 2^-14, the subnormal unit 2^-24. The unbounded grid has 2^-25 steps.
        ("2^-14", "nearest_even", False),
        ("4095/4096*2^-14", "nearest_even", False),  # a tie of the finer grid, to 2^-14
        ("16379/16384*2^-14", "nearest_even", True),  # rounds up to 2^-14, but to 2047*2^-25 on the finer grid
        ("16381/16384*2^-14", "nearest_even", False),
        ("4093/4096*2^-14", "away_from_zero", True),
        ("4095/4096*2^-14", "away_from_zero", False),
        ("4095/4096*2^-14", "toward_positive", False),
        ("4095/4096*2^-14", "toward_zero", True),
        ("1023/1024*2^-14", "nearest_even", False),  # exact: not underflow
    ],
)
def test_tininess_is_detected_after_rounding(value, rounding, tiny):
    result = project(parse_exact(value), get_format("float16"), Policy(rounding=rounding))
    assert bool(result.flags & 2) == tiny


def test_tininess_against_softfloats_definition():
    """Every binary32 around float16's smallest normal value: round to 11 bits without a lower bound, then compare."""
    source, target = get_format("float32"), get_format("float16")
    for code in range(0x387FE000, 0x38800800):
        significand = (code & 0x7FFFFF) | 0x800000
        kept, rest = significand >> 13, significand & 0x1FFF
        unbounded = kept + (rest > 0x1000 or (rest == 0x1000 and kept % 2 == 1))
        exponent = (code >> 23) - 127
        tiny = exponent < -14 and unbounded < 0x800
        result = convert(code, source, target, Policy())
        assert bool(result.flags & 2) == (tiny and bool(result.flags & 1)), hex(code)


@pytest.mark.parametrize(
    ("name", "value", "axes", "expected"),
    [
        ("float8_e4m3fn", finite(480), {"overflow": "saturate"}, True),
        ("float8_e4m3fn", finite(464), {"overflow": "saturate"}, False),
        ("float8_e4m3fn", finite(448), {"overflow": "saturate"}, False),
        ("float8_e4m3fn", INFINITY, {"infinity": "saturate"}, True),
        ("float8_e4m3fn", INFINITY, {}, False),
        ("float4_e2m1fn", INFINITY, {}, True),
        ("float4_e2m1fn", NOT_A_NUMBER, {}, False),
        ("float8_e5m2", finite(1, 40), {"rounding": "toward_zero"}, True),
        ("float8_e5m2", finite(1, 40), {}, False),
        ("int8", finite(200), {"overflow": "saturate"}, True),
        ("uint8", finite(-1), {"overflow": "saturate"}, True),
        ("int8", finite(200), {"overflow": "wrap"}, False),
        ("int8", MINUS_INFINITY, {}, True),
        ("int8", finite(127), {"overflow": "saturate"}, False),
    ],
)
def test_saturated(name, value, axes, expected):
    assert project(value, get_format(name), Policy(**axes)).saturated == expected
