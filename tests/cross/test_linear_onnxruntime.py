"""QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear of ONNX Runtime, on the CPU."""

import numpy as np
import pytest

import lowbit
from lowbit.files.onnx_model import node_model

onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the peer")

SCALES = [0.1, 0.25, 1 / 3, 1.7e-3, 3.0]


def session(operator, inputs, output, opset=19, unread=()):
    model = node_model(operator, inputs, output, opset=opset, ir_version=9, unread=unread)
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def values_to_try(scale, zero_point):
    drawn = np.random.default_rng(3)
    ties = ((np.arange(-1200, 1200) / 2 - zero_point) * scale).astype(np.float32)
    beside = [np.nextafter(ties, np.float32(end)) for end in (np.inf, -np.inf)]
    others = (drawn.normal(size=4096) * 100 * scale).astype(np.float32)
    return np.concatenate([ties, *beside, others, np.float32([0, -0.0, 1e30, -1e30, np.inf, -np.inf])])


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("dtype", "zero_point"), [("uint8", 128), ("uint8", 3), ("int8", 0), ("int8", -7), ("uint16", 9)]
)
def test_quantize_linear(dtype, zero_point, scale):
    inputs = [("x", "float32", ("n",)), ("s", "float32", ()), ("z", dtype, ())]
    opset = 21 if dtype.endswith("16") else 19
    run = session("QuantizeLinear", inputs, ("y", dtype, ("n",)), opset)
    values = values_to_try(scale, zero_point)
    feeds = {"x": values, "s": np.array(scale, np.float32), "z": np.array(zero_point, dtype)}
    theirs = run.run(None, feeds)[0]
    mine = lowbit.quantize_linear(values, np.float32(scale), zero_point, to=dtype, policy="onnxruntime")
    where = np.flatnonzero(mine != theirs)
    assert not where.size, [(values[at], int(mine[at]), int(theirs[at])) for at in where[:5]]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("dtype", "zero_point"), [("uint8", 128), ("int8", -7)])
def test_dequantize_linear(dtype, zero_point, scale):
    inputs = [("x", dtype, ("n",)), ("s", "float32", ()), ("z", dtype, ())]
    run = session("DequantizeLinear", inputs, ("y", "float32", ("n",)))
    codes = np.array(lowbit.get_format(dtype).codes, dtype)
    theirs = run.run(None, {"x": codes, "s": np.array(scale, np.float32), "z": np.array(zero_point, dtype)})[0]
    assert np.array_equal(lowbit.dequantize_linear(codes, np.float32(scale), zero_point, fmt=dtype), theirs)


def test_quantize_linear_by_axis():
    drawn = np.random.default_rng(4)
    values = drawn.normal(size=(33, 7)).astype(np.float32)
    scales, zeros = (drawn.uniform(0.001, 0.1, 7)).astype(np.float32), drawn.integers(0, 255, 7).astype(np.uint8)
    inputs = [("x", "float32", ("m", "n")), ("s", "float32", ("n",)), ("z", "uint8", ("n",))]
    theirs = session("QuantizeLinear", inputs, ("y", "uint8", ("m", "n"))).run(
        None, {"x": values, "s": scales, "z": zeros}
    )
    assert np.array_equal(lowbit.quantize_linear(values, scales, zeros, axis=1, policy="onnxruntime"), theirs[0])


def test_dynamic_quantize_linear_gives_the_same_codes():
    drawn = np.random.default_rng(5)
    run = session("DynamicQuantizeLinear", [("x", "float32", ("n",))], ("y", "uint8", ("n",)), unread=("scale", "zero"))
    for place in range(200):
        values = (drawn.normal(drawn.normal(), 1, 257) * 10.0 ** drawn.integers(-6, 6)).astype(np.float32)
        values = np.abs(values) if place % 3 == 0 else values
        assert np.array_equal(lowbit.dynamic_quantize_linear(values)[0], run.run(None, {"x": values})[0])
