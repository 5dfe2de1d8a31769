"""What requantize says to bad input, and what it promises of shapes, dtypes and memory."""

import ml_dtypes
import numpy as np
import pytest

import lowbit

GOOD = {"multiplier": 1 << 30, "shift": -1}


@pytest.mark.parametrize(
    ("scale", "words"),
    [
        (0.0, "scale is zero"),
        (-0.5, "scale is -0.5"),
        (float("nan"), "not a number"),
        (float("inf"), "scale is inf"),
        ([0.5, 0.0], "scale at index 1 is zero"),
        ([], "scale is empty"),
        ([[0.5]], "2 dimensions"),
        ("half", "dtype"),
    ],
)
@pytest.mark.parametrize("scheme", ["tflite_double", "xnnpack_fp32", "tosa_single", "xnnpack_rndnu", "hawq", "nvdla"])
def test_bad_scales(scheme, scale, words):
    with pytest.raises(lowbit.InputError, match=words):
        lowbit.requantize(np.zeros((2, 2), np.int32), scheme=scheme, scale=scale)
    if words not in ("scale is empty", "2 dimensions"):
        with pytest.raises(lowbit.InputError, match=words):
            lowbit.quantize_multiplier(scale, scheme=scheme)


@pytest.mark.parametrize(
    ("scheme", "multiplier", "shift", "words"),
    [
        ("tosa_single", 1 << 30, 63, "shift 63 is out of range: scheme 'tosa_single' takes 2 to 62; none is longer"),
        ("tosa_single", 1 << 30, 1, "takes 2 to 62"),
        ("tflite_double", 1 << 30, 31, "takes -31 to 30"),
        ("tflite_double", 1 << 31, 0, "multiplier 2147483648 is out of range"),
        ("tflite_double", -1, 0, "multiplier -1 is out of range"),
        ("nvdla", 1 << 15, 3, "takes -32768 to 32767"),
        ("tosa_single_48", 1 << 15, 3, "takes 0 to 32767"),
        ("xnnpack_rndnu", [1, 2], [3, 99], "shift 99 of channel 1"),
        ("xnnpack_rndnu", [1, 2, 3], [3, 4], "3 multipliers and 2 shifts"),
        ("tflite_double", 0.5, 0, "dtype float64"),
        ("tflite_double", 1, None, "shift is missing"),
        ("tflite_double", None, None, "multiplier is missing"),
        ("onnxruntime", 1, 1, "multiplies by the scale itself"),
    ],
)
def test_bad_multipliers(scheme, multiplier, shift, words):
    with pytest.raises(lowbit.InputError, match=words):
        lowbit.requantize(np.zeros((2, 2), np.int32), scheme=scheme, multiplier=multiplier, shift=shift)


def test_nvdla_takes_negative_multipliers():
    assert lowbit.requantize([10, -10], scheme="nvdla", multiplier=-3, shift=2).tolist() == [-8, 8]  # 7.5, away


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": 0.5}, "both a scale and a multiplier"),
        ({"zero_point": 200}, "zero_point = 200 is outside -128 to 127"),
        ({"zero_point": 1.5}, "not one integer"),
        ({"result": "float16"}, "not an integer format"),
        ({"result": "int64"}, "at most 32 bits"),
        ({"minimum": 5, "maximum": 4}, "minimum = 5 is above maximum = 4"),
        ({"minimum": -300}, "minimum = -300 is outside"),
        ({"threads": 0}, "threads = 0"),
        ({"out": np.zeros(3, np.int16)}, "out must be an int8 array"),
        ({"multiplier": [1, 2], "axis": 3}, "not an axis"),
        ({"multiplier": [1, 2]}, "2 scales for 3 channels"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(lowbit.InputError, match=words):
        lowbit.requantize(np.zeros(3, np.int32), scheme="tflite_double", **{**GOOD, **options})


@pytest.mark.parametrize(
    ("accumulators", "words"),
    [
        (np.zeros(3), "dtype float64"),
        ([[1, 2], [3]], "differ in length"),
        ([1, 1 << 31], "accumulator 2147483648 at index 1 is outside -2147483648 to 2147483647"),
    ],
)
def test_bad_accumulators(accumulators, words):
    with pytest.raises(lowbit.InputError, match=words):
        lowbit.requantize(accumulators, scheme="tflite_double", **GOOD)


def test_tosa_bounds_accumulators_by_the_shift():
    # 1.0 specification, apply_scale_32: value >= (-1 << (shift - 1)) and value < (1 << (shift - 1))
    assert lowbit.requantize([-512, 511], scheme="tosa_single", multiplier=1, shift=10).tolist() == [0, 0]
    with pytest.raises(lowbit.InputError, match=r"accumulator 512 at index 1 is outside -512 to 511.*with this shift"):
        lowbit.requantize([511, 512], scheme="tosa_single", multiplier=1, shift=10)
    with pytest.raises(lowbit.InputError, match=r"accumulator 9 at index \(1, 0\)"):
        lowbit.requantize([[7, 9], [9, 8]], scheme="tosa_single", multiplier=[1, 1], shift=[4, 9], axis=1)


def test_unknown_schemes():
    with pytest.raises(lowbit.PolicyError, match="did you mean 'tflite_double'"):
        lowbit.requantize(1, scheme="tflite_duble", **GOOD)
    with pytest.raises(lowbit.PolicyError, match="llm_int8_matmul"):
        lowbit.requantize(1, scheme="bitsandbytes", **GOOD)
    with pytest.raises(lowbit.PolicyError, match="not int"):
        lowbit.requantize(1, scheme=3, **GOOD)
    with pytest.raises(lowbit.PolicyError, match="tie = 'sideways' is unknown"):
        lowbit.RequantizeScheme(tie="sideways")
    with pytest.raises(lowbit.PolicyError, match="product 'binary32' with shift 'left'"):
        lowbit.RequantizeScheme(product="binary32")


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        # an accumulator less a zero point has 33 bits, and 64 with a multiplier of 31: a wrong sign
        ({"zero_point": "before_product"}, "multiplier_bits = 31: products with accumulators of 32 bits less a zero"),
        ({"signed_multiplier": True}, "need more than 64 bits"),
        ({"high_half": "up"}, r"accumulators of 32 bits, shifted left by 30, need more than 64 bits"),
        ({"accumulator_bits": 48}, "accumulators of 48 bits need more"),
        (
            {"high_half": "up", "left_shift": "wrap32", "accumulator_bits": 48},
            r"shift_range = \(-31, 30\).*shifted left by 30",
        ),
        ({"multiplier_use": "upper_15", "high_half": "up"}, "a high half of the product 'exact' of 'upper_15'"),
        ({"multiplier_use": "upper_15", "shift_range": (-31, 20)}, "shifts to the right of 11 to 62, outside 16 to 62"),
        ({"pre_shift": "up_saturate16"}, "point 15"),
        ({"pre_shift": "up_saturate16", "point": 15, "shift_range": (-8, 8), "tie": "away"}, "tie 'up'"),
        ({"bounded": True, "shift_range": (-31, 31)}, "outside 1 to 62"),
        ({"product": "binary32", "shift": "none", "zero_point": "before_product"}, "no step of integers before"),
        ({"product": "binary64", "shift": "none", "accumulator_bits": 48}, "48 bits in binary64"),
        ({"product": "binary64", "shift": "none", "tie": "up_binary32"}, "needs the binary32 product"),
        ({"product": "binary32", "shift": "none", "zero_point": "before_rounding", "tie": "even"}, "goes with"),
    ],
)
def test_combinations_that_have_no_place_in_64_bits(axes, words):
    with pytest.raises(lowbit.PolicyError, match=words):
        lowbit.RequantizeScheme(**axes)


def test_nvdla_keeps_its_zero_point_before_the_product():
    scheme = lowbit.get_requantize_scheme("nvdla")
    assert scheme.choose(tie="even").zero_point == "before_product"
    ends = [-(1 << 31), (1 << 31) - 1]
    options = {"multiplier": -32768, "shift": 62, "result": "int16"}
    # (2^31 - 1 + 2^31) * -2^15 * 2^-62 = -2^-15
    assert lowbit.requantize(ends, scheme="nvdla", zero_point=ends[0], **options).tolist() == [0, 0]
    options["shift"] = 34  # less than -2^13 by 2^-19
    assert lowbit.requantize(ends, scheme="nvdla", zero_point=ends[0], **options).tolist() == [0, -8192]


def test_scalars_shapes_and_empty_arrays():
    code = lowbit.requantize(7984, scheme="TFLite_Double", multiplier=1583594044, shift=-9)
    assert isinstance(code, np.int8)
    assert code == 12
    assert lowbit.requantize(np.zeros((0, 3), np.int32), scheme="tflm", scale=[0.1, 0.2, 0.3]).shape == (0, 3)
    assert lowbit.requantize(np.zeros((2, 0, 3), np.int32), scheme="tflm", scale=0.1).shape == (2, 0, 3)
    assert lowbit.requantize([], scheme="tflm", scale=0.1).shape == (0,)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, ">i4"])
def test_accumulators_of_any_integer_dtype(dtype):
    values = np.array([0, 3, 100], dtype=dtype)
    assert lowbit.requantize(values, scheme="tflm", scale=0.5).tolist() == [0, 2, 50]


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2", "uint2"])
def test_accumulators_of_small_integers(dtype):
    values = np.array([0, 1, -1 if dtype.startswith("i") else 3], dtype=getattr(ml_dtypes, dtype))
    wanted = lowbit.requantize(values.astype(np.int32), scheme="tflm", scale=4.0)
    assert lowbit.requantize(values, scheme="tflm", scale=4.0).tolist() == wanted.tolist()
    assert lowbit.requantize(values[:, None][::-1], scheme="tflm", scale=4.0).ravel().tolist() == wanted[::-1].tolist()
    with pytest.raises(lowbit.InputError, match="dtype float8_e4m3fn, not an integer one"):
        lowbit.requantize(values.astype(ml_dtypes.float8_e4m3fn), scheme="tflm", scale=4.0)


def test_out_and_views():
    array = np.arange(-60, 60, dtype=np.int32).reshape(10, 12)
    expected = lowbit.requantize(array, scheme="tflm", scale=0.3)
    out = np.empty((10, 12), np.int8)
    assert lowbit.requantize(array, scheme="tflm", scale=0.3, out=out) is out
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(lowbit.requantize(array.T, scheme="tflm", scale=0.3), expected.T)
    wide = np.zeros((10, 24), np.int8)
    lowbit.requantize(array, scheme="tflm", scale=0.3, out=wide[:, ::2])
    np.testing.assert_array_equal(wide[:, ::2], expected)
    shared = array.copy()
    lowbit.requantize(shared, scheme="tflm", scale=0.3, result="int32", out=shared)
    np.testing.assert_array_equal(shared, expected)


def test_activation_range():
    # TFLite's RELU6 at scale 0.05 and zero point -128: codes -128 to -8
    codes = lowbit.requantize([-100, 0, 100, 1000], scheme="tflm", scale=0.5, zero_point=-128, minimum=-128, maximum=-8)
    assert codes.tolist() == [-128, -128, -78, -8]


def test_counts():
    codes, counts = lowbit.requantize([0, 10_000, -5], scheme="tflm", scale=0.5, return_counts=True)
    assert codes.tolist() == [0, 127, -2]  # a tie of the only rounding goes up
    assert counts == {"saturated": 1, "wrapped": 0}
    # a left shift that leaves 32 bits wraps in C; the third operand is 2^30 and shifts by 3
    _, counts = lowbit.requantize(1 << 30, scheme="tflite_double", multiplier=1 << 30, shift=3, return_counts=True)
    assert counts["wrapped"] == 1


# Published and derived examples that tell schemes apart: accumulator, scale, and the code under each scheme.
TELLING = [
    (-237, 0.5, {"single_up": -118, "single_away": -119, "single_even": -118}),
    (-235, 0.5, {"single_up": -117, "single_away": -118, "single_even": -118}),
    (564, 0.125, {"single_up": 71, "single_even": 70, "float32_floor_half": 71, "float32_even": 70}),
    (-302, 0.25, {"double_up_away": -76, "single_up": -75}),
    (1, 0.25, {"double_up_away": 1, "single_up": 0}),
    (-1, 0.25, {"double_up_away": 0, "single_up": 0}),
    (-3279, 0.03827386349439621, {"float32_even": -126, "single_up": -125, "multiplier24_up": -125}),
]


@pytest.mark.parametrize(("accumulator", "scale", "codes"), TELLING)
def test_examples_that_tell_schemes_apart(accumulator, scale, codes):
    assert {name: int(lowbit.requantize(accumulator, scheme=name, scale=scale)) for name in codes} == codes


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_channels_of_empty_arrays(axis):
    array = np.zeros((2, 0, 3), np.int32) if axis != 1 else np.zeros((2, 4, 0), np.int32)
    channels = array.shape[axis]
    assert lowbit.requantize(array, scheme="tflm", scale=[0.1] * channels, axis=axis).shape == array.shape


@pytest.mark.parametrize(("name", "scale"), [("onnx_reference", 1e300), ("tvm_x86_float32", 3e38)])
@pytest.mark.filterwarnings("error")
def test_infinite_sums_are_clamped_in_silence(name, scale):
    codes = lowbit.requantize([-(1 << 31), -1, 0, 1, (1 << 31) - 1], scheme=name, scale=scale, zero_point=5)
    assert codes.tolist() == [-128, -128, 5, 127, 127]


@pytest.mark.parametrize("name", ["tosa_single", "tosa_double", "tosa_single_48"])
def test_scales_below_every_multiplier(name):
    """computeMultiplierAndShift of MLIR's Tosa/Utils/QuantUtils.cpp leaves multiplier 0 and shift 62, a valid pair."""
    assert lowbit.quantize_multiplier(1e-30, scheme=name) == (0, 62)
    assert lowbit.Dyadic.from_float(1e-30, scheme=name) == 0
    codes = [-(1 << 31), 0, (1 << 31) - 1]
    by_scale = lowbit.requantize(codes, scheme=name, scale=1e-30, zero_point=3)
    by_pair = lowbit.requantize(codes, scheme=name, multiplier=0, shift=62, zero_point=3)
    assert by_scale.tolist() == by_pair.tolist() == [3, 3, 3]


def test_which_scale_is_wrong():
    with pytest.raises(lowbit.InputError, match="scale at index 1 is not a number"):
        lowbit.requantize([1, 2, 3], scheme="tflm", scale=[0.1, np.nan, 0.3])
    with pytest.raises(lowbit.InputError, match=r"scale is infinite in binary32: 1e\+300"):
        lowbit.requantize([1, 2, 3], scheme="xnnpack_fp32", scale=1e300)
    with pytest.raises(lowbit.InputError, match="accumulators: a masked array"):
        lowbit.requantize(np.ma.array([1, 2], mask=[True, False]), scheme="tflm", scale=0.1)
