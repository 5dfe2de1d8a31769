"""LLM-FP4: a real-valued bias is a scale, and the search is never worse than what it starts from."""

from itertools import product

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.format.block_name import block_format
from lowbit.format.build import float_format
from lowbit.quantizers import llm_fp4, round_to_nearest
from tests.thinned import thinned


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(17)
    return random.standard_t(5, size=(12, 96)), random.normal(size=(200, 96)) * np.exp(random.normal(size=96))


def values_of(exponent_bits, mantissa_bits, bias):
    """Every value, as the paper's equation has them."""
    steps = 1 << mantissa_bits
    positive = [2.0 ** (1 - bias) * m / steps for m in range(steps)]
    positive += [2.0 ** (e - bias) * (1 + m / steps) for e in range(1, 1 << exponent_bits) for m in range(steps)]
    return np.array([*positive, *(-value for value in positive)])


@pytest.mark.parametrize(
    ("to", "variant"),
    thinned(product(("float4.channel", "float6.channel", "float4.tensor"), ("paper", "diffusion")), 2),
)
def test_weights_are_the_nearest_of_the_papers_values(layer, to, variant):
    weights, activations = layer
    bits = int(to[5])
    result = llm_fp4(weights, activations, to=to, variant=variant)
    exponent_bits = result.report["exponent_bits"]
    biases = np.broadcast_to(result.report["bias"], len(weights))
    for row, got, bias in zip(weights, result.dequantize(dtype=np.float64), biases, strict=True):
        listed = values_of(exponent_bits, bits - 1 - exponent_bits, bias)
        nearest = listed[np.abs(row[:, None] - listed).argmin(axis=1)]
        np.testing.assert_allclose(got, nearest, rtol=1e-6, atol=1e-12)


def test_the_search_is_never_worse_than_the_largest_weight_as_largest_value(layer):
    weights, activations = layer
    for block in ("channel", "tensor"):
        for rows in (None, activations):
            found = llm_fp4(weights, rows, to=f"float4.{block}", variant="diffusion")
            for exponent_bits, error in found.report["errors"].items():
                element = float_format(exponent_bits, 3 - exponent_bits, specials="none")
                plain = round_to_nearest(weights, to=block_format(element, block=block, scale="float32"))
                assert error <= plain.error(weights, rows) * (1 + 1e-9)
            assert found.error(weights, rows) == pytest.approx(min(found.report["errors"].values()))
    assert llm_fp4(weights).error(weights) < round_to_nearest(weights, to="float4_e2m1fn.channel").error(weights)


def test_zeros_stay_zeros():
    result = llm_fp4(np.zeros((2, 4)))
    assert (result.dequantize() == 0).all()
    with pytest.raises(InputError, match="how many bits the exponent has"):
        llm_fp4(np.ones((2, 4)), to="float4_e2m1fn.channel")
