"""QLLM: parts of inputs change no product, joined inputs change it as derived, outliers lose their harm."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.metrics import relative_squared_error
from lowbit.quantizers import qllm, round_to_nearest
from lowbit.quantizers.methods import qllm as module
from lowbit.quantizers.transform import Reassembly
from lowbit.testing import activations


@pytest.fixture(scope="module")
def layer():
    return activations("gaussian", 128, 128, seed=1) / 11, activations("outlier_channels", 256, 128)


def quantised(rows, result, bits=4):
    """Rows as they meet the weights, in asymmetric integers, a scale and a zero point a row."""
    rows = result.transform.activations(rows.astype(np.float64))
    low, high = np.minimum(rows.min(axis=1), 0)[:, None], np.maximum(rows.max(axis=1), 0)[:, None]
    step = (high - low) / ((1 << bits) - 1)
    zero = np.rint(-low / step)
    return step * (np.clip(np.rint(rows / step) + zero, 0, (1 << bits) - 1) - zero)


def test_parts_change_no_product_where_they_are_powers_of_two():
    random = np.random.default_rng(3)
    weights, rows = random.integers(-99, 99, (16, 24)), random.integers(-(2**20), 2**20, (32, 24))
    parts = 1 << random.integers(0, 4, 24)
    change = Reassembly(parts, np.arange(parts.sum()))
    apart, wide = change.activations(rows.astype(np.float64)), change.weights(weights.astype(np.float64))
    assert apart.shape == (32, parts.sum())
    np.testing.assert_array_equal(apart @ wide.T, rows @ weights.T)
    np.testing.assert_array_equal(change.undo(wide), weights)
    assert change.exactness == "exact for powers of two"
    thirds = Reassembly(np.full(24, 3), np.arange(72))
    product = thirds.activations(rows.astype(np.float64)) @ thirds.weights(weights.astype(np.float64)).T
    np.testing.assert_allclose(product, rows @ weights.T, rtol=1e-14, atol=1e-6)
    np.testing.assert_allclose(thirds.undo(thirds.weights(weights.astype(np.float64))), weights, rtol=1e-15)


def test_joining_two_inputs_changes_the_outputs_by_half_the_product_of_their_differences():
    """``x_i w_i + x_j w_j - (x_i + x_j) / 2 (w_i + w_j) = (x_i - x_j) (w_i - w_j) / 2`` (the paper, equation 6)."""
    random = np.random.default_rng(4)
    weights, rows = random.normal(size=(6, 5)), random.normal(size=(9, 5))
    change = Reassembly(np.ones(5, np.int64), np.array([0, 1, 2, 1, 3]))
    product = change.activations(rows) @ change.weights(weights).T
    assert change.exactness == "approximate"
    lost = np.outer(rows[:, 1] - rows[:, 3], weights[:, 1] - weights[:, 3]) / 2
    np.testing.assert_allclose(rows @ weights.T - product, lost, rtol=1e-12, atol=1e-14)
    three = Reassembly(np.ones(5, np.int64), np.array([0, 0, 0, 1, 2]))
    np.testing.assert_allclose(three.activations(rows)[:, 0], rows[:, :3].mean(axis=1))
    np.testing.assert_allclose(three.weights(weights)[:, 0], weights[:, :3].sum(axis=1))
    np.testing.assert_allclose(rows @ three.undo(weights[:, :3]).T, three.activations(rows) @ weights[:, :3].T)


def test_planted_outliers_lose_their_harm(layer):
    weights, rows = layer
    outputs = rows.astype(np.float64) @ weights.T.astype(np.float64)
    errors = []
    for options in ({"ratio": 0}, {"ratio": 0.2, "assemble": False}, {"ratio": 0.2}):
        result = qllm(weights, rows, to="int8.channel", **options)
        errors.append(relative_squared_error(outputs, quantised(rows, result) @ result.transformed().T))
        assert min(result.report["errors"].values()) == pytest.approx(errors[-1], rel=0.02)
        assert result.shape == (128, 128)
        assert result.transform.columns.max() + 1 <= 128 * 1.2
    assert errors[1] < errors[0] / 5
    assert errors[2] < errors[0] / 2.5


def test_inputs_come_in_as_many_parts_as_thresholds_fit_into_them(layer):
    weights, rows = layer
    result = qllm(weights, rows, ratio=0.15, steps=60)
    largest = np.abs(rows.astype(np.float64)).max(axis=0)
    np.testing.assert_array_equal(result.transform.parts, np.ceil(largest / result.report["threshold"]))
    assert min(result.report["errors"], key=result.report["errors"].get) == result.report["threshold"]
    assert list(result.report["errors"]) == sorted(result.report["errors"], reverse=True)
    assert result.transform.columns.max() + 1 == 128
    twos = qllm(weights, rows, ratio=0.15, steps=60, powers_of_two=True).transform.parts
    assert set(twos.tolist()) <= {1, 2, 4, 8, 16}
    assert twos.max() > 1


@pytest.mark.parametrize("variant", ["paper", "official"])
def test_joined_inputs_are_the_nearest_pairs(variant):
    """The scores of both sources, pair by pair, between even and odd places of which neither is a part of an input."""
    random = np.random.default_rng(6)
    rows, weights = random.normal(size=(50, 9)), random.normal(size=(16, 9))
    parts = np.array([1, 1, 3, 1, 1, 2, 1, 1, 1])
    origins = np.repeat(np.arange(9), parts)
    scores = {}
    for even in range(0, 12, 2):
        for odd in range(1, 12, 2):
            i, j = origins[even], origins[odd]
            far = np.linalg.norm(rows[:, i] - rows[:, j])
            likeness = np.linalg.norm(weights[:, i] - weights[:, j])
            if variant == "official":
                likeness = weights[:, i].sum() + weights[:, j].sum()
            if parts[i] == parts[j] == 1:
                scores[even, odd] = (far * likeness) ** 2
    best = {}
    for (even, odd), score in scores.items():
        if even not in best or score < scores[even, best[even]]:
            best[even] = odd
    joined = sorted(best.items(), key=scores.get)[:3]
    columns = module._reassembly(rows, weights, parts, variant).columns
    assert [columns[even] == columns[odd] for even, odd in joined] == [True] * 3
    assert columns.max() + 1 == 9
    crowded = np.array([1, 9, 9, 9, 9, 9, 9, 9, 1])
    assert module._reassembly(rows, weights, crowded, variant) is None


def test_inputs_that_are_one_are_joined_first():
    random = np.random.default_rng(6)
    rows, weights = random.normal(size=(200, 8)), random.normal(size=(16, 8))
    rows[:, 7] *= 6
    rows[:, 5], weights[:, 5] = rows[:, 2], weights[:, 2]
    result = qllm(weights, rows, ratio=0.125, steps=400)
    assert result.transform.parts.tolist() == [1] * 7 + [2]
    assert result.transform.columns[2] == result.transform.columns[5]
    assert len(set(result.transform.columns.tolist())) == 8


def test_without_outliers_it_is_round_to_nearest():
    weights, rows = np.eye(8) + 0.1, np.full((4, 8), 0.5)
    result = qllm(weights, rows, to="int4.channel")
    np.testing.assert_array_equal(result.tensor.codes, round_to_nearest(weights, to="int4.channel").tensor.codes)
    assert set(result.transform.parts.tolist()) == {1}
    assert qllm(weights, np.zeros((4, 8))).error(weights) < 0.01


def test_a_broken_request_for_parts_is_refused(layer):
    weights, rows = layer
    for options in ({"ratio": -0.1}, {"ratio": np.nan}, {"ratio": 2}, {"steps": 0}, {"steps": 2.5}):
        (name,) = options
        with pytest.raises(InputError, match=rf"{name} = .* is not a (whole )?number from"):
            qllm(weights, rows, **options)
    with pytest.raises(InputError, match="do not divide"):
        qllm(weights, rows, to="int4.g32", assemble=False)
    alike = rows.copy()
    alike[:, ::2] = alike[:, :1] / 64
    with pytest.raises(InputError, match="beyond binary32"):
        qllm(np.full((2, 128), 3e38), alike, to="int4.channel.asymmetric.float32")
    large = qllm(weights, rows.astype(np.float64) * 1e200)
    np.testing.assert_array_equal(large.tensor.codes, qllm(weights, rows.astype(np.float64)).tensor.codes)
