"""Blocks that come to nothing are counted, as block by block in Python."""

import numpy as np
import pytest

from lowbit.format.registry import block_format_of
from lowbit.ops.block.dequantize import dequantize, lost_blocks
from lowbit.ops.block.quantize import quantize

SHAPE = (16, 96)


def values_of(seed):
    """Blocks of ordinary size, of zeros, and so small that binary16 or E4M3 does not hold their scale."""
    random = np.random.default_rng(seed)
    sizes = random.choice([1.0, 0.0, 1e-10, 1e-5], (SHAPE[0], SHAPE[1] // 16))
    return (random.normal(size=SHAPE) * np.repeat(sizes, 16, axis=1)).astype(np.float32)


def counted(values, decoded, rows, columns):
    tops = [(top, left) for top in range(0, SHAPE[0], rows) for left in range(0, SHAPE[1], columns)]
    blocks = [(slice(top, top + rows), slice(left, left + columns)) for top, left in tops]
    return sum(any(values[block].flat) and not any(decoded[block].flat) for block in blocks)


@pytest.mark.parametrize(
    ("fmt", "policy", "rows", "columns"),
    [
        ("int4.g16", None, 1, 16),
        ("int4.g16.asymmetric", None, 1, 16),
        ("int4.g32", None, 1, 32),
        ("int4.channel", None, 1, 96),
        ("float4_e2m1fn.g16.by_sign", None, 1, 16),
        ("nvfp4", None, 1, 16),
        ("nvfp4", "modelopt_nvfp4", 1, 16),
        ("nvfp4", "torchao_nvfp4", 1, 16),
        ("nvfp4_16x16", None, 16, 16),
        ("mxfp4", None, 1, 32),
        ("int4.g16.float32", None, 1, 16),
    ],
)
def test_blocks_that_became_zero(fmt, policy, rows, columns):
    counts = []
    for seed in range(4):
        values = values_of(seed)
        values[:, :32] = np.random.default_rng(seed).normal(size=(16, 32))  # no tensor is lost altogether
        tensor = quantize(values, fmt, policy=policy)
        counts.append(lost_blocks(tensor, values))
        assert counts[-1] == counted(values, dequantize(tensor, dtype=np.float64), rows, columns)
    holds = block_format_of(fmt).scales[0].format.id in ("float32", "float8_e8m0fnu")
    assert (sum(counts) > 0) == (not holds and columns < 96 and rows == 1)
