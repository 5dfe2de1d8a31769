"""Blocks of 32 in one pass against the path of quotients, which binary64 values take, and against the oracle."""

import numpy as np
import pytest

import lowbit
from lowbit.exact import from_float
from lowbit.ops.block import fused
from lowbit.oracle.block.encode import quantize as oracle_quantize
from lowbit.policy.block import get_block_policy
from tests.edge_rows import edge_rows
from tests.thinned import thinned

CASES = [
    *(("ggml_q4_0", "ggml_q4_0"), ("ggml_q5_0", "ggml_q4_0"), ("ggml_q4_1", "ggml_q4_1"), ("ggml_q5_1", "ggml_q4_1")),
    *(("ggml_q8_0", "ggml_q8_0"), ("ggml_q8_0", "ggml_q8_0_simd"), ("ggml_mxfp4", "ggml_mxfp4")),
    *(("ggml_tq1_0", "ggml_ternary"), ("ggml_tq2_0", "ggml_ternary"), ("ggml_q2_0", "ggml_ternary")),
    *(("int8.g32.float32", "ggml_q4_0"), ("uint3.g32.offset.float32", "ggml_q4_1"), ("int3.g32", "ggml_q8_0")),
]


def blocks(count):
    """Blocks with ties and numbers beside them, both extremes in either order, zeros, numbers beside powers of two."""
    drawn = np.random.default_rng(8)
    ties = drawn.integers(-16, 17, size=(count, 32)) / 2
    beside = np.nextafter(ties.astype(np.float32), drawn.choice(np.float32([-9, 9]), size=ties.shape))
    values = np.where(drawn.random(ties.shape) < 0.5, ties, beside).astype(np.float32)
    values *= np.exp2(drawn.integers(-40, 40, size=(count, 1))).astype(np.float32)
    values[::5] = drawn.normal(size=values[::5].shape) * 3
    values[1::7, 3], values[1::7, 8] = 2.0**45, -(2.0**45)
    values[2::7, 8], values[2::7, 3] = 2.0**45, -(2.0**45)
    values[3::11], values[4::11] = 0, -0.0
    values[3::22, ::2] = -0.0
    words = np.float32(2.0 ** drawn.integers(-60, 60, len(values[5::6]))).view(np.int32)
    values[5::6] = 0
    values[5::6, 4] = (words - drawn.integers(-2, 24, len(words)).astype(np.int32)).view(np.float32)
    return values.reshape(-1, 64)


@pytest.mark.parametrize(("name", "policy"), thinned(CASES, 5))
def test_one_pass_gives_the_codes_of_quotients_and_of_the_oracle(name, policy):
    fmt = lowbit.get_format(name)
    values = blocks(2000).reshape(-1, max(64, fmt.block[0]))
    chosen = get_block_policy(policy)
    assert fused.faster(values, fmt, chosen, 1) is not None
    tensor = lowbit.quantize(values, fmt, policy=policy)
    fields = ["codes", *tensor.scales]
    for other in (
        lowbit.quantize(values.astype(np.float64), fmt, policy=policy),
        lowbit.quantize(values, fmt, policy=policy, threads=3),
    ):
        assert (other.codes == tensor.codes).all()
        assert all((other.scale_codes(field) == tensor.scale_codes(field)).all() for field in fields[1:])
    few = values[:10]
    exact = oracle_quantize([from_float(float(value)) for value in few.reshape(-1)], few.shape, fmt, chosen)
    assert tensor.codes[:10].reshape(-1).tolist() == exact.codes
    for field in fields[1:]:
        assert tensor.scale_codes(field)[:10].reshape(-1).tolist() == exact.scales[field]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e-40])
@pytest.mark.parametrize("name", ["ggml_q4_0", "ggml_q8_0", "ggml_mxfp4"])
def test_what_is_not_made_in_one_pass(name, value):
    values, fmt = blocks(64), lowbit.get_format(name)
    values[3, :32] = 0
    values[3, 7] = value
    assert fused.faster(values, fmt, get_block_policy(fmt.default_policy), 1) is None
    tensor, other = (lowbit.quantize(array, fmt) for array in (values, values.astype(np.float64)))
    assert (tensor.codes == other.codes).all()
    assert (tensor.scale_codes("block") == other.scale_codes("block")).all()


@pytest.mark.parametrize("name", ["ggml_mxfp4", "ggml_nvfp4", "ggml_q1_0", "ggml_q4_1", "nf4.g8.float32"])
def test_edges_of_binary32(name):
    fmt = lowbit.get_format(name)
    policy = fmt.default_policy if name.startswith("ggml") else "ggml_nvfp4"
    values = edge_rows(fmt.block[0], 9)[7::32]
    values = values[np.isfinite(values).all(axis=1)] if name == "ggml_q4_1" else values
    tensor = lowbit.quantize(values, fmt, policy=policy)
    exact = oracle_quantize(
        [from_float(float(x)) for x in values.reshape(-1)], values.shape, fmt, get_block_policy(policy)
    )
    assert tensor.codes.reshape(-1).tolist() == exact.codes
    for field in fmt.scales:
        assert tensor.scale_codes(field.name).reshape(-1).tolist() == exact.scales[field.name]
