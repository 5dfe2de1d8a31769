"""Methods that search a scale, a format or an axis: what their papers promise, on layers made for it."""

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import adadim, afpq, awq, mofq, round_to_nearest, smoothquant
from lowbit.quantizers.transform import Diagonal, hadamard


@pytest.fixture(scope="module")
def layer():
    """A few inputs see activations that are thirty times as large as the others."""
    random = np.random.default_rng(11)
    activations = random.normal(size=(300, 128))
    activations[:, ::40] *= 30
    return random.normal(size=(128, 128)).astype(np.float32), activations


def test_rounding_to_nearest_is_one_call_of_quantize(layer):
    weights, _ = layer
    for fmt in ("int4.g128", "nvfp4", "nf4.g64.by_sign"):
        ours, plain = round_to_nearest(weights, to=fmt).tensor, lowbit.quantize(weights, fmt)
        assert ours.to_bytes() == plain.to_bytes()


@pytest.mark.parametrize("fmt", ["int4.g32", "int3.g64.asymmetric", "float4_e2m1fn.channel"])
def test_a_searched_range_is_never_worse_in_its_own_norm(layer, fmt):
    weights, _ = layer
    for variant, power in (("mse", 2.0), ("norm_2.4", 2.4)):
        errors = [
            (
                np.abs(weights - round_to_nearest(weights, to=fmt, variant=one).dequantize(dtype=np.float64)) ** power
            ).sum()
            for one in ("range", variant)
        ]
        assert errors[1] < errors[0]


def test_awq_is_never_worse_than_rounding_on_its_own_rows(layer):
    weights, activations = layer
    for fmt in ("int3.g128.asymmetric", "nvfp4"):
        nearest = round_to_nearest(weights, to=fmt).error(weights, activations)
        plain = awq(weights, activations, to=fmt, clip=False)
        narrow = awq(weights, activations, to=fmt)
        assert narrow.error(weights, activations) <= plain.error(weights, activations) <= nearest * (1 + 1e-12)
        assert plain.report["losses"][plain.report["ratio"]] == min(plain.report["losses"].values())
        assert plain.error(weights, activations) < 0.7 * nearest


def test_a_scale_folds_away(layer):
    weights, activations = layer
    result = awq(weights, activations, to="int4.g32")
    turned = result.transform.activations(activations) @ result.transformed().T
    np.testing.assert_allclose(turned, activations @ result.dequantize(dtype=np.float64).T, rtol=1e-9)


def test_smoothquant_by_powers_of_two_changes_no_product(layer):
    weights, activations = layer
    for strength in (0.0, 0.5, 1.0):
        scale = smoothquant(weights, activations, variant="power_of_two", strength=strength).transform
        products = activations[:, None, :] * weights[None, :4].astype(np.float64)
        turned = scale.activations(activations)[:, None, :] * scale.weights(weights[:4].astype(np.float64))
        np.testing.assert_array_equal(turned, products)


def test_smoothquant_takes_the_statistic_of_its_variant():
    weights, rows = np.full((1, 2), 0.25), np.array([[4.0, -1.0], [-12.0, 3.0]])
    paper = smoothquant(weights, rows).transform.scale
    span = smoothquant(weights, rows, variant="llm_compressor").transform.scale
    np.testing.assert_allclose(paper, np.sqrt([12, 3]) / 0.5)
    np.testing.assert_allclose(span, np.sqrt([16, 4]) / np.sqrt(0.5))
    # columns of both signs alike, of one sign, without weights, without activations
    weights, rows = np.array([[0.25, 0.25, 0, 0.25]]), np.array([[4.0, 4.0, 4.0, 0.0], [-4.0, 0.0, 0.0, 0.0]])
    paper = smoothquant(weights, rows, strength=0.75).transform.scale
    span = smoothquant(weights, rows, strength=0.75, variant="llm_compressor").transform.scale
    np.testing.assert_allclose(paper, [4, 4, 4**0.75 / 1e-5**0.25, 1e-5])
    np.testing.assert_allclose(span / paper, [2**0.5, 2**-0.25, 4 / paper[2], 1])
    with pytest.raises(InputError, match="strength"):
        smoothquant(weights, rows, strength=1.5)


def test_mofq_takes_the_smaller_error(layer):
    weights, activations = layer
    heavy = weights**3
    for matrix, expected in ((np.sign(weights) * (3 + np.abs(weights) % 1), "int4"), (heavy, "float4_e2m1fn")):
        for variant, rows in (("tensor", None), ("output", activations)):
            result = mofq(matrix, activations, variant=variant)
            assert result.tensor.format.element.id == expected
            assert result.error(matrix, rows) == min(result.report["errors"].values())
    with pytest.raises(InputError, match="no formats"):
        mofq(weights, to=())


def test_adadim_takes_the_axis_of_the_outlier(layer):
    weights, activations = layer
    column, row = weights.copy(), weights.copy()
    column[:, 7] *= 20
    row[7] *= 20
    assert adadim(column, activations, to="int4.g32").tensor.axis == 0
    assert adadim(row, activations, to="int4.g32").tensor.axis == 1
    for matrix in (column, row, weights):
        errors = [
            adadim(matrix, activations, to="int4.g32", variant=one).error(matrix, activations)
            for one in ("outputs", "inputs")
        ]
        assert adadim(matrix, activations, to="int4.g32").error(matrix, activations) == min(errors)


def test_afpq_inside_other_methods_lowers_the_error_of_skewed_weights(layer):
    weights, activations = layer
    skewed = np.where(weights > 0, weights * 2, weights).astype(np.float32)
    for variant, alone in (("alone", round_to_nearest), ("awq", awq)):
        one = alone(skewed, activations, to="nf3.g64").error(skewed, activations)
        two = afpq(skewed, activations, to="nf3.g64.by_sign", variant=variant).error(skewed, activations)
        assert two < one
    with pytest.raises(InputError, match="one scale for both signs"):
        afpq(weights, to="nf4.g64")


def test_a_hadamard_rotation_is_its_own_inverse(layer):
    weights, activations = layer
    for width in (128, 96, 3):
        turn = hadamard(width, seed=5)
        assert turn.block == (width & -width)
        matrix = weights[:, :width].astype(np.float64)
        np.testing.assert_allclose(turn.undo(turn.weights(matrix)), matrix, atol=1e-12)
        np.testing.assert_allclose(
            turn.activations(activations[:, :width]) @ turn.weights(matrix).T,
            activations[:, :width] @ matrix.T,
            atol=1e-9,
        )
    assert np.abs(hadamard(128).activations(activations)).max() < np.abs(activations).max()


def test_a_factor_that_cannot_be_divided_by_is_refused():
    with pytest.raises(InputError, match=r"scale\[1\] = 0"):
        Diagonal(np.array([1.0, 0.0]))
