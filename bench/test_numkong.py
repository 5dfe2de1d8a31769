"""Against NumKong's vector kernels in C, one thread: float32 to float8_e4m3fn, and products of int8 matrices.

NumKong 7.8 gives 448 where the input is NaN; there is none among these values.
"""

from __future__ import annotations

import numpy as np
import pytest

import lowbit
from bench.measure import Table

numkong = pytest.importorskip("numkong", reason="NumKong is the peer")

SIZE = 1 << 24
SHAPES = [(512, 512, 512), (1024, 1024, 1024), (2048, 2048, 2048), (197, 384, 1536)]
"""m, k, n, as in ``test_gemm.py``."""


def as_array(tensor: object, dtype: type) -> np.ndarray:
    return np.frombuffer(memoryview(tensor).cast("B"), dtype)  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [False, True], ids=["new array", "given memory"])
def test_encode(table: Table, given: bool) -> None:
    values = np.random.default_rng(1).standard_normal(SIZE).astype(np.float32)
    codes = np.empty(SIZE, np.uint8) if given else None
    tensor = numkong.empty(values.shape, dtype="e4m3") if given else None
    expected = as_array(numkong.astype(values, "e4m3"), np.uint8)
    assert np.array_equal(lowbit.encode(values, "float8_e4m3fn"), expected)
    row = table.compare(
        f"float32 -> float8_e4m3fn, {'out=' if given else 'new array'}",
        lambda: lowbit.encode(values, "float8_e4m3fn", out=codes),
        "NumKong astype",
        (lambda: numkong.astype(values, "e4m3", out=tensor)) if given else (lambda: numkong.astype(values, "e4m3")),
        1.0,
        SIZE,
    )
    assert row.met


@pytest.mark.parametrize("packed", [False, True], ids=["packing", "prepacked"])
@pytest.mark.parametrize("shape", SHAPES)
def test_gemm(table: Table, shape: tuple[int, int, int], packed: bool) -> None:
    m, k, n = shape
    rng = np.random.default_rng(m)
    a = rng.integers(-128, 128, (m, k), dtype=np.int8)
    rows_of_b = rng.integers(-128, 128, (n, k), dtype=np.int8)  # NumKong multiplies by the transpose
    left, right = numkong.from_dlpack(a), numkong.from_dlpack(rows_of_b)
    ours, theirs = lowbit.prepack(rows_of_b.T), numkong.dots_pack(right)
    expected = as_array(numkong.dots_packed(left, theirs), np.int32).reshape(m, n)
    assert np.array_equal(lowbit.gemm(a, ours), expected)
    row = table.compare(
        f"int8 {m} x {k} x {n}, {'prepacked' if packed else 'packing included'}",
        (lambda: lowbit.gemm(a, ours)) if packed else (lambda: lowbit.gemm(a, rows_of_b.T)),
        "NumKong dots_packed",
        (lambda: numkong.dots_packed(left, theirs))
        if packed
        else (lambda: numkong.dots_packed(left, numkong.dots_pack(right))),
        1.2,
        m * n * k,
    )
    assert row.met
