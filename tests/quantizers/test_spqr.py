"""SpQR against Algorithm 1 as the paper writes it: column after column, leave-one-out errors by their definition."""

from fractions import Fraction

import numpy as np
import pytest

import lowbit
from lowbit.errors import InputError, PolicyError
from lowbit.quantizers import spqr
from lowbit.quantizers.methods.spqr import POLICY, SCALES


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(7)
    mixed = random.normal(size=(160, 64)) @ random.normal(size=(64, 64)) / 8
    weights = random.standard_t(4, size=(32, 64)).astype(np.float32)
    return weights, mixed * np.exp(random.normal(size=64) / 2)


def rounded(values, scale, zero, top):
    return scale * (np.clip(np.rint(values / scale + zero), 0, top) - zero)


def of_range(values, top):
    """Scale and zero point of the last axis, in binary32 as the official code has them."""
    values = values.astype(np.float32)
    low, high = values.min(axis=-1, keepdims=True), values.max(axis=-1, keepdims=True)
    scale = (high - low) / np.float32(top)
    return scale.astype(float), (-low / scale).astype(float)


def savings(group, diagonal, top):
    """What the rest of each group loses less when one weight is left out and the scales are made anew."""

    def loss(values, own):
        return (((values - rounded(values, *of_range(values, top), top)) / own) ** 2).sum(axis=1)

    left_out = [loss(np.delete(group, j, axis=1), np.delete(diagonal, j)) for j in range(group.shape[1])]
    return loss(group, diagonal)[:, None] - np.stack(left_out, axis=1)


def second_level(numbers):
    return lowbit.dequantize(lowbit.quantize(numbers.astype(np.float32), SCALES, axis=0, policy=POLICY), dtype=float)


def plainly(weights, activations, *, bits, share, length=16, damping=1.0):
    """Values, codes and outliers: each error is spread over all that is left at once."""
    left, top = weights.astype(float), 2**bits - 1
    gram = activations.T @ activations
    factor = np.linalg.cholesky(np.linalg.inv(gram + damping * np.diag(gram).mean() * np.eye(len(gram)))).T
    diagonal = np.diag(factor)
    threshold = share * (left.var(axis=0, ddof=1) / diagonal**2).mean()
    values, apart = np.empty_like(left), np.zeros(left.shape, bool)
    for column in range(left.shape[1]):
        if column % length == 0:
            group, own = left[:, column : column + length], diagonal[column : column + length]
            likely = savings(group, own, top) > threshold
            mean = (group * ~likely).sum(axis=1, keepdims=True) / np.maximum((~likely).sum(axis=1, keepdims=True), 1)
            scale, zero = map(second_level, of_range(np.where(likely, mean, group), top))
        weight = left[:, column]
        values[:, column] = rounded(weight, scale[:, 0], zero[:, 0], top)
        apart[:, column] = ((weight - values[:, column]) / diagonal[column]) ** 2 > threshold
        values[apart[:, column], column] = weight[apart[:, column]]
        error = (weight - values[:, column]) / diagonal[column]
        left[:, column + 1 :] -= np.outer(error, factor[column, column + 1 :])
    return values, apart


@pytest.mark.parametrize(("bits", "share"), [(3, 0.2), (3, 0.05), (4, 0.05), (2, 1.0), (3, np.inf)])
def test_it_is_the_papers_algorithm(layer, bits, share):
    weights, activations = layer
    result = spqr(weights, activations, to=f"uint{bits}.g16.asymmetric", outliers=share)
    assert result.report["tie_margin"] > 1e-9
    values, apart = plainly(weights, activations, bits=bits, share=share)
    assert result.report["outliers"] == apart.mean()
    assert (0.002 < apart.mean() < 0.2) == (share < np.inf)
    got = result.dequantize(dtype=np.float64)
    np.testing.assert_allclose(got[~apart], values[~apart], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got[apart], values[apart], atol=2**-10, rtol=2**-10)


def test_the_official_layout_adds_an_outlier_to_a_code_that_is_not_worth_zero(layer):
    weights, activations = layer
    paper, official = (spqr(weights, activations, variant=name) for name in ("paper", "official"))
    np.testing.assert_array_equal(paper.tensor.codes, official.tensor.codes)
    rows, columns = official.sparse.rows, official.sparse.columns
    scale, zero = (
        lowbit.dequantize(part, dtype=float)[rows, columns // 16]
        for part in (official.tensor.scales, official.tensor.zeros)
    )
    np.testing.assert_array_equal(official.tensor.codes[rows, columns], np.clip(np.rint(zero), 0, 7))
    extra = official.dequantize(dtype=np.float64)[rows, columns] - official.sparse.values
    np.testing.assert_allclose(extra, scale * (np.clip(np.rint(zero), 0, 7) - zero), atol=1e-12)
    assert np.abs(extra).max() > 0.1
    assert paper.error(weights, activations) < official.error(weights, activations)


def test_bits_are_those_of_the_papers_count(layer):
    weights, activations = layer
    for bits, average in ((3, Fraction("3.625")), (4, Fraction("4.625"))):  # b + (3 + 3) / 16 + 64 / (16 * 16)
        plain = spqr(weights, activations, to=f"uint{bits}.g16.asymmetric", outliers=np.inf)
        assert plain.bits_per_weight == average
    kept = spqr(weights, activations)
    count = kept.sparse.values.size
    assert kept.bits_per_weight == Fraction("3.625") + Fraction(32 * count + 32 * 33, weights.size)


def test_scales_that_three_bits_hold_are_exact():
    """Factors 1 to 8 of sixteen outputs: the second level has the factor 1 and the zero point -1."""
    factors = 1.0 + np.arange(16) % 8
    weights = factors[:, None] * np.resize(np.arange(8), 32)
    result = spqr(weights, hessian=np.eye(32), outliers=np.inf)
    scales = result.tensor.scales
    np.testing.assert_array_equal(scales.codes, np.stack([np.arange(16) % 8] * 2, axis=1))
    np.testing.assert_array_equal(scales.scales["block"], [[1, 1]])
    np.testing.assert_array_equal(scales.scales["zero_point"], [[-1, -1]])
    np.testing.assert_array_equal(result.dequantize(), weights)
    shifted = spqr(weights - 3 * factors[:, None], hessian=np.eye(32), outliers=np.inf)
    np.testing.assert_array_equal(shifted.tensor.codes, result.tensor.codes)
    assert (lowbit.dequantize(shifted.tensor.zeros) == 3).all()


def test_tile_words_decode_to_its_values(layer):
    weights, activations = layer
    tensor = spqr(weights, activations).tensor
    fields = (tensor.scales.codes[:, :, None], tensor.zeros.codes[:, :, None], tensor.codes.reshape(32, 4, 16))
    words = lowbit.pack(np.concatenate(fields, axis=2), 3, layout="spqr_tile")
    assert (words.dtype, words.size) == (np.uint64, 32 * 4)
    scale, zero, *codes = np.moveaxis(lowbit.unpack(words, 3, layout="spqr_tile").astype(float), 2, 0)
    for part, own in ((scale, tensor.scales), (zero, tensor.zeros)):
        second, place = (np.repeat(own.scales[name].astype(float), 16, axis=0) for name in ("block", "zero_point"))
        part[:] = (part - place) * second
    values = np.moveaxis(scale * (np.stack(codes) - zero), 0, 2).reshape(32, 64)
    np.testing.assert_array_equal(values, tensor.values())


def test_outliers_help_and_are_fewer_above_a_higher_threshold(layer):
    weights, activations = layer
    results = [spqr(weights, activations, outliers=share) for share in (0.1, 0.2, 0.5, np.inf)]
    shares = [result.report["outliers"] for result in results]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] == 0
    assert results[-1].sparse is None
    assert results[1].error(weights, activations) < 0.75 * results[-1].error(weights, activations)


def test_an_order_by_activations_is_stored(layer):
    weights, activations = layer
    result = spqr(weights, activations, order="activation")
    assert (np.diff((activations**2).sum(axis=0)[result.transform.order]) <= 0).all()
    turned = result.transform.activations(activations) @ result.transformed().T
    np.testing.assert_allclose(turned, activations @ result.dequantize(dtype=np.float64).T)
    with pytest.raises(PolicyError, match="order"):
        spqr(weights, activations, order="static")


def test_blocks_of_one_value_and_a_short_tile(layer):
    weights, activations = layer
    weights = weights[:20].copy()  # the last four outputs are a tile of their own
    weights[3], weights[4, :16], weights[18] = 0, -2.5, 4
    result = spqr(weights, hessian=np.eye(64), outliers=np.inf)
    assert result.tensor.scales.scales["block"].shape == (2, 4)
    assert (np.abs(result.dequantize()[3]) < 0.5).all()
    np.testing.assert_allclose(result.dequantize()[4, :16], -2.5, atol=0.7)
    alone = spqr([[0.0] * 16, [-2.5] * 16, [4.0] * 16], hessian=np.eye(16), outliers=np.inf)
    np.testing.assert_allclose(alone.dequantize(), np.array([[0], [-2.5], [4]]) * np.ones(16), atol=0.5)
    assert (spqr(np.zeros((2, 32)), hessian=np.eye(32)).dequantize() == 0).all()
    assert spqr(weights[:1], activations).sparse is None  # a variance over outputs needs two


def test_values_near_to_each_other_leave_the_zero_points_of_other_outputs(layer):
    """A zero point of -0.874 / 2^-24 would be beyond binary16; in binary32, it would coarsen its tile's to millions."""
    weights = layer[0][:16].copy()
    near = weights.copy()
    near[5, :16] = np.where(np.arange(16) < 8, -0.874, -0.874 + 2.0**-22)
    result = spqr(near, hessian=np.eye(64), outliers=np.inf)
    np.testing.assert_allclose(result.dequantize()[5, :16], -0.874, atol=0.25)
    others = np.arange(16) != 5
    errors = [np.square(spqr(one, hessian=np.eye(64), outliers=np.inf).dequantize() - one) for one in (weights, near)]
    assert errors[1][others].sum() < 1.1 * errors[0][others].sum()


def test_dead_inputs_and_threads(layer):
    weights, activations = layer
    dead = activations.copy()
    dead[:, 5] = 0
    result = spqr(weights, dead)
    assert result.report["dead_inputs"] == 1
    one, two = (spqr(np.tile(weights, (8, 1)), activations, threads=count) for count in (1, 2))
    np.testing.assert_array_equal(one.tensor.codes, two.tensor.codes)
    np.testing.assert_array_equal(one.dequantize(), two.dequantize())


def test_a_broken_request_is_refused(layer):
    weights, activations = layer
    for to in ("int4.g16", "float4_e2m1fn.g16", "uint16.g16.asymmetric"):
        with pytest.raises(InputError, match="unsigned integers"):
            spqr(weights, activations, to=to)
    for share in (0, -1, np.nan):
        with pytest.raises(InputError, match="above 0"):
            spqr(weights, activations, outliers=share)
    with pytest.raises(InputError, match="singular"):
        spqr(weights, activations[:8], damping=0.0)
    with pytest.raises(InputError, match=r"weights\[0\] has a block .* beyond binary16"):
        spqr(weights * 1e8, activations)
