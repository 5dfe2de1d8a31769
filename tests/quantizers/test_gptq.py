"""GPTQ against the algorithm as the paper writes it: one column at a time, the inverse Hessian by its definition."""

from dataclasses import replace

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import gptq, round_to_nearest
from lowbit.quantizers.levels import levels_of
from lowbit.quantizers.objective import inverse_factor
from lowbit.quantizers.options import RANGES
from tests.thinned import thinned

FORMATS = ("int4.g32", "int4.g32.asymmetric", "float4_e2m1fn.g64", "nf4.g32.by_sign", "int3.channel", "mxfp4", "nvfp4")


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(3)
    mixed = random.normal(size=(400, 128)) @ random.normal(size=(128, 128)) / 10
    return random.normal(size=(24, 128)).astype(np.float32), mixed


def plainly(weights, activations, fmt, *, length, damping=0.01):
    """Algorithm 1 without blocks: scales when a group is reached, every error spread at once."""
    left = weights.astype(np.float64)
    gram = activations.T @ activations
    hessian = gram + damping * np.diag(gram).mean() * np.eye(len(gram))
    factor = np.linalg.cholesky(np.linalg.inv(hessian)).T
    values = np.empty_like(left)
    for column in range(left.shape[1]):
        if column % length == 0:
            group = slice(column, column + length)
            listed = levels_of(lowbit.quantize(left[:, group].astype(np.float32), fmt, axis=1)).values[:, 0]
        values[:, column] = [row[np.abs(row - w).argmin()] for row, w in zip(listed, left[:, column], strict=True)]
        error = (left[:, column] - values[:, column]) / factor[column, column]
        left[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    return values


@pytest.mark.parametrize(
    "fmt", ["int4.g32", "int4.g32.asymmetric", "float4_e2m1fn.g64", "int3.channel", "ggml_q4_0", "ggml_iq4_nl"]
)
def test_it_is_the_papers_algorithm(layer, fmt):
    weights, activations = layer
    length = {"int3.channel": 128, "float4_e2m1fn.g64": 64}.get(fmt, 32)
    result = gptq(weights, activations, to=fmt)
    assert result.report["tie_margin"] > 1e-9
    np.testing.assert_array_equal(
        result.dequantize(dtype=np.float64), plainly(weights, activations, fmt, length=length)
    )


@pytest.mark.parametrize("fmt", ["ggml_q4_0", "ggml_q4_1", "ggml_q5_0", "ggml_q8_0", "ggml_iq4_nl", "ggml_mxfp4"])
def test_scales_may_be_negative(layer, fmt):
    """As ggml has them, where the value of largest magnitude is positive: levels descend with their codes."""
    weights, activations = layer
    for order in ("none", "activation", "static"):
        error = gptq(weights, activations, to=fmt, order=order).error(weights, activations)
        assert error < round_to_nearest(weights, to=fmt).error(weights, activations)


@pytest.mark.parametrize("fmt", FORMATS)
def test_without_correlations_it_rounds_to_nearest(layer, fmt):
    weights, _ = layer
    nearest = round_to_nearest(weights, to=fmt).tensor
    np.testing.assert_array_equal(gptq(weights, hessian=np.eye(128), to=fmt).tensor.codes, nearest.codes)
    static = gptq(weights, hessian=np.eye(128), to=fmt, order="static").tensor
    np.testing.assert_array_equal(static.codes, nearest.codes)


@pytest.mark.parametrize("ranges", thinned(RANGES, 2))
@pytest.mark.parametrize("fmt", ["int4.g32", "int4.g32.asymmetric", "float4_e2m1fn.channel"])
def test_ranges_are_those_of_rounding_to_nearest(layer, fmt, ranges):
    weights, activations = layer
    nearest = round_to_nearest(weights, to=fmt, variant=ranges).tensor
    for order in ("none", "static"):
        alone = gptq(weights, hessian=np.eye(128), to=fmt, order=order, ranges=ranges).tensor
        np.testing.assert_array_equal(alone.codes, nearest.codes)
    whole = gptq(weights, activations, to=fmt, order="static", ranges=ranges).tensor
    np.testing.assert_array_equal(whole.scales["block"], nearest.scales["block"])


@pytest.mark.parametrize("fmt", thinned(FORMATS, 2))
def test_columns_of_a_step_change_nothing(layer, fmt):
    weights, activations = layer
    for order in ("none", "activation", "static"):
        few, many = (gptq(weights, activations, to=fmt, order=order, columns=count) for count in (32, 1024))
        np.testing.assert_array_equal(few.tensor.codes, many.tensor.codes)


@pytest.mark.parametrize("fmt", thinned(FORMATS, 2))
def test_the_output_error_falls(layer, fmt):
    weights, activations = layer
    nearest = round_to_nearest(weights, to=fmt).error(weights, activations)
    for order in ("none", "activation", "static"):
        assert gptq(weights, activations, to=fmt, order=order).error(weights, activations) < 0.8 * nearest


@pytest.mark.parametrize("order", ["activation", "static"])
def test_the_output_error_falls_under_scales_below_zero(layer, order):
    weights, activations = layer
    nearest = round_to_nearest(weights, to="ggml_iq4_nl").error(weights, activations)
    assert gptq(weights, activations, to="ggml_iq4_nl", order=order).error(weights, activations) < 0.8 * nearest


def test_ties_go_to_the_even_code_under_scales_below_zero():
    weights = np.full((1, 32), -8.0)
    weights[0, :16] = np.arange(16) - 7.5  # the block's scale is 1
    ties = {}
    for sign in (1, -1):
        tensor = gptq(sign * weights, hessian=np.eye(32), to="ggml_q4_0").tensor
        assert tensor.scales["block"].tolist() == [[sign]]
        ties[sign] = tensor.codes[0, :15]
    np.testing.assert_array_equal(ties[1], ties[-1])
    assert not (ties[1] & 1).any()


def test_the_official_code_fits_scales_to_stale_weights(layer):
    weights, activations = layer
    codes = {
        (variant, fmt): gptq(weights, activations, to=fmt, variant=variant).tensor.codes
        for variant in ("paper", "official")
        for fmt in ("int4.g32", "int4.g128")
    }
    assert (codes["paper", "int4.g128"] == codes["official", "int4.g128"]).all()
    assert (codes["paper", "int4.g32"] != codes["official", "int4.g32"]).any()


def test_ties_go_where_rounding_to_nearest_sends_them():
    for fmt in ("int4.channel", "int4.channel.asymmetric", "float4_e2m1fn.channel"):
        weights = np.array([[7, 6.5, 2.5, 1.5, 0.5, -0.5, -1.5, -5.5, 0.25, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, -8]])
        nearest = round_to_nearest(weights, to=fmt).tensor.codes
        np.testing.assert_array_equal(gptq(weights, hessian=np.eye(16), to=fmt).tensor.codes, nearest)


def test_the_factor_is_that_of_the_inverse(layer):
    _, activations = layer
    gram = activations.T @ activations
    factor = inverse_factor(gram, 0.01)
    assert (np.tril(factor, -1) == 0).all()
    damped = gram + 0.01 * np.diag(gram).mean() * np.eye(128)
    np.testing.assert_allclose(factor.T @ factor @ damped, np.eye(128), atol=1e-9)


def test_inputs_that_are_always_zero_get_weights_of_zero(layer):
    weights, activations = layer
    activations = activations.copy()
    activations[:, 5] = 0
    result = gptq(weights, activations, to="int4.g32")
    assert result.report["dead_inputs"] == 1
    assert (result.dequantize()[:, 5] == 0).all()


def test_a_singular_hessian_is_told(layer):
    weights, activations = layer
    with pytest.raises(InputError, match="singular") as caught:
        gptq(weights, activations[:60], to="int4.g32", damping=0.0)
    assert "damping" in caught.value.hint
    gptq(weights, activations[:60], to="int4.g32")
    with pytest.raises(InputError, match="symmetric"):
        gptq(weights, hessian=np.triu(np.ones((128, 128))), to="int4.g32")
    with pytest.raises(InputError, match="two sources"):
        gptq(weights, activations, hessian=np.eye(128), to="int4.g32")
    with pytest.raises(InputError, match="at most 8 bits"):
        gptq(weights, activations, to="int16.g32")
    with pytest.raises(InputError, match="shorter than 64"):
        gptq(weights, activations, to="hifloat4")
    with pytest.raises(InputError, match="beyond binary32"):
        gptq(weights.astype(float) * 1e300, activations)
    with pytest.raises(InputError, match="damping"):
        gptq(weights, activations, to="int4.g32", damping=-1)


def test_threads_change_nothing(layer):
    weights, activations = layer
    one, two = (gptq(np.tile(weights, (16, 1)), activations, to="int4.g32", threads=count) for count in (1, 2))
    np.testing.assert_array_equal(one.tensor.codes, two.tensor.codes)


def test_an_order_by_activations_is_stored(layer):
    weights, activations = layer
    result = gptq(weights, activations, to="int4.g32", order="activation")
    assert (np.diff((activations**2).sum(axis=0)[result.transform.order]) <= 0).all()
    turned = result.transform.activations(activations) @ result.transformed().T
    np.testing.assert_allclose(turned, activations @ result.dequantize(dtype=np.float64).T)


def test_the_size_of_all_activations_does_not_matter(layer):
    weights, activations = layer
    codes = gptq(weights, activations, to="int4.g32").tensor.codes
    for size in (2.0**-600, 2.0**600):
        np.testing.assert_array_equal(gptq(weights, activations * size, to="int4.g32").tensor.codes, codes)


def test_only_the_nearest_level_is_taken(layer):
    weights, activations = layer
    policy = replace(lowbit.get_block_policy("ocp_mx"), element="ocp_sat:rounding=toward_zero", name="")
    with pytest.raises(InputError, match="nearest level"):
        gptq(weights, activations, to="mxfp4", policy=policy)


def test_narrow_integers_keep_their_codes(layer):
    weights, activations = layer
    codes = gptq(weights * 3, activations, to="int4_narrow.g32").tensor.codes
    assert codes.min() == -7
