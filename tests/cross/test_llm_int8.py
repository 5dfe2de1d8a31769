"""LLM.int8() against bitsandbytes on the CPU, where it is installed: codes, statistics, columns, products."""

import numpy as np
import pytest

from lowbit.quantizers.methods.llm_int8 import llm_int8_matmul, llm_int8_quantize

torch = pytest.importorskip("torch", reason="torch is not installed")
pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
operations = torch.ops.bitsandbytes

SHAPES = [(1, 4, 3), (5, 64, 7), (33, 256, 20), (8, 1000, 16), (3, 7, 5)]


def tensors(shape, seed):
    m, k, n = shape
    random = np.random.default_rng(seed)
    activations = random.standard_normal((m, k)) * np.where(random.random(k) < 0.05, 30, 1)
    weights = random.standard_normal((n, k)) * random.choice([1e-4, 0.05, 2], (n, 1))
    return [array.astype(np.float16) for array in (activations, weights, random.standard_normal(n))]


@pytest.mark.parametrize("threshold", [0.0, 6.0, 6.001, 2.5, 100.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_codes(shape, threshold):
    for seed in range(4):
        activations, _, _ = tensors(shape, seed)
        if seed == 3:
            activations[0] = 0
            activations[-1, 0] = np.inf
        codes, statistics, columns = operations.int8_vectorwise_quant(torch.from_numpy(activations.copy()), threshold)
        own = llm_int8_quantize(activations, variant="cpu", threshold=threshold)
        assert np.array_equal(own.codes, codes.numpy())
        assert np.array_equal(own.largest, statistics.numpy(), equal_nan=True)
        assert own.outlier_columns.tolist() == ([] if columns is None else columns.tolist())


@pytest.mark.parametrize("shape", SHAPES)
def test_products_without_outliers(shape):
    for seed in range(4):
        activations, weights, bias = tensors(shape, seed)
        left = operations.int8_vectorwise_quant(torch.from_numpy(activations.copy()), 0.0)
        right = operations.int8_vectorwise_quant(torch.from_numpy(weights.copy()), 0.0)
        theirs = operations.int8_scaled_mm(
            left[0], right[0], left[1], right[1], bias=torch.from_numpy(bias), dtype=torch.float16
        )
        own = llm_int8_matmul(activations, weights, variant="cpu", threshold=0, bias=bias)
        assert np.array_equal(own.view(np.uint16), theirs.numpy().view(np.uint16))


@pytest.mark.parametrize("shape", SHAPES)
def test_products_with_outliers(shape):
    """The outlier columns are a binary16 product in the library's own order: the last place may differ, rarely."""
    different = total = 0
    for seed in range(6):
        activations, weights, bias = tensors(shape, seed)
        mine = torch.from_numpy(activations.copy())
        left = operations.int8_vectorwise_quant(mine, 6.0)
        right = operations.int8_vectorwise_quant(torch.from_numpy(weights.copy()), 0.0)
        theirs, _ = operations.int8_mixed_scaled_mm(
            mine, left[0], right[0], left[1], right[1], left[2], torch.from_numpy(bias)
        )
        own = llm_int8_matmul(activations, weights, variant="cpu", threshold=6.0, bias=bias)
        expected = theirs.numpy()
        spacing = np.abs(np.spacing(np.maximum(np.abs(own), np.float16(1))))
        assert np.all(np.abs(own.astype(np.float64) - expected) <= 4 * spacing)
        different += int((own != expected).sum())
        total += own.size
    assert different <= total // 10 + 1, (different, total)
    print(f"{shape}: {different} of {total} differ in the last place")
