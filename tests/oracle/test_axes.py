"""Every value of every axis of the policy, at least once, with the code that it must give."""

import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.exact import INFINITY, MINUS_INFINITY, NAN, NEGATIVE_ZERO, NOT_A_NUMBER, ZERO, Exact, finite, parse_exact
from lowbit.format.registry import get_format
from lowbit.format.scalar import FloatFormat
from lowbit.oracle import encode, project
from lowbit.policy.cast import Policy

MINUS_NAN = Exact(NAN, 0, 0, True)
PAYLOAD = Exact(NAN, 0x155555, -23, False)  # a binary32 NaN; the leading payload bits are 01010
E4M3FN, E5M2, E2M1, E8M0 = "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn", "float8_e8m0fnu"
UNSIGNED = "float8_e4m3fnu"
RANDOM = {"stochastic_a": 1, "stochastic_b": 1, "stochastic_c": 1}
ERROR = "error"

# axis, value, format, input (exact text or Exact), other axes, expected code
CASES = [
    # 0x38 is 1, one unit in the last place is 1/8, 0x39 is odd
    ("rounding", "nearest_even", E4M3FN, "17/16", {}, 0x38),
    ("rounding", "nearest_away", E4M3FN, "17/16", {}, 0x39),
    ("rounding", "nearest_zero", E4M3FN, "19/16", {}, 0x39),
    ("rounding", "nearest_up", E4M3FN, "-19/16", {}, 0xB9),
    ("rounding", "nearest_up", E4M3FN, "17/16", {}, 0x39),
    ("rounding", "nearest_down", E4M3FN, "-17/16", {}, 0xB9),
    ("rounding", "nearest_down", E4M3FN, "19/16", {}, 0x39),
    ("rounding", "nearest_odd", E4M3FN, "17/16", {}, 0x39),
    ("rounding", "toward_zero", E4M3FN, "-127/64", {}, 0xBF),
    ("rounding", "toward_positive", E4M3FN, "65/64", {}, 0x39),
    ("rounding", "toward_positive", E4M3FN, "-65/64", {}, 0xB8),
    ("rounding", "toward_negative", E4M3FN, "-65/64", {}, 0xB9),
    ("rounding", "toward_negative", E4M3FN, "65/64", {}, 0x38),
    ("rounding", "away_from_zero", E4M3FN, "-65/64", {}, 0xB9),
    ("rounding", "to_odd", E4M3FN, "65/64", {}, 0x39),
    ("rounding", "to_odd", E4M3FN, "79/64", {}, 0x39),
    ("rounding", "stochastic_a", E4M3FN, "17/16", {"random_bits": 1}, 0x39),
    ("rounding", "stochastic_b", E4M3FN, "33/32", {"random_bits": 1}, 0x39),
    ("rounding", "stochastic_c", E4M3FN, "33/32", {"random_bits": 1}, 0x38),
    ("tie_without_mantissa", "even", E8M0, "3", {}, 128),
    ("tie_without_mantissa", "even", E8M0, "6", {}, 130),
    ("tie_without_mantissa", "up", E8M0, "3", {}, 129),
    ("overflow", "ieee", E5M2, "61440", {}, 0x7C),
    ("overflow", "ieee", E5M2, "61440", {"rounding": "toward_zero"}, 0x7B),
    ("overflow", "ieee", E5M2, "-1e9", {"rounding": "toward_positive"}, 0xFB),
    ("overflow", "infinity", E5M2, "1e9", {"rounding": "toward_zero"}, 0x7C),
    ("overflow", "saturate", E5M2, "-1e9", {}, 0xFB),
    ("overflow", "nan", E5M2, "1e9", {}, 0x7E),
    ("overflow", "wrap", "uint4", "18", {}, 2),
    ("overflow", "wrap", "int4", "9", {}, -7),
    ("overflow", "wrap", "int4_narrow", "8", {}, -7),
    ("overflow", "wrap", E5M2, "1", {}, PolicyError),
    ("overflow", "error", E5M2, "1e9", {}, ERROR),
    ("overflow", "error", "int4", "8", {}, ERROR),
    ("overflow", "error", "int4", "2^100000", {}, ERROR),
    ("overflow", "ieee", "int4", "-99", {}, -8),
    ("overflow", "infinity", "int4", "99", {}, 7),
    ("overflow", "nan", "int4", "99", {"nan": "minimum"}, -8),
    ("overflow", "saturate", "uint4", "-1", {}, 0),
    ("infinity", "propagate", E5M2, MINUS_INFINITY, {}, 0xFC),
    ("infinity", "propagate", "int4", MINUS_INFINITY, {}, -8),
    ("infinity", "saturate", E5M2, MINUS_INFINITY, {}, 0xFB),
    ("infinity", "nan", E5M2, MINUS_INFINITY, {}, 0xFE),
    ("infinity", "nan", "int4", INFINITY, {"nan": "zero"}, 0),
    ("infinity", "error", E5M2, INFINITY, {}, ERROR),
    ("infinity", "error", "int4", INFINITY, {}, ERROR),
    ("without_infinity", "nan", E4M3FN, "-480", {}, 0xFF),
    ("without_infinity", "nan", E4M3FN, INFINITY, {}, 0x7F),
    ("without_infinity", "nan", E2M1, MINUS_INFINITY, {}, 0xF),
    ("without_infinity", "saturate", E4M3FN, "-480", {}, 0xFE),
    ("nan", "maximum", E2M1, MINUS_NAN, {}, 0x7),
    ("nan", "signed_maximum", E2M1, MINUS_NAN, {}, 0xF),
    ("nan", "minimum", E2M1, NOT_A_NUMBER, {}, 0xF),
    ("nan", "zero", E2M1, MINUS_NAN, {}, 0x0),
    ("nan", "negative_zero", E2M1, NOT_A_NUMBER, {"negative_zero": "positive"}, 0x8),
    ("nan", "inverted_zero", E2M1, NOT_A_NUMBER, {}, 0x8),
    ("nan", "inverted_zero", E2M1, MINUS_NAN, {}, 0x0),
    ("nan", "error", E2M1, NOT_A_NUMBER, {}, ERROR),
    ("nan", "maximum", "int8", MINUS_NAN, {}, 127),
    ("nan", "signed_maximum", "int8", MINUS_NAN, {}, -128),
    ("nan", "signed_maximum", "uint8", MINUS_NAN, {}, 0),
    ("nan", "minimum", "int8_narrow", NOT_A_NUMBER, {}, -127),
    ("nan", "zero", "int8", NOT_A_NUMBER, {}, 0),
    ("nan", "negative_zero", "int8", NOT_A_NUMBER, {}, 0),
    ("nan", "inverted_zero", "int8", NOT_A_NUMBER, {}, 0),
    ("nan", "error", "int8", NOT_A_NUMBER, {}, ERROR),
    ("nan", "zero", E4M3FN, NOT_A_NUMBER, {}, 0x7F),
    ("nan_sign", "keep", E4M3FN, MINUS_NAN, {}, 0xFF),
    ("nan_sign", "drop", E4M3FN, MINUS_NAN, {}, 0x7F),
    ("nan_sign", "drop", E4M3FN, "-480", {}, 0x7F),
    ("nan_sign", "drop_input", E4M3FN, MINUS_NAN, {}, 0x7F),
    ("nan_sign", "drop_input", E4M3FN, "-480", {}, 0xFF),
    ("nan_sign", "drop_input", E4M3FN, MINUS_INFINITY, {}, 0xFF),
    ("nan_sign", "keep", "float8_e4m3fnuz", NOT_A_NUMBER, {}, 0x80),
    ("nan_code", "canonical", E5M2, PAYLOAD, {}, 0x7E),
    ("nan_code", "all_ones", E5M2, MINUS_NAN, {}, 0xFF),
    ("nan_code", "payload", "float16", PAYLOAD, {}, 0x7EAA),
    ("nan_code", "payload", "float64", PAYLOAD, {}, 0x7FFAAAAAA0000000),
    ("nan_code", "payload", E4M3FN, PAYLOAD, {}, 0x7F),
    ("negative", "nan", UNSIGNED, "-1", {}, 0x7F),
    ("negative", "nan", UNSIGNED, MINUS_INFINITY, {}, 0x7F),
    ("negative", "nan", UNSIGNED, "-1/2048", {}, 0x00),
    ("negative", "absolute", UNSIGNED, "-17/16", {"rounding": "toward_negative"}, 0x38),
    ("negative", "absolute", UNSIGNED, MINUS_INFINITY, {"infinity": "saturate"}, 0x7E),
    ("negative", "zero", UNSIGNED, "-1e9", {"overflow": "saturate"}, 0x00),
    ("negative", "zero", E8M0, MINUS_INFINITY, {}, 0x00),
    ("negative", "by_direction", UNSIGNED, "-1", {}, 0x7F),
    ("negative", "by_direction", UNSIGNED, "-1", {"rounding": "toward_positive"}, 0x00),
    ("negative", "by_direction", UNSIGNED, MINUS_INFINITY, {"rounding": "toward_zero"}, 0x7F),
    ("negative", "error", UNSIGNED, "-1", {}, ERROR),
    ("negative_zero", "keep", E4M3FN, NEGATIVE_ZERO, {}, 0x80),
    ("negative_zero", "keep", E4M3FN, "-2^-20", {}, 0x80),
    ("negative_zero", "keep", "float8_e4m3fnuz", NEGATIVE_ZERO, {}, 0x00),
    ("negative_zero", "keep", UNSIGNED, NEGATIVE_ZERO, {}, 0x00),
    ("negative_zero", "positive", E4M3FN, NEGATIVE_ZERO, {}, 0x00),
    ("negative_zero", "positive", E4M3FN, "-2^-20", {}, 0x00),
    ("zero", "minimum", E8M0, ZERO, {}, 0x00),
    ("zero", "nan", E8M0, NEGATIVE_ZERO, {}, 0xFF),
    ("zero", "error", E8M0, ZERO, {}, ERROR),
    ("underflow", "minimum", E8M0, "2^-140", {}, 0x00),
    ("underflow", "nan", E8M0, "2^-140", {}, 0xFF),
    ("underflow", "nan", E8M0, "3*2^-129", {}, 0x00),
    ("underflow", "error", E8M0, "2^-140", {}, ERROR),
    ("flush_results", "never", E4M3FN, "7/512", {}, 0x07),
    ("flush_results", "after_rounding", E4M3FN, "7/512", {}, 0x00),
    ("flush_results", "after_rounding", E4M3FN, "-15/1024", {}, 0x88),
    ("flush_results", "before_rounding", E4M3FN, "-15/1024", {}, 0x80),
    ("flush_results", "before_rounding", E4M3FN, "1/64", {}, 0x08),
    ("flush_results", "before_rounding", E8M0, "3*2^-129", {"underflow": "nan"}, 0x00),
    ("flush_inputs", "never", "float32", "2^-130", {}, 0x00080000),
    ("flush_inputs", "always", "float32", "-2^-130", {}, 0x80000000),
    ("flush_inputs", "always", "float32", "2^-126", {}, 0x00800000),
]


@pytest.mark.parametrize(("axis", "choice", "name", "value", "others", "expected"), CASES)
def test_choice(axis, choice, name, value, others, expected):
    policy = Policy(**{axis: choice, **others})
    exact = parse_exact(value) if isinstance(value, str) else value
    fmt, source = get_format(name), get_format("bfloat16")
    random = RANDOM.get(policy.rounding, 0)
    if expected is PolicyError:
        with pytest.raises(PolicyError, match=axis):
            encode(exact, fmt, policy, source=source)
    elif expected == ERROR:
        with pytest.raises(InputError, match=f"{axis}='error'"):
            encode(exact, fmt, policy, source=source)
    elif choice == "payload":
        assert project(exact, fmt, policy).code == expected
    else:
        assert encode(exact, fmt, policy, source=source, random=random).code == expected


def test_every_value_of_every_axis_is_covered():
    wanted = {(axis, value) for axis, values in Policy.CHOICES.items() for value in values}
    assert {case[:2] for case in CASES} == wanted


def test_to_odd_overflows_to_whichever_code_is_odd():
    """Signed P3109 formats end on an even code, unsigned ones on an odd one, IEEE ones on an odd one."""
    policy = Policy(rounding="to_odd")
    for name, expected in (("binary4p2se", 0x7), ("binary4p2ue", 0xD), (E5M2, 0x7B), ("float16", 0x7BFF)):
        assert project(finite(1, 60), get_format(name), policy).code == expected
    assert project(finite(1, 60), get_format("binary4p2sf"), policy).code == 0x7


def test_a_nan_that_the_format_lacks_follows_the_nan_axis_whatever_made_it():
    fmt = get_format(E2M1)
    assert project(finite(-99), fmt, Policy(overflow="nan", nan="minimum")).code == 0xF
    assert project(finite(-99), fmt, Policy(overflow="nan", nan="inverted_zero")).code == 0x0
    assert project(INFINITY, fmt, Policy(infinity="nan", nan="inverted_zero")).code == 0x8
    with pytest.raises(InputError, match="nan='error'"):
        project(INFINITY, fmt, Policy(infinity="nan", nan="error"))


def test_formats_of_a_users_own():
    """Signed without zero; unsigned without NaN; no specials but infinity."""
    signed = FloatFormat(
        id="mine", bits=6, exponent_bits=3, mantissa_bits=2, bias=3, subnormals=False, zero=False, nan=0x1F
    )
    assert project(NEGATIVE_ZERO, signed, Policy()).code == 0x20
    assert project(NEGATIVE_ZERO, signed, Policy(negative_zero="positive")).code == 0x00
    assert project(finite(-1, -9), signed, Policy()).code == 0x20
    assert project(finite(-1, -9), signed, Policy(underflow="nan")).code == 0x3F
    unsigned = FloatFormat(id="mine", bits=5, signed=False, exponent_bits=3, mantissa_bits=2, bias=3)
    assert project(NOT_A_NUMBER, unsigned, Policy(nan="signed_maximum")).code == 0x1F
    assert project(finite(-1), unsigned, Policy(negative="nan", nan="minimum")).code == 0x00
    infinite = FloatFormat(id="mine", bits=5, exponent_bits=2, mantissa_bits=2, bias=1, infinity=0xF)
    assert project(finite(100), infinite, Policy()).code == 0xF
    assert project(NOT_A_NUMBER, infinite, Policy()).code == 0xE
