"""Layers that read the same activations: one factor an input for all of them, and what divides by it."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.quantizers import awq, gptq, round_to_nearest, smoothquant, squeezellm
from lowbit.quantizers.transform import Diagonal

WIDTHS = {"query": 48, "key": 32, "value": 16}


@pytest.fixture(scope="module")
def block():
    """The norm before, what goes into it, and the weights behind it."""
    random = np.random.default_rng(8)
    norm = np.exp(random.normal(size=64)), random.normal(size=64)
    weights = {name: random.normal(size=(width, 64)).astype(np.float32) for name, width in WIDTHS.items()}
    return norm, random.normal(size=(200, 64)), weights


def normed(values, weight, bias):
    centred = values - values.mean(axis=1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + 1e-12) * weight + bias


def parts(result):
    ends = np.cumsum(list(WIDTHS.values())).tolist()
    return {name: result.of_outputs(end - WIDTHS[name], end) for name, end in zip(WIDTHS, ends, strict=True)}


@pytest.mark.parametrize("method", [awq, smoothquant])
@pytest.mark.parametrize("to", ["int4.g32.asymmetric", "nvfp4", "int8.tensor"])
def test_the_layers_are_those_of_the_whole_matrix_with_one_scale(block, method, to):
    norm, inputs, weights = block
    rows = normed(inputs, *norm)
    whole = method(np.concatenate(list(weights.values())), rows, to=to)
    layers = parts(whole)
    np.testing.assert_array_equal(np.concatenate([one.dequantize() for one in layers.values()]), whole.dequantize())
    for name, layer in layers.items():
        assert layer.shape == weights[name].shape
        assert layer.transform is whole.transform
        if to == "int4.g32.asymmetric" and method is smoothquant:  # outputs have scales of their own
            scaled = round_to_nearest(weights[name] * whole.transform.scale, to=to)
            np.testing.assert_array_equal(layer.transformed(), scaled.dequantize(dtype=np.float64))


@pytest.mark.parametrize("powers", [True, False])
def test_folding_into_the_norm_before_changes_nothing(block, powers):
    """With powers of two bit by bit; else by roundings of binary64."""
    norm, inputs, weights = block
    whole = awq(np.concatenate(list(weights.values())), normed(inputs, *norm), to="int4.g32.asymmetric")
    scale = np.exp2(np.rint(np.log2(whole.transform.scale))) if powers else whole.transform.scale
    assert scale.min() < 1 < scale.max()
    folded = normed(inputs, *Diagonal(scale).folded(*norm))
    products = folded[:, None] * Diagonal(scale).weights(weights["query"])[None]
    plain = normed(inputs, *norm)[:, None] * weights["query"][None]
    if powers:
        np.testing.assert_array_equal(products, plain)
    else:
        np.testing.assert_allclose(products, plain, rtol=1e-12, atol=1e-14)


def test_folding_into_the_layer_before_goes_through_what_keeps_factors_of_channels(block):
    """A ReLU between two layers, as in OPT; the sum of attention over values, which are divided behind their layer."""
    inputs = block[1]
    random = np.random.default_rng(9)
    first, bias = random.normal(size=(32, 64)), random.normal(size=32)
    scale = np.exp2(random.integers(-3, 4, 32)).astype(np.float64)
    divided = Diagonal(scale).folded(first, bias)
    hidden = np.maximum(inputs @ first.T + bias, 0)
    np.testing.assert_array_equal(np.maximum(inputs @ divided[0].T + divided[1], 0), hidden / scale)
    shares = random.dirichlet(np.ones(200), size=200)
    np.testing.assert_array_equal(shares @ (inputs @ divided[0].T), shares @ (inputs @ first.T) / scale)
    assert Diagonal(scale).folded(first)[1] is None


def test_what_does_not_fit_is_refused(block):
    _, inputs, weights = block
    with pytest.raises(InputError, match=r"shape \(64, 32\), and there are 32 inputs"):
        Diagonal(np.ones(32)).folded(np.ones((64, 32)))
    with pytest.raises(InputError, match="only outputs of a block tensor"):
        squeezellm(weights["query"]).of_outputs(0, 3)
    ordered = gptq(weights["query"], inputs, to="int4.g32", order="activation")
    np.testing.assert_array_equal(ordered.of_outputs(5, 9).dequantize(), ordered.dequantize()[5:9])
