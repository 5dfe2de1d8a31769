"""Integer GEMM against torch (oneDNN), ONNX Runtime, NumPy, and the limit of the machine, one thread each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import lowbit
from bench.measure import Table
from lowbit.ops.gemm import paths as _gemm_paths

torch = pytest.importorskip("torch", reason="torch is the peer")
onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is a peer")
onnx = pytest.importorskip("onnx", reason="the models of ONNX Runtime are made with it")

torch.set_num_threads(1)

SHAPES = [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (197, 384, 1536)]
"""m, k, n: cubes, and the first layer of the MLP of DeiT-S."""

REPEATS = {64: 200, 197: 5, 512: 5}
"""Calls in a measurement, by m, where a single one is too short to time."""


def operands(m: int, k: int, n: int, dtype: type = np.int8) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(m + k + n)
    return rng.integers(-128, 128, (m, k)).astype(dtype), rng.integers(-128, 128, (k, n)).astype(dtype)


def repeated(call, m: int):
    """The call, as often as it takes to be timed."""
    count = REPEATS.get(m, 1)

    def run():
        for _ in range(count):
            result = call()
        return result

    return run


def by_torch(a: np.ndarray, b: np.ndarray):
    left, right = torch.from_numpy(a), torch.from_numpy(b)
    return lambda: torch._int_mm(left, right)  # noqa: SLF001 (PyTorch has no other name for it)


def by_onnxruntime(a: np.ndarray, b: np.ndarray, *, constant: bool):
    """MatMulInteger of uint8 a and int8 b; ONNX Runtime packs a constant b ahead."""
    helper, kinds = onnx.helper, onnx.TensorProto
    inputs = {"a": a} if constant else {"a": a, "b": b}
    types = {"a": kinds.UINT8, "b": kinds.INT8}
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["a", "b"], ["c"])],
        "gemm",
        [helper.make_tensor_value_info(name, types[name], array.shape) for name, array in inputs.items()],
        [helper.make_tensor_value_info("c", kinds.INT32, (a.shape[0], b.shape[1]))],
        [onnx.numpy_helper.from_array(b, "b")] if constant else [],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, inputs)[0]


def label(m: int, k: int, n: int) -> str:
    return f"{m} x {k} x {n}"


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: label(*shape))
def test_against_torch(table: Table, shape) -> None:
    a, b = operands(*shape)
    theirs = by_torch(a, b)
    assert np.array_equal(lowbit.gemm(a, b), theirs().numpy())
    m, size = shape[0], int(np.prod(shape)) * REPEATS.get(shape[0], 1)
    ours = repeated(lambda: lowbit.gemm(a, b), m)
    row = table.compare(f"gemm s8 s8 {label(*shape)}", ours, "torch _int_mm", repeated(theirs, m), 0.95, size)
    assert row.met


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [pytest.param(SHAPES[2], 1.0, id="2048"), pytest.param(SHAPES[3], 1.05, id="197")],
)
def test_prepacked(table: Table, shape, wanted) -> None:
    a, b = operands(*shape)
    theirs, packed = by_torch(a, b), lowbit.prepack(b)
    assert np.array_equal(lowbit.gemm(a, packed), theirs().numpy())
    m, size = shape[0], int(np.prod(shape)) * REPEATS.get(shape[0], 1)
    ours = repeated(lambda: lowbit.gemm(a, packed), m)
    row = table.compare(f"prepacked s8 s8 {label(*shape)}", ours, "torch _int_mm", repeated(theirs, m), wanted, size)
    assert row.met


NEAR_THE_PEAK = pytest.mark.xfail(
    strict=False,
    reason="the peer has 0.76 to 0.84 of the peak, from process to process: the figure is up to 1.0 of it (README.md)",
)
"""Figures that are not met in every process on the machine they were set for."""


@pytest.mark.skipif(
    _gemm_paths.chosen() != "vnni",
    reason="without vpdpbusd ONNX Runtime saturates pairs of products to 16 bits: other bits, and so no peer",
)
@pytest.mark.parametrize(
    "shape",
    [pytest.param(shape, id=label(*shape), marks=NEAR_THE_PEAK if shape[0] in (512, 1024) else ()) for shape in SHAPES],
)
def test_against_onnxruntime(table: Table, shape) -> None:
    a, b = operands(*shape)
    a = a.view(np.uint8)
    theirs, constant = by_onnxruntime(a, b, constant=False), by_onnxruntime(a, b, constant=True)
    packed = lowbit.prepack(b, a_dtype="uint8")
    assert np.array_equal(lowbit.gemm(a, b), theirs())
    assert np.array_equal(lowbit.gemm(a, packed), constant())
    m, size = shape[0], int(np.prod(shape)) * REPEATS.get(shape[0], 1)
    ahead = repeated(lambda: lowbit.gemm(a, packed), m)
    peer = "ONNX Runtime, b constant"
    table.compare(f"prepacked u8 s8 {label(*shape)}", ahead, peer, repeated(constant, m), 0.0, size)
    ours = repeated(lambda: lowbit.gemm(a, b), m)
    row = table.compare(f"gemm u8 s8 {label(*shape)}", ours, "ONNX Runtime", repeated(theirs, m), 1.2, size)
    assert row.met


@pytest.mark.parametrize("transposed", [False, True], ids=["row-major", "transposed"])
@pytest.mark.parametrize("shape", [(64, 64, 64), (1, 4096, 4096)], ids=lambda shape: label(*shape))
def test_small(table: Table, shape, transposed) -> None:
    a, b = operands(*shape)
    if transposed:
        b = np.ascontiguousarray(b.T).T
    theirs = by_torch(a, b)
    assert np.array_equal(lowbit.gemm(a, b), theirs().numpy())
    m, size = shape[0], int(np.prod(shape)) * REPEATS.get(shape[0], 1)
    ours = repeated(lambda: lowbit.gemm(a, b), m)
    what = f"gemm s8 s8 {label(*shape)}{', b transposed' if transposed else ''}"
    # The issue asks for contiguous operands; transposed ones are measured for comparison at 64 cubed.
    wanted = 0.0 if transposed and m == 64 else 0.8
    assert table.compare(what, ours, "torch _int_mm", repeated(theirs, m), wanted, size).met


@pytest.mark.skipif(_gemm_paths.chosen() != "vnni", reason="the processor has no vpdpbusd")
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: label(*shape))
def test_share_of_the_peak(table: Table, shape) -> None:
    from bench import peak

    a, b = operands(*shape)
    unsigned = a.view(np.uint8)
    packed, packed_for_unsigned = lowbit.prepack(b), lowbit.prepack(b, a_dtype="uint8")
    calls = {
        "gemm s8 s8": lambda: lowbit.gemm(a, b),
        "gemm u8 s8": lambda: lowbit.gemm(unsigned, b),
        "prepacked s8 s8": lambda: lowbit.gemm(a, packed),
        "prepacked u8 s8": lambda: lowbit.gemm(unsigned, packed_for_unsigned),
        "torch _int_mm": by_torch(a, b),
        "ONNX Runtime": by_onnxruntime(unsigned, b, constant=False),
        "ONNX Runtime, b constant": by_onnxruntime(unsigned, b, constant=True),
    }
    m, size = shape[0], int(np.prod(shape)) * REPEATS.get(shape[0], 1)
    limit = repeated(lambda: peak.run(int(np.prod(shape)) // peak.PRODUCTS, 1), m)
    for name, call in calls.items():
        # The others are reported.
        wanted = 0.8 if m == 2048 and name == "gemm s8 s8" else 0.0
        assert table.compare(f"{name} {label(*shape)}", repeated(call, m), "peak of vpdpbusd", limit, wanted, size).met


def test_portable_against_numpy(table: Table) -> None:
    a, b = operands(1024, 1024, 1024)
    x, y = a.astype(np.float64), b.astype(np.float64)
    ours = lambda: lowbit.gemm(a, b, path="portable")  # noqa: E731
    assert np.array_equal(ours(), x @ y)
    row = table.compare("portable gemm 1024 cubed", ours, "NumPy float64 matmul", lambda: x @ y, 3.0, 1024**3)
    assert row.met


def test_words_against_bytes(table: Table) -> None:
    a, b = operands(1024, 1024, 1024)
    wide = a.astype(np.int16) * 256, b.astype(np.int16) * 256
    assert np.array_equal(lowbit.gemm(*wide), lowbit.gemm(a, b) << 16)
    row = table.compare(
        "gemm s16 s16 1024 cubed",
        lambda: lowbit.gemm(*wide),
        "gemm s8 s8",
        lambda: lowbit.gemm(a, b),
        0.4,
        1024**3,
    )
    assert row.met


def test_nibbles_against_bytes(table: Table) -> None:
    a, b = operands(1024, 1024, 1024)
    codes = b >> 4
    packed = lowbit.PackedCodes(lowbit.pack(codes, "int4", layout="low_nibble_first"), "int4", "low_nibble_first")
    assert np.array_equal(lowbit.gemm(a, packed), lowbit.gemm(a, codes))
    row = table.compare(
        "gemm s8 packed int4 1024 cubed",
        lambda: lowbit.gemm(a, packed),
        "gemm s8 s8",
        lambda: lowbit.gemm(a, codes),
        0.8,
        1024**3,
    )
    assert row.met


def test_two_threads(table: Table) -> None:
    a, b = operands(2048, 2048, 2048)
    table.compare(
        "two threads 2048 cubed",
        lambda: lowbit.gemm(a, b, threads=2),
        "one thread",
        lambda: lowbit.gemm(a, b),
        0.0,
        2048**3,
        clock=time.perf_counter,
    )


def test_first_call(table: Table, tmp_path: Path) -> None:
    code = "import numpy, lowbit; a = numpy.ones((8, 8), numpy.int8); lowbit.gemm(a, a)"
    environment = {**os.environ, "LOWBIT_CACHE_DIR": str(tmp_path)}

    def seconds() -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True, env=environment)
        return time.perf_counter() - start

    assert table.limit("first gemm of a process, nothing compiled yet", seconds(), 20.0)
    assert table.limit("first gemm of a process, import included", min(seconds() for _ in range(3)), 1.5)
