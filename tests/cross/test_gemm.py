"""Integer GEMM against PyTorch's _int_mm (oneDNN) and ONNX Runtime's MatMulInteger: the same bits.

Where ONNX Runtime saturates pairs of products (``vpmaddubsw``), it is the accumulator of that name that has to give its
bits.
"""

import numpy as np
import pytest

import lowbit

SHAPES = [(1, 1, 1), (2, 3, 5), (17, 32, 8), (33, 65, 31), (64, 64, 64), (7, 513, 129), (197, 384, 96), (1, 700, 260)]
KINDS = ("random", "lowest", "highest", "alternating", "sparse")


def operand(rng, shape, dtype, kind):
    limits = np.iinfo(dtype)
    if kind == "lowest":
        return np.full(shape, limits.min, dtype)
    if kind == "highest":
        return np.full(shape, limits.max, dtype)
    if kind == "alternating":  # pairs that saturate 16 bits one way, then the other
        return np.where(np.indices(shape).sum(axis=0) % 2, limits.min, limits.max).astype(dtype)
    codes = rng.integers(limits.min, limits.max + 1, shape, dtype=dtype)
    return codes * (rng.random(shape) < 0.1).astype(dtype) if kind == "sparse" else codes


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch", reason="PyTorch is the peer")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_int_mm(torch, kind, other):
    rng = np.random.default_rng(1)
    for m, k, n in SHAPES:
        a, b = operand(rng, (m, k), np.int8, kind), operand(rng, (k, n), np.int8, other)
        for right in (b, np.asfortranarray(b)):
            theirs = torch._int_mm(torch.from_numpy(a), torch.from_numpy(right)).numpy()
            assert np.array_equal(lowbit.gemm(a, right), theirs), (m, k, n)


@pytest.fixture(scope="module")
def matmul_integer():
    """MatMulInteger by ONNX Runtime: (a, b, a_zero, b_zero) -> int32."""
    onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the peer")
    onnx = pytest.importorskip("onnx", reason="the model is made with it")
    helper, kinds = onnx.helper, {"uint8": onnx.TensorProto.UINT8, "int8": onnx.TensorProto.INT8}
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    sessions = {}

    def run(a, b, a_zero, b_zero):
        inputs = {"a": a, "b": b, "a_zero": a_zero, "b_zero": b_zero}
        key = (a.dtype, b.dtype, a.ndim, np.ndim(a_zero), np.ndim(b_zero))
        if key not in sessions:
            graph = helper.make_graph(
                [helper.make_node("MatMulInteger", list(inputs), ["c"])],
                "gemm",
                [
                    helper.make_tensor_value_info(name, kinds[str(array.dtype)], [None] * array.ndim)
                    for name, array in inputs.items()
                ],
                [helper.make_tensor_value_info("c", onnx.TensorProto.INT32, None)],
            )
            model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
            sessions[key] = onnxruntime.InferenceSession(
                model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        return sessions[key].run(None, inputs)[0]

    return run


def saturated_pairs(a, b, a_zero, b_zero):
    """Saturating pairs of the codes themselves; zero points are accounted for afterwards, in wrapping sums."""
    codes = lowbit.gemm(a, b, accumulator="x86_vpmaddubsw").astype(np.int64)
    wide, k = (a.astype(np.int64), b.astype(np.int64)), a.shape[-1]
    b_zero = np.asarray(b_zero, np.int64)
    rows, columns = wide[0].sum(axis=-1, keepdims=True), wide[1].sum(axis=-2, keepdims=True)
    return (codes - a_zero * columns - rows * b_zero + k * a_zero * b_zero).astype(np.int32)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
@pytest.mark.parametrize("b_dtype", [np.int8, np.uint8])
def test_matmul_integer(matmul_integer, onnxruntime_saturates_pairs, kind, other, b_dtype):
    rng = np.random.default_rng(2)
    for m, k, n in SHAPES:
        a, b = operand(rng, (m, k), np.uint8, kind), operand(rng, (k, n), b_dtype, other)
        a_zero = operand(rng, (), np.uint8, "random")
        for b_zero in (operand(rng, (), b_dtype, "random"), operand(rng, (n,), b_dtype, "random")):
            theirs = matmul_integer(a, b, np.asarray(a_zero), np.asarray(b_zero))
            if b_dtype is np.int8 and onnxruntime_saturates_pairs:
                ours = saturated_pairs(a, b, int(a_zero), b_zero)
            else:
                ours = lowbit.gemm(a, b, a_zero_point=int(a_zero), b_zero_point=b_zero)
            assert np.array_equal(ours, theirs), (m, k, n)


def test_matmul_integer_of_stacks(matmul_integer, onnxruntime_saturates_pairs):
    rng = np.random.default_rng(3)
    a, b = operand(rng, (2, 3, 9, 20), np.uint8, "random"), operand(rng, (3, 20, 11), np.int8, "random")
    zeros = np.array(128, np.uint8), np.array(-3, np.int8)
    if onnxruntime_saturates_pairs:
        ours = saturated_pairs(a, b, 128, -3)
    else:
        ours = lowbit.gemm(a, b, a_zero_point=128, b_zero_point=-3)
    assert np.array_equal(ours, matmul_integer(a, b, *zeros))
