"""Multipliers from scales, exact dyadic numbers, and what the table of schemes claims."""

import math
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit import Dyadic
from lowbit.policy.multiplier import derive_multiplier, round_to_binary32
from lowbit.policy.requantize import (
    REQUANTIZE_SCHEMES,
    RequantizeScheme,
    arithmetic_name,
    get_requantize_scheme,
)

NAMES = sorted(REQUANTIZE_SCHEMES)
positive = st.floats(1e-7, 0.99)
ALMOST_ONE = 1 - 2.0**-40
ISSUE_NAMES = [
    "single_up",
    "single_away",
    "single_even",
    "double_up_away",
    "double_up_up",
    "float32_even",
    "float32_floor_half",
    "float64_away",
    "multiplier16_away",
    "rndnu16",
    "tflite_double",
    "tflite_single",
    "tosa_single",
    "tosa_double",
    "xnnpack_fp32",
    "xnnpack_rndnu",
    "xnnpack_rndnu16",
    "onnxruntime",
    "tflm",
    "cmsis_nn_single",
    "cmsis_nn_double",
    "gemmlowp",
    "qnnpack_q31",
    "fbgemm_fixed",
    "fbgemm_float",
    "tosa_single_48",
    "tvm_upward",
    "tvm_tonearest",
    "tvm_x86_float32",
    "hawq",
    "ibert",
    "ivit",
    "nvdla",
    "tflite_int64",
]


@pytest.mark.parametrize(
    ("scheme", "scale", "expected"),
    [
        # tensorflow/lite/kernels/internal/quantization_util_test.cc: the documented values of QuantizeMultiplier
        ("tflite_double", 0.25, (1 << 30, -1)),
        ("tflite_double", 0.50 - 5e-9, ((1 << 31) - 21, -1)),
        ("tflite_double", 0.50 - 1e-10, (1 << 30, 0)),
        ("tflite_double", 0.50, (1 << 30, 0)),
        ("tflite_double", 1.25, (1342177280, 1)),
        ("tflite_double", 2.0**-33, (0, 0)),
        ("tflite_single", 2.0**31, ((1 << 31) - 1, 30)),
        ("tosa_single", 0.5, (1 << 30, 31)),
        ("tosa_single", 2.0**-35, (1 << 27, 62)),
        ("tosa_single_48", 0.5, (1 << 14, 15)),
        ("qnnpack_q31", 0.5, (1 << 30, 0)),
        ("xnnpack_rndnu", 0.3, (10066330, 25)),
        ("xnnpack_rndnu16", ALMOST_ONE, (1 << 14, 1)),
        ("fbgemm_fixed", 1.0, (1 << 30, 30)),
        ("hawq", 0.3, (1288490189, 32)),
        ("nvdla", 0.0123, (25795, 21)),
    ],
)
def test_known_multipliers(scheme, scale, expected):
    assert lowbit.quantize_multiplier(scale, scheme=scheme) == expected


@pytest.mark.parametrize("name", NAMES)
@given(scale=positive)
def test_every_derivation_is_the_nearest_pair(name, scale):
    scheme = get_requantize_scheme(name)
    multiplier, shift = derive_multiplier(scale, scheme)
    right = shift if scheme.takes_scale else scheme.right_shift(shift)
    real = Fraction(round_to_binary32(scale)) if scheme.derivation.startswith("binary32") else Fraction(scale)
    error = abs(Fraction(multiplier) / Fraction(2) ** right - real)
    assert error <= Fraction(1, 2) / Fraction(2) ** right
    low, high = scheme.multiplier_range
    assert low <= multiplier <= high
    # 24 bits of a binary32 scale fill the upper bits of a wider multiplier
    assert scheme.takes_scale or multiplier.bit_length() >= min(scheme.multiplier_bits, 31) or right == 62


@pytest.mark.parametrize("scale", [0, -1, float("nan"), float("inf"), "x", None])
def test_bad_scales(scale):
    for name in NAMES:
        with pytest.raises(lowbit.InputError):
            derive_multiplier(scale, name)


@pytest.mark.parametrize("scale", [1.0, 1.5, 2.0**-33, 2.0**40])
def test_qnnpack_refuses_what_its_source_asserts(scale):
    with pytest.raises(lowbit.InputError, match="takes 24 to 55"):
        lowbit.requantize([100], scheme="qnnpack_precise", scale=scale, result="uint8")
    assert lowbit.requantize([100], scheme="qnnpack_precise", scale=2.0**-32, result="uint8").tolist() == [0]
    assert lowbit.requantize(
        [-100, 101], scheme="qnnpack_precise", scale=0.5, zero_point=60, result="uint8"
    ).tolist() == [10, 111]


def test_scales_beyond_a_scheme():
    with pytest.raises(lowbit.InputError, match="needs a shift of"):
        derive_multiplier(2.0**40, "tflm")
    with pytest.raises(lowbit.InputError, match="needs a shift of"):
        derive_multiplier(2.0**-60, "xnnpack_rndnu")
    with pytest.raises(lowbit.InputError, match="subnormal in binary32"):
        derive_multiplier(1e-40, "xnnpack_rndnu")
    with pytest.raises(lowbit.InputError, match="scale is zero"):
        derive_multiplier(1e-50, "onnxruntime")  # 0 in binary32


def test_products_of_scales():
    scales = (0.1, 0.2, 0.3)
    a, b, c = (np.float32(scale) for scale in scales)
    wanted = {
        "float64": float(a) * float(b) / float(c),
        "float32_product": float(a * b) / float(c),
        "float32": float(a * b / c),
    }
    assert len(set(wanted.values())) == 3
    for rule, value in wanted.items():
        scheme = get_requantize_scheme("tflm").choose(scale_product=rule)
        assert lowbit.effective_scale(*scales, scheme=scheme) == value
    with pytest.raises(lowbit.InputError, match="scale is zero"):
        lowbit.effective_scale(1e-30, 1e-30, 1.0, scheme="onnxruntime")


@given(
    left=st.integers(-(1 << 40), 1 << 40),
    right=st.integers(-(1 << 40), 1 << 40),
    shifts=st.tuples(*[st.integers(-9, 70)] * 2),
)
def test_dyadic_arithmetic_is_exact(left, right, shifts):
    a, b = Dyadic(left, shifts[0]), Dyadic(right, shifts[1])
    assert (a + b).fraction == a.fraction + b.fraction
    assert (a - b).fraction == a.fraction - b.fraction
    assert (a * b).fraction == a.fraction * b.fraction
    assert (a < b, a <= b, a == b, a > b) == (
        a.fraction < b.fraction,
        a.fraction <= b.fraction,
        a.fraction == b.fraction,
        a.fraction > b.fraction,
    )
    assert a.reduced() == a
    assert hash(a.reduced()) == hash(a)
    assert a.exact.fraction() == a.fraction
    assert 3 - a == Dyadic(3, 0) - a
    assert 2 + a == a + 2
    assert 2 * a == a + a


def test_dyadic_of_scales_and_in_formats():
    scale = Dyadic.from_float(0.3, scheme="hawq")
    assert float(scale) == 1288490189 / 2**32
    assert Dyadic.from_float(0.3, scheme="onnxruntime").fraction == Fraction(float(np.float32(0.3)))
    assert lowbit.decode_exact(scale.multiplier, "dyadic32.32") == (0, *scale.exact.reduced()[1:3])
    assert int(lowbit.encode(float(scale), "dyadic32.32")) == scale.multiplier
    assert lowbit.get_format("dyadic8.10").max.fraction() == Fraction(127, 1024)
    assert lowbit.get_format("udyadic15.62").fraction_bits == 62
    with pytest.raises(lowbit.InputError, match="not an integer"):
        Dyadic(0.5, 1)


def test_the_table_of_schemes():
    assert set(ISSUE_NAMES) <= set(NAMES)
    for name, scheme in REQUANTIZE_SCHEMES.items():
        assert scheme.name == name
        assert scheme.summary
        assert arithmetic_name(scheme)
        assert (scheme.evidence in ("source", "fitted", "specification")) == bool(scheme.product_name)
        assert bool(scheme.source) == (scheme.evidence in ("source", "specification"))
        assert [axis for axis, _, _ in scheme.describe()] == list(scheme.AXES)
    assert set(RequantizeScheme.CHOICES) - set(RequantizeScheme.AXES) == {"derivation", "scale_product"}
    assert get_requantize_scheme("TFLM") is REQUANTIZE_SCHEMES["tflm"]


def test_choosing_loses_the_claim():
    scheme = get_requantize_scheme("tflm").choose(tie="even")
    assert (scheme.name, scheme.product_name, scheme.evidence) == ("", "", "")
    assert scheme.differences(get_requantize_scheme("tflm")) == {"tie": ("even", "away")}
    assert get_requantize_scheme("tflm") == get_requantize_scheme("gemmlowp")  # the arithmetic alone
    with pytest.raises(lowbit.PolicyError, match="axis of a requantisation scheme"):
        scheme.choose(ties="even")


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ({"shift_range": (-31, 62)}, "whole shifts to the right of -31 to 62"),
        ({"shift_range": (-100, 30)}, "outside 0 to 62"),
        ({"shift_range": (5, 1)}, "is not"),
        ({"shift_range": 5}, "is not"),
        ({"multiplier_bits": 53}, "more than 64 bits"),
        ({"accumulator_bits": 48}, "more than 64 bits"),
    ],
)
def test_schemes_that_leave_64_bits(axes, words):
    """The kernels hold products in 64 bits and shift by less than 63: beyond, results would be wrong in silence."""
    with pytest.raises(lowbit.PolicyError, match=words):
        get_requantize_scheme("tflm").choose(**axes)


def test_the_roundings_are_counted():
    counts = {"single_up": 1, "double_up_away": 2, "float32_even": 3, "float32_floor_half": 4, "product53_even": 2}
    assert {name: get_requantize_scheme(name).roundings for name in counts} == counts
    assert math.isclose(float(Dyadic.from_float(0.1)), 0.1, rel_tol=2.0**-31)


@given(
    left=st.integers(-40, 40),
    shift=st.integers(-4, 6),
    right=st.integers(-40, 40),
    kind=st.sampled_from(["int", "numpy"]),
)
def test_dyadics_compare_with_integers_of_python_and_numpy(left, shift, right, kind):
    other = right if kind == "int" else np.int64(right)
    number = Dyadic(left, shift)
    exact = Fraction(left) / Fraction(2) ** shift
    pairs = {"__lt__": "<", "__le__": "<=", "__gt__": ">", "__ge__": ">=", "__eq__": "==", "__ne__": "!="}
    for name, sign in pairs.items():
        wanted = getattr(exact, name)(right)
        assert getattr(number, name)(other) is wanted, sign
        assert getattr(number, name)(Dyadic(right, 0)) is wanted, sign
    assert [other < number, other <= number, other == number] == [right < exact, right <= exact, right == exact]
    for found in (number + other, other + number):
        assert found.fraction == exact + right
    assert [(number - other).fraction, (other - number).fraction] == [exact - right, right - exact]
    assert [(number * other).fraction, (other * number).fraction] == [exact * right] * 2
    assert abs(number).fraction == abs(exact)
    assert bool(number) is (left != 0)


def test_parts_of_dyadics_are_integers_of_python_or_numpy():
    number = Dyadic(np.int32(3), np.uint8(2))
    assert (type(number.multiplier), type(number.shift)) == (int, int)
    assert repr(number) == "Dyadic(multiplier=3, shift=2)"
    assert (Dyadic(np.int8(127), 0) * np.int8(127)).multiplier == 127**2  # nothing wraps
    assert Dyadic(4, 1) == 2
    assert hash(Dyadic(4, 1)) == hash(2)
    assert Dyadic(4, 1) != "2"
    assert Dyadic(1, 0) != True  # noqa: E712 (a truth value is no number here)
    assert not Dyadic(0, 2)
    for wrong in (0.5, True, "3", None, np.bool_(True), np.float32(1)):
        with pytest.raises(lowbit.InputError, match=r"multiplier = .* is not an integer"):
            Dyadic(wrong, 0)
        with pytest.raises(lowbit.InputError, match="is neither a Dyadic nor an integer"):
            Dyadic(1, 0) * wrong
        with pytest.raises(lowbit.InputError, match="is neither a Dyadic nor an integer"):
            _ = Dyadic(1, 0) >= wrong


def test_dyadics_beyond_binary64():
    for number in (Dyadic(1, -5000), Dyadic(-1, -(10**12)), Dyadic((1 << 54) - 1, -970), Dyadic(-(10**400), 0)):
        with pytest.raises(lowbit.InputError, match="is beyond binary64"):
            float(number)
    assert float(Dyadic((1 << 53) - 1, -971)) == sys.float_info.max
    tiny = [Dyadic(sign, shift) for sign in (1, -1) for shift in (1074, 1075, 10**12)]
    assert [float(number).hex() for number in tiny] == [
        *("0x0.0000000000001p-1022", "0x0.0p+0", "0x0.0p+0"),
        *("-0x0.0000000000001p-1022", "-0x0.0p+0", "-0x0.0p+0"),
    ]
    assert float(Dyadic(3, 1076)) == 5e-324
    assert float(Dyadic(-(10**400), 10**5)) == 0.0
    assert float(Dyadic(0, -5000)) == 0.0
