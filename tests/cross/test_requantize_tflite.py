"""Requantisation in LiteRT (three resolvers) and TensorFlow Lite Micro, bit for bit under the names of the schemes.

Accumulators reach the kernels as biases: the input is its zero point, so every product is 0. One model then has
thousands of chosen accumulators: ties of the scale, their neighbours, and random ones of every length.
"""

import numpy as np
import pytest

import lowbit
from tests.cross.tflite_models import Tensor, model, run_litert, run_tflm, schema

SCALES = [(0.05, 0.0123, 0.7), (0.5, 0.25, 0.5), (0.1, 0.2, 0.3), (0.0078125, 0.00390625, 0.0625), (0.9, 0.9, 0.99)]
FULLY_CONNECTED = {
    "reference": "litert_reference_fully_connected",
    "optimized": "litert_optimized_fully_connected",
    "default": "litert_xnnpack",
    "tflm": "tflm",
}
CONV = {
    "reference": "litert_reference_conv",
    "optimized": "litert_optimized_conv",
    "default": "litert_xnnpack",
    "tflm": "tflm",
}
MUL = {
    "reference": "litert_reference_mul",
    "optimized": "litert_optimized_mul",
    "default": "litert_xnnpack",
    "tflm": "tflm",
}
LARGEST_FOR_XNNPACK = 1 << 30
NO_ACTIVATION = {"fusedActivationFunction": 0}


@pytest.fixture(scope="module", autouse=True)
def installed():
    schema()


def run(blob, arrays, kernels):
    return run_tflm(blob, arrays)[0] if kernels == "tflm" else run_litert(blob, arrays, kernels)[0]


def accumulators(scale, size=1500):
    """Around the midpoints between results, and random ones of all lengths."""
    rng = np.random.default_rng(7)
    middles = np.round((rng.integers(-140, 140, size) + 0.5) / scale)
    near = np.concatenate([middles + step for step in (-1, 0, 1)])
    spread = [rng.integers(-(1 << bits), 1 << bits, size // 5) for bits in (8, 12, 16, 22, 30)]
    values = np.concatenate([near, *spread]).astype(np.int64)
    return values[np.abs(values) < LARGEST_FOR_XNNPACK].astype(np.int32)


def bias_model(operator, biases, scales, zero_points, per_channel):
    """FULLY_CONNECTED or CONV_2D of one input and as many outputs as there are biases."""
    (input_scale, weight_scale, output_scale), (input_zero, output_zero) = scales, zero_points
    count = len(biases)
    weights = np.broadcast_to(np.asarray(weight_scale, dtype=np.float32), (count,)) if per_channel else weight_scale
    bias_scale = np.float32(input_scale) * np.asarray(weights, dtype=np.float32)
    if operator == "FULLY_CONNECTED":
        shapes, options = ((1, 1), (count, 1), (1, count)), ("FullyConnectedOptions", NO_ACTIVATION)
    else:
        shapes = ((1, 1, 1, 1), (count, 1, 1, 1), (1, 1, 1, count))
        options = ("Conv2DOptions", {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1})
    operands = [
        Tensor(shapes[0], "int8", input_scale, input_zero),
        Tensor(shapes[1], "int8", weights, data=np.ones(shapes[1])),
        Tensor((count,), "int32", bias_scale, data=biases),
    ]
    blob = model(operator, operands, [Tensor(shapes[2], "int8", output_scale, output_zero)], options, version=4)
    return blob, np.full(shapes[0], input_zero, dtype=np.int8)


def compare(kernels, scheme, biases, scales, output_zero, answers):
    scale = [lowbit.effective_scale(scales[0], weight, scales[2], scheme=scheme) for weight in np.atleast_1d(scales[1])]
    ours = lowbit.requantize(biases, scheme=scheme, scale=scale, zero_point=output_zero)
    where = np.flatnonzero(ours != answers)
    rows = [(int(biases[i]), int(ours[i]), int(answers[i])) for i in where[:5]]
    assert where.size == 0, f"{kernels}, {scheme}: {where.size} of {biases.size}; accumulator, ours, theirs: {rows}"


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("kernels", FULLY_CONNECTED)
def test_fully_connected(kernels, scales):
    biases = accumulators(scales[0] * scales[1] / scales[2])
    blob, array = bias_model("FULLY_CONNECTED", biases, scales, (3, -7), per_channel=False)
    compare(kernels, FULLY_CONNECTED[kernels], biases, scales, -7, run(blob, [array], kernels).reshape(-1))


@pytest.mark.parametrize("kernels", CONV)
def test_convolution_with_a_scale_a_channel(kernels):
    rng = np.random.default_rng(3)
    weights = rng.uniform(0.001, 0.3, 4000).astype(np.float32)
    weights[:500] = 2.0 ** rng.integers(-9, -1, 500)
    scales = (0.05, weights, 0.625)
    targets = rng.integers(-130, 130, 4000) + 0.5
    biases = np.round(targets / (0.05 * weights / 0.625)).astype(np.int32)
    blob, array = bias_model("CONV_2D", biases, scales, (3, 11), per_channel=True)
    compare(kernels, CONV[kernels], biases, scales, 11, run(blob, [array], kernels).reshape(-1))


@pytest.mark.parametrize("scales", [(0.05, 0.04, 0.1), (0.5, 0.5, 1.0), (0.003, 0.02, 0.0007)])
@pytest.mark.parametrize("kernels", MUL)
def test_multiplication(kernels, scales):
    rng = np.random.default_rng(0)
    left, right = (rng.integers(-128, 128, (1, 20000)).astype(np.int8) for _ in range(2))
    tensors = [Tensor(left.shape, "int8", scales[0], 3), Tensor(left.shape, "int8", scales[1], -5)]
    blob = model("MUL", tensors, [Tensor(left.shape, "int8", scales[2], 7)], ("MulOptions", NO_ACTIVATION), version=2)
    products = ((left.astype(np.int32) - 3) * (right.astype(np.int32) + 5)).reshape(-1)
    compare(kernels, MUL[kernels], products, scales, 7, run(blob, [left, right], kernels).reshape(-1))


def test_the_four_functions_are_told_apart():
    # Each of the four answers of FULLY_CONNECTED differs from the other three schemes somewhere.
    names = sorted(set(FULLY_CONNECTED.values()))
    differing = {(one, other): 0 for one in names for other in names if one != other}
    for scales in SCALES:
        biases = accumulators(scales[0] * scales[1] / scales[2])
        answers = {
            name: lowbit.requantize(biases, scheme=name, scale=lowbit.effective_scale(*scales, scheme=name))
            for name in names
        }
        for one, other in differing:
            differing[one, other] += np.count_nonzero(answers[one] != answers[other])
    assert all(differing.values()), differing


INT16 = {**dict.fromkeys(("reference", "optimized", "default"), "litert_fully_connected_int16"), "tflm": "tflm_int16"}


@pytest.mark.parametrize("kernels", INT16)
def test_int16_activations(kernels):
    # TFLM takes the upper 15 bits of the multiplier, LiteRT does not: 36 % of these results tell them apart.
    scheme, scales = INT16[kernels], (0.001, 0.0123, 0.0007)
    rng = np.random.default_rng(5)
    middles = (rng.integers(-32760, 32760, 2000) + 0.5) / (scales[0] * scales[1] / scales[2])
    long = rng.integers(-(1 << 36), 1 << 36, 200) if kernels == "tflm" else rng.integers(-(1 << 31), 1 << 31, 200)
    biases = np.concatenate([np.round(middles), long]).astype(np.int64)
    count = len(biases)
    operands = [
        Tensor((1, 1), "int16", scales[0]),
        Tensor((count, 1), "int8", scales[1], data=np.ones((count, 1))),
        Tensor((count,), "int64", np.float32(scales[0]) * np.float32(scales[1]), data=biases),
    ]
    output = Tensor((1, count), "int16", scales[2])
    blob = model("FULLY_CONNECTED", operands, [output], ("FullyConnectedOptions", NO_ACTIVATION), version=7)
    theirs = run(blob, [np.zeros((1, 1), dtype=np.int16)], kernels).reshape(-1)
    answers = {
        name: lowbit.requantize(
            np.clip(biases, -(1 << 31), (1 << 31) - 1),
            scheme=name,
            scale=lowbit.effective_scale(*scales, scheme=name),
            result="int16",
        )
        for name in set(INT16.values())
    }
    np.testing.assert_array_equal(answers[scheme], theirs)  # what is clipped here is clamped there
    assert np.count_nonzero(answers["tflm_int16"] != answers["litert_fully_connected_int16"]) > count // 4


ADDED = [(0.05, 0.04, 0.1), (0.5, 0.25, 1.0), (0.3, 0.004, 0.21), (0.0123, 0.0371, 0.02), (0.011, 0.93, 0.71)]
ADDED += [(0.4, 0.4, 0.41), (0.2, 0.199, 0.37), (0.017, 0.0019, 0.018)]
ADD = {"reference": "tflite_double", "optimized": "litert_optimized_add", "default": "xnnpack_add", "tflm": "tflm"}


@pytest.mark.parametrize("scales", ADDED)
@pytest.mark.parametrize("kernels", ADD)
def test_addition(kernels, scales):
    a, b = (codes.reshape(1, -1) for codes in np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2))
    tensors = [Tensor(a.shape, "int8", scales[0], 3), Tensor(a.shape, "int8", scales[1], -5)]
    output = Tensor(a.shape, "int8", scales[2], 7)
    blob = model("ADD", tensors, [output], ("AddOptions", NO_ACTIVATION), version=2)
    theirs = run(blob, [a, b], kernels)
    named = dict(zip(("a_scale", "b_scale", "result_scale"), scales, strict=True))
    zeros = {"a_zero_point": 3, "b_zero_point": -5, "zero_point": 7}
    np.testing.assert_array_equal(lowbit.quantized_add(a, b, scheme=ADD[kernels], **named, **zeros), theirs)


def test_additions_are_told_apart():
    a, b = (codes.reshape(-1) for codes in np.meshgrid(*[np.arange(-128, 128, dtype=np.int8)] * 2))
    names = ("tflite_double", "tflite_single", "litert_optimized_add", "xnnpack_add", "qnnpack_add", "hawq")
    answers = {name: [] for name in names}
    for scales in ADDED:
        named = dict(zip(("a_scale", "b_scale", "result_scale"), scales, strict=True))
        for name in names:
            answers[name].append(lowbit.quantized_add(a, b, scheme=name, **named))
    alike = [
        (one, other) for one in names for other in names if one < other and np.array_equal(answers[one], answers[other])
    ]
    assert not alike


@pytest.mark.parametrize("kernels", ["reference", "optimized", "tflm"])
def test_addition_of_16_bits(kernels):
    rng = np.random.default_rng(2)
    a, b = (rng.integers(-(1 << 15), 1 << 15, (1, 20000)).astype(np.int16) for _ in range(2))
    tensors = [Tensor(a.shape, "int16", 0.001), Tensor(a.shape, "int16", 0.0007)]
    options = ("AddOptions", {**NO_ACTIVATION, "potScaleInt16": False})
    blob = model("ADD", tensors, [Tensor(a.shape, "int16", 0.0015)], options, version=3)
    theirs = run(blob, [a, b], kernels)
    ours = lowbit.quantized_add(a, b, scheme="tflite_double", a_scale=0.001, b_scale=0.0007, result_scale=0.0015)
    np.testing.assert_array_equal(ours, theirs)
