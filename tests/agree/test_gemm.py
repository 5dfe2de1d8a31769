"""Every path of integer GEMM agrees with the integer twin and with the oracle in Python integers."""

import numpy as np
import pytest

import lowbit
from lowbit.ops.gemm import paths as _gemm_paths
from lowbit.oracle.gemm.gemm import gemm as oracle_gemm

PATHS = [path for path in _gemm_paths.available() if path != "plain"]
DTYPES = ("int8", "uint8", "int16")


def codes(rng, shape, dtype):
    limits = np.iinfo(dtype)
    picked = rng.integers(limits.min, limits.max + 1, shape, dtype=dtype)
    rails = rng.choice(np.array([limits.min, limits.max], dtype), shape)
    return np.where(rng.random(shape) < 0.3, rails, picked)


@pytest.mark.parametrize("accumulator", ["int32", "int64"])
@pytest.mark.parametrize("a_dtype", DTYPES)
@pytest.mark.parametrize("b_dtype", DTYPES)
def test_oracle(accumulator, a_dtype, b_dtype):
    rng = np.random.default_rng(1)
    chosen = lowbit.get_accumulator(accumulator)
    for m, k, n in [(1, 1, 1), (1, 19, 5), (7, 9, 1), (8, 13, 18), (2, 70, 3), (3, 0, 2)]:
        a, b = codes(rng, (m, k), a_dtype), codes(rng, (k, n), b_dtype)
        a_zero, b_zero, bias = codes(rng, m, a_dtype), codes(rng, n, b_dtype), codes(rng, n, "int32")
        lists = [array.tolist() for array in (a, b, a_zero, b_zero, bias)]
        rows = oracle_gemm(*lists[:2], chosen, a_zero_points=lists[2], b_zero_points=lists[3], bias=lists[4], columns=n)
        wanted = [[result.value for result in row] for row in rows]
        for path in (*PATHS, "plain"):
            got = lowbit.gemm(
                a, b, a_zero_point=a_zero, b_zero_point=b_zero, bias=bias, accumulator=accumulator, path=path
            )
            assert got.tolist() == wanted, (path, m, k, n)


@pytest.mark.parametrize("path", PATHS)
def test_twin(path):
    rng = np.random.default_rng(2)
    for _ in range(60):
        m, k, n = (int(size) for size in rng.integers(1, 150, 3))
        a_dtype, b_dtype = rng.choice(DTYPES, 2)
        a, b = codes(rng, (m, k), a_dtype), codes(rng, (k, n), b_dtype)
        options = {"a_zero_point": int(a[0, 0]), "b_zero_point": b[0], "bias": codes(rng, n, "int32")}
        twin = lowbit.gemm(a, b, path="plain", **options)
        assert np.array_equal(lowbit.gemm(a, b, path=path, **options), twin)
        packed = lowbit.prepack(b, a_dtype=a_dtype, path=path)
        assert np.array_equal(lowbit.gemm(a, packed, **options), twin)
