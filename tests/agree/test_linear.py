"""QuantizeLinear and its kin: the oracle in fractions and the fast path give the same codes and values."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import lowbit
from lowbit.exact import from_float
from lowbit.oracle.arithmetic.rounded import round_exact
from lowbit.oracle.block import linear as oracle
from lowbit.policy.block import BlockPolicy, get_block_policy

POLICIES = [
    BlockPolicy(arithmetic=arithmetic, quotient_steps=steps, zero_point_place=place, element=element)
    for arithmetic, steps, place, element in itertools.product(
        ("exact", "binary32", "bfloat16"),
        ("divide", "reciprocal"),
        BlockPolicy.choices("zero_point_place"),
        ("", "integer:rounding=nearest_away"),
    )
]


def values_of(scale, zero_point):
    """Every half of a step about the range, and beside it."""
    ties = (np.arange(-600, 600, 23) / 2 - zero_point) * float(scale)
    beside = [np.nextafter(ties.astype(np.float32), np.float32(end)) for end in (np.inf, -np.inf)]
    return np.concatenate([ties.astype(np.float32), *beside, [0.0, -0.0, 1e30, -1e30, np.inf, -np.inf, np.nan]])


@pytest.mark.parametrize("target", ["uint8", "int8", "uint4", "int4", "int16", "float8_e4m3fn", "float8_e5m2"])
def test_codes(target):
    fmt = lowbit.get_format(target)
    for number, policy in enumerate(POLICIES):
        if not fmt.wraps and policy.element:
            continue
        scale = np.float32([0.1, 0.25, 3.0, 1 / 3][number % 4])
        zero_point = (0, 3, 7)[number % 3] if fmt.wraps else 0
        values = values_of(scale, zero_point).astype(np.float32)
        got = lowbit.quantize_linear(values, scale, zero_point, to=target, policy=policy)
        exact = from_float(float(scale))
        for value, code in zip(values.tolist(), got.tolist(), strict=True):
            wanted = oracle.quantize_linear(from_float(value), exact, zero_point, fmt, policy)
            assert code == wanted, (target, policy.spell(), value, code, wanted)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=20),
    st.sampled_from(["uint8", "int8", "uint4", "int16"]),
)
def test_dynamic_ranges(values, target):
    fmt = lowbit.get_format(target)
    codes, scale, zero_point = lowbit.dynamic_quantize_linear(np.float32(values), to=target)
    exact = [from_float(float(np.float32(value))) for value in values]
    wanted_scale, wanted_zero = oracle.dynamic_parameters(exact, fmt)
    assert from_float(float(scale)).reduced() == wanted_scale.reduced()
    assert zero_point == wanted_zero
    policy = get_block_policy("onnx")
    assert codes.tolist() == [oracle.quantize_linear(value, wanted_scale, wanted_zero, fmt, policy) for value in exact]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", ["uint8", "int8", "int4", "int16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"])
def test_every_code_is_worth_what_the_oracle_says(source, dtype):
    fmt = lowbit.get_format(source)
    codes = np.array(fmt.codes)[:: max(1, len(fmt.codes) // 512)]
    zero_point = 5 if fmt.wraps else 0
    for scale in np.float32([0.1, 3.0, 2.0**-149, 2.0**127]):
        got = lowbit.dequantize_linear(codes, scale, zero_point, fmt=source, dtype=dtype)
        for code, value in zip(codes.tolist(), got.tolist(), strict=True):
            exact = oracle.dequantize_linear(code, from_float(float(scale)), zero_point, fmt)
            if exact.kind:
                assert np.isnan(value) if exact.kind == 3 else value == np.inf * (3 - 2 * exact.kind)
            else:
                assert from_float(value).reduced() == round_exact(exact, dtype).reduced()
