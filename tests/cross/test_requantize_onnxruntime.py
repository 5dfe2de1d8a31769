"""Requantisation in ONNX Runtime's QLinearMatMul and QLinearConv, and in ONNX's reference evaluator."""

import numpy as np
import pytest

import lowbit

onnx = pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")

SCALES = [(0.05, 0.0123, 0.7), (0.5, 0.25, 0.5), (0.1, 0.2, 0.3), (0.0078125, 0.00390625, 0.0625)]


def matmul_model(scales, zero_points, types):
    """QLinearMatMul of one row of products with a column each."""
    make, numbers = onnx.helper, onnx.numpy_helper
    names = ["a_scale", "b_scale", "y_scale"]
    constants = [numbers.from_array(np.array(s, dtype=np.float32), n) for s, n in zip(scales, names, strict=True)]
    zero_names = ["a_zero", "b_zero", "y_zero"]
    constants += [
        numbers.from_array(np.array(zero, dtype=kind), name)
        for zero, kind, name in zip(zero_points, types, zero_names, strict=True)
    ]
    inputs = ["a", "a_scale", "a_zero", "b", "b_scale", "b_zero", "y_scale", "y_zero"]
    node = make.make_node("QLinearMatMul", inputs, ["y"])
    kinds = [make.np_dtype_to_tensor_dtype(np.dtype(kind)) for kind in types]
    graph = make.make_graph(
        [node],
        "one",
        [
            make.make_tensor_value_info("a", kinds[0], ["m", "k"]),
            make.make_tensor_value_info("b", kinds[1], ["k", "n"]),
        ],
        [make.make_tensor_value_info("y", kinds[2], ["m", "n"])],
        constants,
    )
    return make.make_model(graph, opset_imports=[make.make_opsetid("", 21)], ir_version=10)


def operands(seed, scales, depth=64):
    """Matrices whose accumulators straddle the result's range.

    Seven bits for ``b``: on x86 without VNNI, ONNX Runtime saturates pairs of products to 16 bits (``conftest.py``).
    """
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 256, (128, depth)).astype(np.uint8)
    b = rng.integers(-64, 65, (depth, 128)).astype(np.int8)
    keep = int(np.clip(16000 / (scales[0] * scales[1] / scales[2] * 3e4 * depth), 1, depth))
    b[keep:] = 0
    return a, b


def run(model, a, b):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"a": a, "b": b})[0]


def accumulate(a, b, zero_points):
    return (a.astype(np.int64) - zero_points[0]) @ (b.astype(np.int64) - zero_points[1])


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize("zero_points", [(128, 0, 100), (3, 0, 7), (0, 0, 0)])
def test_matmul(scales, zero_points):
    a, b = operands(1, scales)
    theirs = run(matmul_model(scales, zero_points, (np.uint8, np.int8, np.uint8)), a, b)
    scale = lowbit.effective_scale(*scales, scheme="onnxruntime")
    accumulators = accumulate(a, b, zero_points)
    ours = lowbit.requantize(accumulators, scheme="onnxruntime", scale=scale, zero_point=zero_points[2], result="uint8")
    np.testing.assert_array_equal(ours, theirs)


def test_the_sets_tell_schemes_apart():
    differing = dict.fromkeys(("tflm", "tvm_upward", "tvm_x86_float32", "litert_reference_fully_connected"), 0)
    for scales in SCALES:
        a, b = operands(1, scales)
        accumulators = accumulate(a, b, (3, 0))
        theirs = lowbit.requantize(
            accumulators, scheme="onnxruntime", scale=lowbit.effective_scale(*scales, scheme="onnxruntime")
        )
        for name in differing:
            scale = lowbit.effective_scale(*scales, scheme=name)
            differing[name] += np.count_nonzero(lowbit.requantize(accumulators, scheme=name, scale=scale) != theirs)
    assert all(differing.values()), differing


@pytest.mark.parametrize("zero_point", [0, 7, 128])
def test_reference_evaluator(zero_point):
    # It adds the zero point before it rounds; up to 1.21 it also wraps.
    name = "onnx_reference_1_21" if tuple(map(int, onnx.__version__.split(".")[:2])) <= (1, 21) else "onnx_reference"
    from onnx.reference import ReferenceEvaluator

    scales = (0.5, 0.25, 0.5)
    a, b = operands(2, scales)
    model = matmul_model(scales, (3, 0, zero_point), (np.uint8, np.int8, np.uint8))
    theirs = ReferenceEvaluator(model).run(None, {"a": a, "b": b})[0]
    accumulators = accumulate(a, b, (3, 0))
    options = {"scale": scales[0] * scales[1] / scales[2], "zero_point": zero_point, "result": "uint8"}
    ours = lowbit.requantize(accumulators, scheme=name, **options)
    np.testing.assert_array_equal(ours, theirs)
    other = lowbit.requantize(accumulators, scheme="onnxruntime", **options)
    assert np.count_nonzero(theirs != other) or zero_point % 2 == 0  # an odd one moves every tie
