"""Sums and products of quantised tensors: the oracle and the array functions give the same codes."""

import numpy as np
import pytest

import lowbit
from lowbit.oracle.requantize.quantized import add, multiply
from lowbit.policy.multiplier import derive_multiplier
from lowbit.policy.quantized_add import derive_addition

ADDITIONS = [
    "tflite_double",
    "tflite_single",
    "double_up_up",
    "xnnpack_add",
    "qnnpack_add",
    "hawq",
    "litert_optimized_add",
]
SCALES = [(0.05, 0.04, 0.1), (0.5, 0.25, 1.0), (0.3, 0.001, 0.21), (0.0123, 0.0371, 0.02)]


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("name", ADDITIONS)
def test_all_pairs_of_some_codes(name, scales):
    codes = np.array([-128, -127, -77, -3, -2, -1, 0, 1, 2, 3, 5, 64, 99, 126, 127], dtype=np.int8)
    a, b = np.meshgrid(codes, np.arange(-128, 128).astype(np.int8))
    zeros = {"a_zero_point": 3, "b_zero_point": -5, "zero_point": 7}
    named = dict(zip(("a_scale", "b_scale", "result_scale"), scales, strict=True))
    got = lowbit.quantized_add(a, b, scheme=name, **named, **zeros)
    addition = derive_addition(name, *scales, 8)
    wanted = [
        add(x, y, addition, **zeros, low=-128, high=127)
        for x, y in zip(a.reshape(-1).tolist(), b.reshape(-1).tolist(), strict=True)
    ]
    np.testing.assert_array_equal(got.reshape(-1), wanted)
    exact = (a.astype(float) - 3) * scales[0] / scales[2] + (b.astype(float) + 5) * scales[1] / scales[2] + 7
    assert np.abs(got - np.clip(exact, -128, 127)).max() <= 1.01  # whatever the scheme, it is a sum


def test_16_bits():
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-(1 << 15), 1 << 15, 300).astype(np.int16) for _ in range(2))
    scales = {"a_scale": 0.001, "b_scale": 0.0007, "result_scale": 0.0015}
    got = lowbit.quantized_add(a, b, scheme="tflm", **scales)
    addition = derive_addition("tflm", *scales.values(), 16)
    zeros = dict.fromkeys(("a_zero_point", "b_zero_point", "zero_point"), 0)
    limits = {"low": -(1 << 15), "high": (1 << 15) - 1}
    assert got.tolist() == [add(x, y, addition, **zeros, **limits) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    with pytest.raises(lowbit.InputError, match="16-bit tensors have none"):
        lowbit.quantized_add(a, b, scheme="tflm", a_zero_point=1, **scales)


@pytest.mark.parametrize("name", ["tflm", "litert_xnnpack", "single_even", "litert_optimized_fully_connected"])
def test_products(name):
    rng = np.random.default_rng(1)
    a, b = (rng.integers(-128, 128, 500).astype(np.int8) for _ in range(2))
    scales = {"a_scale": 0.05, "b_scale": 0.04, "result_scale": 0.1}
    zeros = {"a_zero_point": 3, "b_zero_point": -5, "zero_point": 7}
    got = lowbit.quantized_multiply(a, b, scheme=name, **scales, **zeros)
    scheme = lowbit.get_requantize_scheme(name)
    pair = derive_multiplier(lowbit.effective_scale(*scales.values(), scheme=name), name)
    wanted = [
        multiply(x, y, scheme, *pair, **zeros, low=-128, high=127) for x, y in zip(a.tolist(), b.tolist(), strict=True)
    ]
    assert got.tolist() == wanted


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf"), 1e-50])
@pytest.mark.parametrize("place", ["a_scale", "b_scale", "result_scale"])
def test_bad_scales(place, value):
    scales = {"a_scale": 0.05, "b_scale": 0.04, "result_scale": 0.1, place: value}
    for call in (lowbit.quantized_add, lowbit.quantized_multiply):
        with pytest.raises(lowbit.InputError, match="scale is"):
            call(np.int8(1), np.int8(2), scheme="tflm", **scales)


def test_bad_operands():
    scales = {"a_scale": 0.05, "b_scale": 0.04, "result_scale": 0.1}
    with pytest.raises(lowbit.InputError, match="do not broadcast"):
        lowbit.quantized_add(np.zeros(2, np.int8), np.zeros(3, np.int8), scheme="tflm", **scales)
    with pytest.raises(lowbit.InputError, match="at most 16 bits"):
        lowbit.quantized_add(np.zeros(2, np.int32), np.zeros(2, np.int8), scheme="tflm", **scales)
    with pytest.raises(lowbit.PolicyError, match="has no addition"):
        lowbit.quantized_add(np.zeros(2, np.int8), np.zeros(2, np.int8), scheme="xnnpack_fp32", **scales)
    with pytest.raises(lowbit.PolicyError, match="did you mean 'xnnpack_add'"):
        lowbit.quantized_add(np.zeros(2, np.int8), np.zeros(2, np.int8), scheme="xnpack_add", **scales)
    with pytest.raises(lowbit.InputError, match="outside 2\\^-10"):
        lowbit.quantized_add(np.int8(1), np.int8(1), scheme="xnnpack_add", **{**scales, "b_scale": 1e-5})


@pytest.mark.parametrize("name", ["xnnpack_add", "qnnpack_add"])
def test_shared_shifts_take_8_bits(name):
    """16-bit operands times multipliers of 21 bits leave the 32 bits of the sum."""
    codes = np.array([32767, -32768], np.int16)
    with pytest.raises(lowbit.InputError, match="operands of 16 bits"):
        lowbit.quantized_add(codes, codes, scheme=name, a_scale=1.0, b_scale=1.0, result_scale=2.0)


@pytest.mark.parametrize("tie", ["even", "away", "up"])
def test_dyadic_operands_are_not_clamped(tie):
    """Each operand of these leaves 32 bits; the sum alone is clamped."""
    scheme = lowbit.get_requantize_scheme("hawq").choose(tie=tie)
    a = np.array([32767, -32768, 32767, 3, -3, 5], np.int16)
    b = np.array([32767, -32768, -32768, 0, 0, 0], np.int16)
    for scales in ((1e5, 1e5, 1.0), (1.0, 3.0, 1e-5), (0.5, 0.25, 1.0)):
        named = dict(zip(("a_scale", "b_scale", "result_scale"), scales, strict=True))
        got = lowbit.quantized_add(a, b, scheme=scheme, **named, zero_point=7)
        addition = derive_addition(scheme, *scales, 16)
        zeros = {"a_zero_point": 0, "b_zero_point": 0, "zero_point": 7}
        limits = {"low": -(1 << 15), "high": (1 << 15) - 1}
        wanted = [add(x, y, addition, **zeros, **limits) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
        assert got.tolist() == wanted
        exact = (a * scales[0] + b * scales[1]) / scales[2] + 7
        assert np.abs(got - np.clip(exact, -32768, 32767)).max() <= 1.01


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"zero_point": 1000}, "zero_point = 1000 is outside -128 to 127"),
        ({"zero_point": 1.5}, "zero_point = 1.5 is not one integer"),
        ({"minimum": -1000}, "minimum = -1000 is outside"),
        ({"minimum": 5, "maximum": -5}, "minimum = 5 is above maximum = -5"),
        ({"threads": 0}, "threads = 0"),
        ({"a_scale": "0.5"}, "a_scale = '0.5' is not a number"),
        ({"b_scale": 0}, "b_scale is zero"),
    ],
)
@pytest.mark.parametrize("name", ["hawq", "tflm", "xnnpack_add"])
def test_options_are_checked_by_every_scheme(name, option, words):
    scales = {"a_scale": 0.5, "b_scale": 0.25, "result_scale": 1.0}
    for call in (lowbit.quantized_add, lowbit.quantized_multiply)[: 1 if name == "xnnpack_add" else 2]:
        with pytest.raises(lowbit.InputError, match=words):
            call(np.int8(1), np.int8(2), scheme=name, **{**scales, **option})


def test_operands_that_are_no_codes():
    scales = {"a_scale": 0.5, "b_scale": 0.25, "result_scale": 1.0}
    with pytest.raises(lowbit.InputError, match="dtype bool"):
        lowbit.quantized_add(np.array([True]), np.int8(1), scheme="tflm", **scales)
    with pytest.raises(lowbit.InputError, match="masked array"):
        lowbit.quantized_add(np.ma.array([1], mask=[True], dtype=np.int8), np.int8(1), scheme="tflm", **scales)
