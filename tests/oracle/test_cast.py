"""What happens before the projection: flushed inputs, intermediate formats, payloads, defects; and the trace."""

import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.exact import NOT_A_NUMBER, ZERO, finite, from_float, parse_exact
from lowbit.format.registry import get_format
from lowbit.oracle import convert, decode, encode, project
from lowbit.oracle.cast.explain import explain
from lowbit.oracle.cast.projection import flag_names
from lowbit.policy.cast import CAST_PRESETS, Policy

JUST_ABOVE_THE_TIE = parse_exact("17/16*2^0")._replace(significand=(17 << 36) + 1, exponent=-40)


def test_via_rounds_twice():
    source, target = get_format("float64"), get_format("float8_e4m3fn")
    assert encode(JUST_ABOVE_THE_TIE, target, Policy(), source=source).code == 0x39
    twice = encode(JUST_ABOVE_THE_TIE, target, Policy(via="float32"), source=source)
    assert (twice.code, flag_names(twice.flags)) == (0x38, "NX")


def test_via_applies_to_any_source_but_its_own_format():
    target, policy = get_format("float8_e4m3fn"), Policy(via="bfloat16")
    value = finite((17 << 20) + 1, -24)
    assert encode(value, target, policy).code == 0x38
    assert encode(value, target, policy, source=get_format("float32")).code == 0x38
    assert encode(value, target, policy, source=get_format("bfloat16")).code == 0x39


def test_via_accumulates_flags_and_overflows_to_infinity():
    policy = Policy(via="float16", infinity="propagate")
    result = encode(finite(1, 20), get_format("bfloat16"), policy)
    assert (result.code, flag_names(result.flags)) == (0x7F80, "OF NX")
    result = encode(from_float(1 + 2**-30), get_format("float64"), Policy(via="float32"))
    assert (decode(result.code, get_format("float64")).fraction(), flag_names(result.flags)) == (1, "NX")


def test_via_must_be_a_float_format():
    with pytest.raises(PolicyError, match="via"):
        encode(finite(1), get_format("float8_e5m2"), Policy(via="int8"))


def test_defect_double_rounding_depends_on_the_source():
    target, policy = get_format("float8_e4m3fn"), CAST_PRESETS["ml_dtypes"]
    assert encode(JUST_ABOVE_THE_TIE, target, policy, source=get_format("float64")).code == 0x38
    assert encode(JUST_ABOVE_THE_TIE, target, policy.without_defects(), source=get_format("float64")).code == 0x39
    assert encode(JUST_ABOVE_THE_TIE, target, policy).code == 0x39


@pytest.mark.parametrize(
    ("text", "expected"),
    [("2^-127", 0), ("9/8*2^-127", 1), ("3/2*2^-127", 1), ("7/4*2^-127", 1), ("-9/8*2^-127", 0xFF), ("2^-126", 1)],
)
def test_defect_interval(text, expected):
    target = get_format("float8_e8m0fnu")
    result = encode(parse_exact(text), target, CAST_PRESETS["ml_dtypes"], source=get_format("float32"))
    assert result.code == expected


def test_defect_interval_is_looked_at_after_the_first_rounding():
    """2^-127 * (1 + 2^-40) is 2^-127 in binary32, which ml_dtypes 0.6.0 converts rightly."""
    value = finite((1 << 40) + 1, -167)
    policy = CAST_PRESETS["ml_dtypes"]
    assert encode(value, get_format("float8_e8m0fnu"), policy, source=get_format("float64")).code == 0
    assert encode(value, get_format("float8_e8m0fnu"), policy).code == 1


def test_flushed_inputs():
    policy, source, target = Policy(flush_inputs="always"), get_format("float16"), get_format("float32")
    result = convert(0x83FF, source, target, policy)
    assert (result.code, result.flags) == (0x80000000, 0)
    assert convert(0x0400, source, target, policy).code == 0x38800000
    assert convert(1, get_format("float8_e8m0fnu"), target, policy).code == 0x00800000
    assert convert(1, get_format("int8"), target, policy).code == 0x3F800000
    with pytest.raises(PolicyError, match="needs the source format"):
        encode(finite(1), target, policy)
    assert encode(ZERO, target, policy).code == 0


@pytest.mark.parametrize(
    ("source", "code", "target", "expected"),
    [
        ("float32", 0x7F955555, "float16", 0x7EAA),
        ("float32", 0xFF800001, "bfloat16", 0xFFC0),
        ("float16", 0x7D55, "float64", 0x7FFD540000000000),
        ("float8_e5m2", 0x7D, "float32", 0x7FE00000),
        ("float8_e4m3fn", 0x7F, "float32", 0x7FC00000),
        ("float8_e4m3fnuz", 0x80, "float32", 0xFFC00000),
        ("float32", 0x7F955555, "float8_e4m3fn", 0x7F),
    ],
)
def test_payloads(source, code, target, expected):
    assert convert(code, get_format(source), get_format(target), Policy(nan_code="payload")).code == expected


def test_integers_as_sources():
    assert convert(-(2**31), get_format("int32"), get_format("float32"), Policy()).code == 0xCF000000
    assert convert(2**64 - 1, get_format("uint64"), get_format("float64"), Policy()).code == 0x43F0000000000000
    assert convert(0, get_format("int4"), get_format("float8_e8m0fnu"), Policy(zero="nan")).code == 0xFF
    assert convert(-8, get_format("int4"), get_format("uint4"), Policy(overflow="wrap")).code == 8


@pytest.mark.parametrize(("policy", "random"), [(Policy(), 1), (Policy(rounding="stochastic_a", random_bits=2), 4)])
def test_random_bits_are_checked(policy, random):
    with pytest.raises(InputError, match=f"R = {random}"):
        project(finite(1), get_format("float8_e4m3fn"), policy, random)


def test_neighbours_at_the_edges():
    e4m3, e5m2, e8m0 = (get_format(name) for name in ("float8_e4m3fn", "float8_e5m2", "float8_e8m0fnu"))
    assert project(finite(1000), e4m3, Policy()).upper is None
    assert str(project(finite(1000), e4m3, Policy()).lower) == "448"
    result = project(finite(-1, 30), e5m2, Policy())
    assert (str(result.lower), str(result.upper)) == ("-inf", "-57344")
    result = project(finite(1, -140), e8m0, Policy())
    assert (result.lower, str(result.upper)) == (None, "2^-127")
    result = project(finite(-3, -1), get_format("uint8"), Policy())
    assert (result.lower, str(result.upper)) == (None, "0")
    result = project(NOT_A_NUMBER, e4m3, Policy())
    assert (result.lower, result.upper) == (None, None)


def test_explanation_of_a_tie():
    trace = explain(finite(464), get_format("float8_e4m3fn"), CAST_PRESETS["ocp_nosat"])
    assert (str(trace.lower), str(trace.midpoint), trace.upper) == ("448", "464", None)
    assert (trace.code, trace.lower_code, trace.rule) == (0x7E, 0x7E, "a tie, to the even code")
    assert trace.code_bits == "0 1111 110"
    assert any("0 1111 110" in line for line in trace.lines())
    assert any(line.startswith("midpoint") and "at it" in line for line in trace.lines())


def test_explanation_shows_the_intermediate_step():
    trace = explain(
        JUST_ABOVE_THE_TIE, get_format("float8_e4m3fn"), Policy(via="float32"), source=get_format("float64")
    )
    assert [step.format for step in trace.steps] == ["float32"]
    assert (trace.rounded_from.fraction(), trace.midpoint) == (trace.midpoint.fraction(), parse_exact("17/16"))
    assert any("float32" in line for line in trace.lines())


@pytest.mark.parametrize(
    ("name", "value", "lower_code", "upper_code", "midpoint", "code"),
    [
        ("float8_e4m3fn", finite(-17, -4), 0xB9, 0xB8, "-17/16", 0xB8),
        ("float8_e5m2", finite(-1, 30), 0xFC, 0xFB, "-61440", 0xFC),
        ("int8", finite(5, -1), 2, 3, "5/2", 2),
        ("float8_e4m3fn", finite(1), 0x38, 0x38, None, 0x38),
        ("float4_e2m1fn", NOT_A_NUMBER, None, None, None, 0x7),
    ],
)
def test_explanation_figures(name, value, lower_code, upper_code, midpoint, code):
    trace = explain(value, get_format(name), Policy())
    assert (trace.lower_code, trace.upper_code, trace.code) == (lower_code, upper_code, code)
    assert trace.midpoint == (None if midpoint is None else parse_exact(midpoint))
    assert trace.decoded == decode(code, get_format(name))
