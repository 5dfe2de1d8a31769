"""quantize_linear and its kin at their edges."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, PolicyError


def test_the_example_of_the_operator():
    # ONNX, QuantizeLinear, example quantizelinear.
    codes = lowbit.quantize_linear(np.float32([0, 2, 3, 1000, -254, -1000]), np.float32(2), 128)
    assert codes.tolist() == [128, 129, 130, 255, 1, 0]
    assert codes.dtype == np.uint8
    values = lowbit.dequantize_linear(np.uint8([0, 3, 128, 255]), np.float32(2), 128)
    assert values.tolist() == [-256, -250, 0, 254]
    assert lowbit.fake_quantize(np.float32([0, 3, 1000]), 2.0, 128).tolist() == [0, 4, 254]


def test_the_examples_of_the_dynamic_operator():
    # ONNX, DynamicQuantizeLinear, examples dynamicquantizelinear and dynamicquantizelinear_max_adjusted.
    codes, scale, zero_point = lowbit.dynamic_quantize_linear(np.float32([0, 2, -3, -2.5, 1.34, 0.5]))
    assert (codes.tolist(), float(scale), zero_point) == ([153, 255, 0, 26, 221, 179], float(np.float32(5 / 255)), 153)
    codes, scale, zero_point = lowbit.dynamic_quantize_linear(np.float32([-1.0, -2.1, -1.3, -2.5, -3.34, -4.0]))
    assert (codes.tolist(), zero_point) == ([191, 121, 172, 96, 42, 0], 255)
    codes, scale, zero_point = lowbit.dynamic_quantize_linear(np.zeros(3))
    assert (codes.tolist(), float(scale), zero_point) == ([0, 0, 0], 1.0, 0)


def test_scales_of_an_axis_and_of_blocks():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    scales = np.float32([1, 2, 4])
    codes = lowbit.quantize_linear(values, scales, [0, 1, 2], axis=1)
    rows = [lowbit.quantize_linear(values[:, place], scales[place], place) for place in range(3)]
    assert np.array_equal(codes, np.stack(rows, axis=1))
    assert np.array_equal(lowbit.dequantize_linear(codes, scales, [0, 1, 2], axis=-2)[:, 0], values[:, 0])
    blocked = np.float32([[[1, 2]] * 3] * 2)
    assert blocked.shape == (2, 3, 2)
    codes = lowbit.quantize_linear(values, blocked, axis=2, block=3)
    assert np.array_equal(codes[..., :3], values[..., :3])
    assert np.array_equal(codes[..., 3], lowbit.quantize_linear(values[..., 3], 2.0))


def test_an_unknown_dtype_is_refused_in_words():
    with pytest.raises(InputError, match="unknown to NumPy"):
        lowbit.dequantize_linear([1], 1.0, dtype="float33")


def test_products_differ_in_ties():
    ties = np.float32([0.5, 1.5, -0.5])
    assert lowbit.quantize_linear(ties, 1.0, to="int8").tolist() == [0, 2, 0]
    assert lowbit.quantize_linear(ties, 1.0, to="int8", policy="tflite").tolist() == [1, 2, -1]
    before = lowbit.BlockPolicy(zero_point_place="before_rounding")
    assert lowbit.quantize_linear(ties, 1.0, 1, to="int8", policy=before).tolist() == [2, 2, 0]


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scale": 0.0}, InputError, "a scale is not a positive number"),
        ({"scale": [1.0, np.nan], "axis": 0}, InputError, "a scale is not a positive number"),
        ({"scale": [1.0, 2.0]}, InputError, "axis = None, but scales of shape"),
        ({"scale": [1.0, 2.0], "axis": 1}, InputError, "axis 1 has 3 elements"),
        ({"scale": [1.0, 2.0], "axis": 5}, InputError, "axis = 5"),
        ({"scale": np.ones((2, 2)), "axis": 1, "block": 1}, InputError, "as blocks of 1 need"),
        ({"zero_point": 256}, InputError, "0x100 is not a code of uint8, as a zero point is"),
        ({"zero_point": 0.5}, InputError, "not of integers"),
        ({"zero_point": [1, 2]}, InputError, "zero_point has the shape"),
        ({"zero_point": 1, "to": "float8_e4m3fn"}, InputError, "whose zero point is 0"),
        ({"to": "int32"}, InputError, "is not an integer format of at most 16 bits"),
        ({"to": "float16"}, InputError, "has more than 8 bits"),
        ({"to": "mxfp4"}, InputError, "is not a scalar format"),
        ({"policy": "onx"}, PolicyError, "did you mean 'onnx'"),
        ({"policy": lowbit.BlockPolicy(element="integer_wrap")}, PolicyError, "overflow = 'wrap'"),
    ],
)
def test_bad_input(options, error, message):
    values = np.zeros((2, 3), np.float32)
    with pytest.raises(error, match=message):
        lowbit.quantize_linear(values, **({"scale": 1.0} | options))


def test_a_range_must_be_one():
    for values in ([], [np.nan], [1.0, np.inf]):
        with pytest.raises(InputError, match="have no range"):
            lowbit.dynamic_quantize_linear(np.float32(values))
    with pytest.raises(InputError, match="beyond binary32"):
        lowbit.dynamic_quantize_linear(np.float32([-3e38, 3e38]))
    with pytest.raises(InputError, match="is not an integer format"):
        lowbit.dynamic_quantize_linear([1.0], to="float8_e4m3fn")
    with pytest.raises(InputError, match="is not float32 or float64"):
        lowbit.dequantize_linear([1], 1.0, dtype=np.float16)


def test_quotients_beyond_binary32_saturate_under_every_policy():
    smallest = np.finfo(np.float32).smallest_normal
    for policy in lowbit.BLOCK_PRESETS:
        assert lowbit.quantize_linear(np.float32([3e38, -3e38]), smallest, 128, policy=policy).tolist() == [255, 0]
