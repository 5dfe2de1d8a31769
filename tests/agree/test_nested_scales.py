"""Scales that have scales themselves: the oracle and the fast path, and sums and products that are rounded once."""

from fractions import Fraction

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.exact import from_float, from_fraction
from lowbit.format.block_name import block_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.block.nested import mean_to_odd, product_with_sum
from lowbit.ops.block.quantize import quantize
from lowbit.oracle.arithmetic.rounded import round_exact
from lowbit.oracle.block.decode import element_value
from lowbit.policy.block import BLOCK_PRESETS, get_block_policy
from tests.agree.test_block import blocks, exact_equal, require_equal, scalar_dtype

NESTED = get_block_policy("bitsandbytes_nested")


@pytest.mark.parametrize("policy", [NESTED, NESTED.choose(nested=""), NESTED.choose(nested="bitsandbytes")])
@pytest.mark.parametrize("codes", ["bnb_dynamic8", "int4", "float8_e4m3fn"])
def test_codes_and_scales(codes, policy):
    # Some 300 blocks of four: two scales of scales in each row, the second of them over fewer.
    fmt = block_format("nf4", block=4, scale="float32", nested=codes)
    require_equal(np.clip(blocks(11, (1, 1200)), -1e30, 1e30), fmt, policy)
    if codes == "int4":
        require_equal(np.clip(blocks(12, (2, 64)), -1e30, 1e30), fmt, policy)
        require_equal(np.float32([[1, np.inf, 0, 0, 1, 2, 3, 4]]), fmt, policy)
        require_equal(np.zeros((2, 8), np.float32), fmt, policy)


@pytest.mark.slow
def test_every_bin_and_both_numbers_beside_its_ends():
    # Multiples of 2^-17, which the ends of the bins are close to, and what is next to them.
    ends = (np.arange(-(1 << 17), 1 << 17, 97) / (1 << 17)).astype(np.float32)
    values = np.stack([ends, *(np.nextafter(ends, np.float32(to)) for to in (-2, 2)), np.ones_like(ends)], axis=1)
    require_equal(np.clip(values, -1, 1), "bnb_dynamic8.g4.float32", "bitsandbytes_8bit")
    require_equal(np.clip(values[:99], -1, 1) * np.float32(0.3), "int8.g4.float32", "bitsandbytes_8bit")


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_values(dtype):
    fmt = block_format("nf4", block=4, scale="float32", nested=True)
    tensor = quantize(np.random.default_rng(3).standard_normal(1100).astype(np.float32), fmt)
    values = dequantize(tensor, dtype=dtype)
    for place in range(0, 1100, 9):
        starts = {"block": place // 4, "super": place // 1024, "offset": ()}
        own = {name: int(tensor.scale_codes(name)[start]) for name, start in starts.items()}
        assert exact_equal(values[place], element_value(int(tensor.codes[place]), own, fmt), dtype), place


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("preset", ["spqr", "hqq"])
def test_zero_points_between_the_codes(preset, dtype):
    fmt = block_format("uint4", block=4, scale="float32", asymmetric="float32")
    tensor = quantize(np.random.default_rng(6).standard_normal(400).astype(np.float32), fmt, policy=preset)
    values = dequantize(tensor, dtype=scalar_dtype(dtype))
    for place in range(400):
        own = {name: int(tensor.scale_codes(name)[place // 4]) for name in tensor.scales}
        assert exact_equal(values[place], element_value(int(tensor.codes[place]), own, fmt), dtype), place
    with pytest.raises(InputError, match="not rounded to binary64"):
        dequantize(tensor, dtype=np.float64)


def test_a_product_with_a_sum_beside_ties():
    # The sum is a tie of binary32 over the element, and a little more or less, or that exactly.
    drawn = np.random.default_rng(4)
    count = 3000
    elements = drawn.choice(np.float64([1, 3, 0.6961928009986877, -0.0795802995562553, 0]), count)
    ties = (drawn.integers(1 << 23, 1 << 24, count) * 2 + 1) * 2.0**-20
    factors = np.divide(ties, elements, out=np.ones(count), where=elements != 0)
    addends = np.ldexp(drawn.integers(-3, 4, count), drawn.integers(-90, -20, count)).astype(np.float64)
    result = product_with_sum(elements, factors, addends)
    for values in zip(elements.tolist(), factors.tolist(), addends.tolist(), result.tolist(), strict=True):
        element, factor, addend, got = map(Fraction, values)
        expected = round_exact(from_fraction(element * (factor + addend)), "float32")
        assert from_float(float(np.float32(float(got)))).reduced() == expected.reduced(), values


def test_a_mean_is_rounded_once():
    drawn = np.random.default_rng(5)
    for count in (1, 3, 7, 1000):
        values = (drawn.random(count) * 2.0 ** drawn.integers(-40, 41, count)).astype(np.float32)
        mean = sum(map(Fraction, values.tolist())) / count
        assert abs(Fraction(mean_to_odd(values)) - mean) < mean * Fraction(2) ** -52
        tie = np.float32([1, 1 + 2.0**-23, *[2.0**-60] * (count % 2)])  # the mean of two neighbours, or below it
        exact = sum(map(Fraction, tie.tolist())) / len(tie)
        assert (Fraction(mean_to_odd(tie)) - exact) * (-1) ** (len(tie) % 2 == 0) >= 0
    assert np.isnan(mean_to_odd(np.float32([1, np.nan])))
    assert mean_to_odd(np.float32([])) == 0


def test_what_is_not_made():
    fmt = block_format("nf4", block=4, scale="float32", nested=True)
    values = np.ones(8, np.float32)
    for policy in ("nearest", "bitsandbytes"):
        with pytest.raises(InputError, match="before these are quantised themselves"):
            quantize(values, fmt, policy=policy)
        with pytest.raises(InputError, match="before these are quantised themselves"):
            require_oracle(values, fmt, policy)
    with pytest.raises(InputError, match="not rounded to binary64"):
        dequantize(quantize(values, fmt), dtype=np.float64)


def require_oracle(values, fmt, policy):
    from tests.agree.test_block import by_oracle

    by_oracle(values, fmt, BLOCK_PRESETS[policy])
