"""Vector quantisation and Hadamard rotations: what they store is what they say, and what they are for shows."""

import tracemalloc

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.quantizers import quarot, round_to_nearest, vector_quantization
from lowbit.quantizers.methods.vector_quantization import DISTANCES, nearest_in_table, spread_start


@pytest.mark.parametrize("length", [1, 2, 4, 7, 8, 16])
def test_the_first_table_is_that_of_plain_k_means(length):
    """As numpy.random.Generator.choice draws it, and with the squared distances of whole vectors."""
    vectors = np.random.default_rng(length).normal(size=(400, length)).round(1)
    random = np.random.default_rng(7)
    table = [vectors[random.integers(len(vectors))]]
    distance = ((vectors - table[0]) ** 2).sum(axis=1)
    for _ in range(59):
        table.append(vectors[random.choice(len(vectors), p=distance / distance.sum())])
        distance = np.minimum(distance, ((vectors - table[-1]) ** 2).sum(axis=1))
        if not distance.any():
            break
    assert np.array_equal(spread_start(vectors, len(table), np.random.default_rng(7)), table)


def test_a_table_with_room_for_every_vector_is_exact():
    weights = np.random.default_rng(3).normal(size=(8, 64)).astype(np.float32)
    weights[3] = weights[5]
    result = vector_quantization(weights, to="table16.vector4")
    assert np.array_equal(result.dequantize(), weights)
    assert len(np.unique(result.tensor.codes)) == 7 * 16


def test_every_vector_has_the_nearest_of_the_table():
    weights = np.random.default_rng(4).normal(size=(32, 64))
    result = vector_quantization(weights, to="table5.vector4")
    vectors, table = weights.reshape(-1, 4), result.tensor.table.astype(np.float64)
    distances = ((vectors[:, None] - table) ** 2).sum(axis=2)
    np.testing.assert_array_equal(result.tensor.codes.reshape(-1), distances.argmin(axis=1))
    np.testing.assert_array_equal(result.report["candidates"].reshape(-1, 2), np.argsort(distances, axis=1)[:, :2])
    near = np.sort(np.sqrt(distances), axis=1)[:, :2]
    np.testing.assert_allclose(result.report["ratios"].reshape(-1), near[:, 1] / near.sum(axis=1))
    np.testing.assert_array_equal(result.dequantize(dtype=np.float64), table[result.tensor.codes].reshape(32, 64))
    assert float(result.bits_per_weight) == 5 / 4 + 32 * 4 * 32 / weights.size
    again = vector_quantization(weights, to="table5.vector4")
    np.testing.assert_array_equal(again.tensor.codes, result.tensor.codes)


def test_the_official_table_has_a_quarter_as_many_vectors():
    # get_num_centroids of the official code: min(k, 2^floor(log2(outputs * vectors / 4)))
    weights = np.random.default_rng(5).normal(size=(6, 64))
    for to, entries in (("table8.vector4", 16), ("table3.vector4", 8), ("table8.vector1", 64)):
        result = vector_quantization(weights, to=to, variant="official")
        assert np.unique(result.tensor.codes).size <= entries
        assert (np.abs(result.tensor.table).sum(axis=1) > 0).sum() == entries
    one = vector_quantization(weights[:1, :4], to="table8.vector4", variant="official")
    np.testing.assert_allclose(one.dequantize(), weights[:1, :4], rtol=1e-6)
    assert (one.report["ratios"] == 1).all()


def test_vectors_are_better_than_numbers_of_as_many_bits():
    weights = np.random.default_rng(6).normal(size=(128, 128))
    vectors = vector_quantization(weights, to="table8.vector4").error(weights)
    assert vectors < 0.5 * round_to_nearest(weights, to="int2.g128").error(weights)


def test_a_broken_request_for_vectors_is_refused():
    weights = np.ones((4, 6))
    with pytest.raises(InputError, match="do not divide rows of 6"):
        vector_quantization(weights, to="table8.vector4")
    for wrong in ("table0.vector4", "table17.vector4", "int4.g128", 4):
        with pytest.raises(InputError, match="does not say them"):
            vector_quantization(weights, to=wrong)
    assert (vector_quantization(weights, to="table8.vector3").dequantize() == 1).all()


def test_a_rotation_spreads_an_outlier():
    random = np.random.default_rng(8)
    weights, activations = random.normal(size=(16, 128)), random.normal(size=(64, 128))
    weights[:, 5] *= 30
    plain = round_to_nearest(weights, to="int4.g128").error(weights, activations)
    turned = quarot(weights, activations, to="int4.g128")
    assert turned.error(weights, activations) < 0.5 * plain
    feedback = quarot(weights, activations, to="int4.g128", variant="gptq")
    assert feedback.error(weights, activations) < turned.error(weights, activations)
    outputs = feedback.transform.activations(activations) @ feedback.transformed().T
    np.testing.assert_allclose(outputs, activations @ feedback.dequantize(dtype=np.float64).T, atol=1e-9)
    with pytest.raises(InputError, match="one transform"):
        quarot(weights, activations, to="int4.g128", variant="gptq", order="activation")


def test_a_hessian_is_turned_with_the_weights():
    random = np.random.default_rng(10)
    weights, activations = random.normal(size=(16, 64)), random.normal(size=(200, 64)) * np.exp(random.normal(size=64))
    one = quarot(weights, activations, variant="gptq", to="int4.g16")
    other = quarot(weights, variant="gptq", to="int4.g16", hessian=_symmetric(activations.T @ activations))
    assert other.error(weights, activations) == pytest.approx(one.error(weights, activations), rel=0.05)


def _symmetric(matrix):
    return (matrix + matrix.T) / 2


def test_distances_to_a_large_table_are_not_held_all_at_once():
    random = np.random.default_rng(5)
    vectors, table = random.normal(size=(512, 2)), random.normal(size=(1 << 16, 2))
    tracemalloc.start()
    places = nearest_in_table(vectors, table, 2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 8 * DISTANCES  # all of them are 256 MiB
    distance = ((vectors[::73, None] - table) ** 2).sum(axis=2)
    np.testing.assert_array_equal(places[::73], distance.argsort(axis=1, kind="stable")[:, :2])
