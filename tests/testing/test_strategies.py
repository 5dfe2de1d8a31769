"""The strategies draw what they promise and shrink to small exact values."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from lowbit import testing
from lowbit.errors import InputError
from lowbit.exact import FINITE, NAN, from_float
from lowbit.format.registry import get_format
from lowbit.format.scalar import FixedFormat
from lowbit.ops.cast.cast import decode as decode_array
from lowbit.ops.cast.cast import encode as encode_array
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import Policy, get_policy
from tests.thinned import examples, thinned

FORMATS = (
    "float8_e4m3fn",
    "float4_e2m1fn",
    "float8_e8m0fnu",
    "bfloat16",
    "float32",
    "binary8p3se",
    "int4",
    "q4.4",
    "tf32",
)
QUICK = settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])


def value_of(code, fmt):
    return decode(code, fmt).fraction()


@pytest.mark.parametrize("name", thinned(FORMATS, 2))
def test_codes_are_codes_and_shrink_to_zero_or_one(name):
    fmt = get_format(name)
    assert value_of(find(testing.codes(name), lambda _: True), fmt) == (1 if name == "float8_e8m0fnu" else 0)
    smallest = find(testing.codes(name), lambda code: decode(code, fmt).kind == FINITE and value_of(code, fmt) > 2)
    assert value_of(smallest, fmt) in {2.5, 3, 4}
    negative = find(testing.codes(fmt), lambda code: decode(code, fmt).negative) if fmt.signed else None
    assert negative is None or value_of(negative, fmt) in {0, -1}


@pytest.mark.parametrize("name", ["float8_e5m2", "float16", "float8_e4m3fnuz"])
def test_specials_can_be_left_out(name):
    fmt = get_format(name)

    @QUICK
    @given(testing.codes(name, nan=False, infinity=False))
    def all_finite(code):
        assert decode(code, fmt).kind == FINITE

    all_finite()
    assert decode(find(testing.codes(name), lambda code: decode(code, fmt).kind == NAN), fmt).kind == NAN


@pytest.mark.parametrize("name", FORMATS)
def test_ties_lie_half_way_between_neighbours(name):
    fmt = get_format(name)

    @QUICK
    @given(testing.ties(name))
    def half_way(value):
        if isinstance(fmt, FixedFormat):
            units = Fraction(value) * Fraction(2) ** fmt.fraction_bits
            assert units.denominator == 2
            return
        toward, away = (
            encode(from_float(value), fmt, Policy(rounding=rounding, overflow="saturate"))
            for rounding in ("toward_zero", "away_from_zero")
        )
        if toward.code == away.code:  # beyond the largest value: half an ulp above it
            top, below = fmt.max.fraction(), fmt.magnitude(fmt.max_code - 1).fraction()
            assert abs(Fraction(value)) - top == (top - below if fmt.mantissa_bits else top) / 2
        else:
            assert Fraction(value) * 2 == value_of(toward.code, fmt) + value_of(away.code, fmt)

    half_way()


def test_ties_and_overflow_shrink_to_small_values():
    assert find(testing.ties("float4_e2m1fn"), lambda _: True) == 1.25
    assert find(testing.ties("int8"), lambda _: True) == 0.5
    assert find(testing.near_overflow("float8_e4m3fn"), lambda _: True) == 448
    assert find(testing.near_overflow("float4_e2m1fn"), lambda value: value < 0) == -6


def test_overflow_holds_the_tie_and_both_sides_of_it():
    wanted = {448.0, 464.0, 480.0, 512.0, np.nextafter(464.0, 0), np.nextafter(464.0, 500), -464.0}
    for value in wanted:
        assert find(testing.near_overflow("float8_e4m3fn"), lambda drawn, value=value: drawn == value) == value


@pytest.mark.parametrize("name", thinned(["float8_e4m3fn", "int4", "float16"], 1))
def test_values_reach_ties_overflow_and_specials(name):
    fmt = get_format(name)
    found = {"nan": np.isnan, "infinity": np.isinf}
    found["overflow"] = lambda value: value in testing.places.overflow_values(fmt)
    for condition in found.values():
        assert condition(find(testing.values(name), condition))
    assert find(testing.values(name), lambda value: value > 2.4) in {2.5, 3.0, 3.5, fmt.max.fraction()}


@QUICK
@given(testing.code_arrays("float8_e4m3fn", (3, 4)))
def test_code_arrays_round_trip(codes):
    assert codes.shape == (3, 4)
    assert codes.dtype == np.uint8
    again = encode_array(decode_array(codes, "float8_e4m3fn"), "float8_e4m3fn")
    testing.assert_bits_equal(again, codes, "float8_e4m3fn")


@QUICK
@given(testing.value_arrays("float8_e4m3fn", 5, dtype=np.float64, elements=testing.ties("float8_e4m3fn")))
def test_tie_arrays_meet_the_tie_rule(values):
    even = encode_array(values, "float8_e4m3fn").astype(np.int64)
    up = encode_array(values, "float8_e4m3fn", policy=Policy(rounding="nearest_away", overflow="saturate"))
    zero = encode_array(values, "float8_e4m3fn", policy=Policy(rounding="nearest_zero", overflow="saturate"))
    inside = np.abs(values) < 448
    assert (up[inside].astype(np.int64) - zero[inside] == 1).all()
    assert (even[inside] % 2 == 0).all()


def test_arrays_shrink_to_zeros():
    smallest = find(testing.value_arrays("float8_e4m3fn", 4), lambda _: True)
    assert smallest.tolist() == [0.0, 0.0, 0.0, 0.0]
    assert smallest.dtype == np.float32
    one = find(testing.code_arrays("int8", 3), lambda codes: (codes > 20).any())
    assert sorted(one.tolist()) == [0, 0, 32] or max(one.tolist()) <= 32


@pytest.mark.parametrize("name", thinned(FORMATS, 2))
def test_policies_shrink_to_the_default_and_are_legal(name):
    fmt = get_format(name)
    assert find(testing.policies(name), lambda _: True) == get_policy(fmt.default_policy, fmt)

    @QUICK
    @given(testing.policies(name), testing.values(name))
    def encodes(policy, value):
        assert not policy.stochastic
        result = encode(from_float(value), fmt, policy, source=get_format("float64"))
        assert encode_array(np.array([value]), fmt, policy=policy).tolist() == [result.code]

    encodes()


def test_policies_can_be_stochastic_or_refusing():
    stochastic = find(testing.policies("int8", stochastic=True), lambda policy: policy.stochastic)
    assert stochastic.random_bits == 1
    assert find(testing.policies("float4_e2m1fn", errors=True), lambda policy: policy.nan == "error").nan == "error"


def test_formats_of_every_kind():
    assert find(testing.formats(), lambda _: True).bits <= 2
    assert find(testing.formats(kind="float"), lambda fmt: fmt.bits == 8).bits == 8
    assert find(testing.formats(kind="float"), lambda fmt: fmt.family == "p3109" and fmt.bits > 4).bits == 5
    assert find(testing.formats(kind="fixed", max_bits=12), lambda fmt: fmt.fraction_bits > 2).bits <= 12
    named = find(testing.formats(kind="integer", families=False), lambda fmt: fmt.bits > 2)
    assert named.kind == "integer"


@QUICK
@given(st.data())
def test_any_format_gives_codes(data):
    fmt = data.draw(testing.formats(max_bits=10))
    code = data.draw(testing.codes(fmt))
    assert decode(code, fmt).kind in {0, 1, 2, 3}


def test_a_format_without_ties_in_binary64_says_so():
    with pytest.raises(InputError, match="holds no ties"):
        testing.ties("float64")


PROGRAM = """
from hypothesis import given
import numpy as np
import lowbit
from lowbit import testing

@given(testing.value_arrays("float8_e4m3fn", 4))
def arrays(values):
    assert lowbit.encode(values, "float8_e4m3fn", return_flags=True)[1].shape == (4,)

@given(testing.ties("float4_e2m1fn"), testing.codes("bfloat16"))
def scalars(value, code):
    lowbit.encode(value, "float4_e2m1fn", policy=lowbit.Policy(rounding="nearest_away", overflow="saturate"))
    lowbit.decode(np.uint16(code), "bfloat16")

arrays()
scalars()
"""


@pytest.mark.slow
def test_kernels_are_compiled_before_the_first_example(tmp_path):
    # With Hypothesis' own deadline of 200 ms and an empty cache of compiled kernels.
    environment = {**os.environ, "LOWBIT_CACHE_DIR": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
    )
    assert ended.returncode == 0, ended.stderr


def test_without_hypothesis_the_import_says_what_to_install():
    program = "import sys; sys.modules['hypothesis'] = None; import lowbit.testing"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "lowbit.testing needs Hypothesis" in ended.stderr.splitlines()[-1]
    assert "pip install hypothesis" in ended.stderr
    assert "lowbit[testing]" in ended.stderr
