"""Pyramid vector quantisation: orders are those of their definitions, counts are Opus', errors the known ones."""

import itertools
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import scipy.stats

from lowbit.errors import InputError, PolicyError
from lowbit.kernels.quantizers import pyramid as kernels
from lowbit.quantizers import pvq, pyramid
from lowbit.quantizers.transform import hadamard
from lowbit.testing import activations

SMALL = [(n, k) for n in range(1, 17) for k in range(1, 17) if pyramid.vector_count(n, k) <= 1 << 13]


def sizes(most):
    """Every length and number of pulses that make at most so many vectors."""
    for length in range(1, pyramid.LARGEST + 1):
        for pulses in range(1, pyramid.LARGEST + 1):
            if pyramid.vector_count(length, pulses) > most:
                break
            yield length, pulses


def earlier(order, left):
    """Numbers at one place, first ones first, as the two sources have them."""
    if order == "opus":
        return [*range(left, -1, -1), *range(-left, 0)]
    return [0, *(sign * size for size in range(1, left + 1) for sign in (1, -1))]


def listed(length, pulses, order):
    """All vectors in order, from the definition of the order alone."""
    if length == 0:
        return [()] if pulses == 0 else []
    return [(own, *rest) for own in earlier(order, pulses) for rest in listed(length - 1, pulses - abs(own), order)]


@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_orders_are_those_of_their_definitions(order):
    for length, pulses in itertools.product(range(1, 6), range(1, 6)):
        expected = listed(length, pulses, order)
        assert pyramid.vector_count(length, pulses) == len(expected)
        np.testing.assert_array_equal(pyramid.vectors_at(range(len(expected)), length, pulses, order=order), expected)
        assert pyramid.vector_indices(expected, order=order).tolist() == list(range(len(expected)))


def require_bijection(length, pulses, order, chunk=1 << 14):
    count = pyramid.vector_count(length, pulses)
    for start in range(0, count, chunk):
        indices = np.arange(start, min(start + chunk, count))
        vectors = pyramid.vectors_at(indices, length, pulses, order=order)
        np.testing.assert_array_equal(np.abs(vectors).sum(axis=1), pulses)
        np.testing.assert_array_equal(pyramid.vector_indices(vectors, order=order), indices)


@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_indices_and_vectors_are_a_bijection(order):
    for length, pulses in SMALL:
        require_bijection(length, pulses, order)


@pytest.mark.exhaustive
@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_all_pyramids_of_a_million_vectors_are_a_bijection(order):
    for length, pulses in sizes(1 << 20):
        require_bijection(length, pulses, order)


def test_counts_are_those_of_opus():
    """celt/cwrs.c of Opus (RFC 6716, appendix A): the table of V(N, K) in its comment, and ends of rows of U(N, K)."""
    table = [
        [2, 2, 2, 2, 2, 2, 2, 2, 2],
        [4, 8, 12, 16, 20, 24, 28, 32, 36],
        [6, 18, 38, 66, 102, 146, 198, 258, 326],
        [8, 32, 88, 192, 360, 608, 952, 1408, 1992],
        [10, 50, 170, 450, 1002, 1970, 3530, 5890, 9290],
        [12, 72, 292, 912, 2364, 5336, 10836, 20256, 35436],
        [14, 98, 462, 1666, 4942, 12642, 28814, 59906, 115598],
        [16, 128, 688, 2816, 9424, 27008, 68464, 157184, 332688],
        [18, 162, 978, 4482, 16722, 53154, 148626, 374274, 864146],
    ]
    assert [[pyramid.vector_count(n, k) for k in range(1, 10)] for n in range(1, 10)] == table
    positive = {(5, 5): 321, (10, 24): 3375210671, (11, 19): 1616336765, (12, 18): 3248227095, (14, 14): 1409933619}
    for (length, pulses), count in positive.items():
        ones = [pulses - 1, *[0] * (length - 2), 0][:length]
        # U(N, K) vectors of K - 1 pulses do not begin with a negative number: in Opus' order they come first
        vectors = pyramid.vectors_at([count - 1, count], length, pulses - 1, order="opus")
        assert [vector[0] < 0 for vector in vectors.tolist()] == [False, True]
        assert pyramid.vector_indices([ones], order="opus").tolist() == [0]


def test_counts_are_the_closed_form():
    for length, pulses in itertools.product((1, 2, 7, 16, 40), (1, 3, 16, 32, 100)):
        terms = (2**d * comb(length, d) * comb(pulses - 1, d - 1) for d in range(1, min(length, pulses) + 1))
        assert pyramid.vector_count(length, pulses) == sum(terms)


@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_kernels_run_on_python_integers(order):
    random = np.random.default_rng(5)
    count, opus = pyramid.vector_count(16, 16), order == "opus"
    indices = np.array([0, count - 1, *random.integers(0, count, 50)])
    table = pyramid._table(16, 16).astype(object)
    vectors, places = np.empty((len(indices), 16), np.int64), np.empty(len(indices), object)
    kernels.vectors_of.py_func(indices.astype(object), table, opus, 16, vectors)
    np.testing.assert_array_equal(vectors, pyramid.vectors_at(indices, 16, 16, order=order))
    kernels.indices_of.py_func(vectors, table, opus, places)
    assert places.tolist() == indices.tolist()


@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_indices_may_be_longer_than_a_word(order):
    for length, pulses in ((16, 32), (18, 40), (19, 40), (64, 64), (128, 128)):
        values = activations("gaussian", 6, length).astype(np.float64)
        vectors = pyramid.nearest_vectors(values, pulses)
        indices = pyramid.vector_indices(vectors, order=order)
        count = pyramid.vector_count(length, pulses)
        assert indices.dtype == (np.int64 if count < 1 << 63 else object)
        assert max(indices.tolist()).bit_length() <= count.bit_length()
        np.testing.assert_array_equal(pyramid.vectors_at(indices, length, pulses, order=order), vectors)
        last = [-pulses, *[0] * (length - 1)] if order == "fischer" else [*[-1] * (length - 1), length - pulses - 1]
        assert pyramid.vectors_at([count - 1], length, pulses, order=order).tolist() == [last]


def greedy(values, pulses):
    """The search in rational numbers: floors of shares, then pulse after pulse the largest (x . y)^2 / (y . y)."""
    share = [Fraction(abs(value)) * pulses / sum(map(abs, values)) for value in values]
    chosen = [int(part) for part in share]
    while sum(chosen) < pulses:
        product, square = sum(map(lambda a, b: a * b, share, chosen)), sum(own * own for own in chosen)
        gains = [(product + part) ** 2 / (square + 2 * own + 1) for part, own in zip(share, chosen, strict=True)]
        chosen[gains.index(max(gains))] += 1
    return [-own if value < 0 else own for own, value in zip(chosen, values, strict=True)]


def test_the_search_is_the_greedy_one():
    random = np.random.default_rng(2)
    for length, pulses in ((4, 3), (8, 8), (16, 5), (16, 32)):
        values = random.integers(-(1 << 20), 1 << 20, (40, length))
        expected = [greedy(row, pulses) for row in values.tolist()]
        np.testing.assert_array_equal(pyramid.nearest_vectors(values.astype(np.float64), pulses), expected)
    zeros = pyramid.nearest_vectors(np.zeros((1, 4)), 3)
    assert zeros.tolist() == [[3, 0, 0, 0]]
    np.testing.assert_array_equal(np.abs(pyramid.nearest_vectors(np.full((1, 7), 5e-324), 5)).sum(), 5)


def test_the_nearest_of_all_is_seldom_another_one():
    values = activations("gaussian", 200, 4).astype(np.float64)
    vectors = np.array(listed(4, 6, "fischer"))
    cosines = values @ (vectors / np.sqrt((vectors**2).sum(axis=1))[:, None]).T
    found = pyramid.nearest_vectors(values, 6)
    own = (values * found).sum(axis=1) / np.sqrt((found**2).sum(axis=1))
    assert (own > cosines.max(axis=1) * (1 - 1e-12)).mean() > 0.85
    assert (own / cosines.max(axis=1)).min() > 0.97


@pytest.mark.parametrize(
    ("pulses", "rate", "error"), [(12, 1.98, 0.0827), (16, 2.32, 0.0504), (24, 2.82, 0.0241), (32, 3.20, 0.0140)]
)
def test_the_error_of_gaussian_numbers(pulses, rate, error):
    """Vectors of 16 with their best gain; rate-distortion allows 2^(-2 rate), 0.0119 for the last of them."""
    weights = activations("gaussian", 512, 128, seed=3)
    result = pvq(weights, to=f"pulses{pulses}.vector16.gain32", rotate=False)
    assert result.report["index_bits"] == pytest.approx(rate, abs=0.005)
    assert result.error(weights) == pytest.approx(error, rel=0.02)
    assert result.error(weights) > 2.0 ** (-2 * rate)
    coded = pvq(weights, to=f"pulses{pulses}.vector16.gain4", rotate=False)
    assert coded.error(weights) < error + 0.0012
    assert float(coded.bits_per_weight) < rate + 4 / 16 + 1 / 16 + 32 / 128 + 0.01


def test_values_are_gains_times_unit_vectors():
    weights = activations("gaussian", 8, 64, seed=9)
    for bits in (3, 16, 32):
        result = pvq(weights, to=f"pulses10.vector8.gain{bits}", order="opus")
        vectors = result.report["vectors"].astype(np.float64)
        np.testing.assert_array_equal(pyramid.vectors_at(result.tensor.indices, 8, 10, order="opus"), vectors)
        turned = hadamard(64).weights(weights.astype(np.float64)).reshape(8, 8, 8)
        unit = vectors / np.sqrt((vectors**2).sum(axis=2, keepdims=True))
        best = (turned * unit).sum(axis=2)
        if bits == 3:
            table = result.tensor.levels.astype(np.float64)
            quantiles = scipy.stats.beta.ppf((np.arange(8) + 0.5) / 8, 8 / 2, (64 - 8) / 2)
            np.testing.assert_allclose(table, np.sqrt(quantiles), rtol=1e-6)
            lengths = np.sqrt((turned**2).sum(axis=(1, 2)))[:, None]
            nearest = np.abs(best[..., None] / lengths[..., None] - table).argmin(axis=2)
            np.testing.assert_array_equal(result.tensor.gains, nearest)
            best = table[nearest] * lengths
        np.testing.assert_allclose(result.transformed().reshape(8, 8, 8), best[..., None] * unit, rtol=2e-3)
        index = (pyramid.vector_count(8, 10) - 1).bit_length()
        levels = 32 * 8 if bits == 3 else 0
        assert result.bits_per_weight == Fraction(index + bits, 8) + Fraction(32 * 8 + levels + 64, 512)


def test_orders_differ_in_indices_alone():
    weights = activations("gaussian", 4, 32)
    one, other = pvq(weights), pvq(weights, order="opus")
    np.testing.assert_array_equal(one.dequantize(), other.dequantize())
    assert (one.tensor.indices != other.tensor.indices).any()
    small = pvq([[1.0, -2, 0, 0.5], [0, 0, 0, 0]], to="pulses4.vector2.gain16", rotate=False)
    assert small.tensor.indices.tolist() == [[3, 0], [14, 14]]


def test_a_hessian_lowers_the_error_of_the_outputs():
    random = np.random.default_rng(1)
    weights = activations("gaussian", 32, 128)
    rows = random.normal(size=(400, 128)) @ random.normal(size=(128, 128)) / 8
    plain, spread = (pvq(weights, rows, variant=variant) for variant in ("weights", "hessian"))
    assert spread.error(weights, rows) < 0.6 * plain.error(weights, rows)
    assert spread.error(weights) > plain.error(weights)
    orthogonal = np.linalg.qr(random.normal(size=(128, 128)))[0]
    same = pvq(weights, orthogonal, variant="hessian")
    np.testing.assert_array_equal(same.tensor.indices, plain.tensor.indices)


def test_a_broken_request_for_pyramids_is_refused():
    weights = np.ones((2, 12))
    for wrong in ("pulses32.vector16", "pulses0.vector4.gain4", "pulses257.vector4.gain4", "pulses4.vector4.gain9", 4):
        with pytest.raises(InputError, match="does not say them"):
            pvq(weights, to=wrong)
    with pytest.raises(InputError, match="do not divide rows of 12"):
        pvq(weights, to="pulses4.vector8.gain4")
    with pytest.raises(InputError, match="needs activations"):
        pvq(weights, to="pulses4.vector4.gain4", variant="hessian")
    with pytest.raises(InputError, match="longer than binary32"):
        pvq(np.full((2, 8), 3e38), to="pulses4.vector4.gain4")
    with pytest.raises(PolicyError, match="order"):
        pvq(weights, to="pulses4.vector4.gain4", order="cwrs")
    for vectors, words in (([[1, 1], [1, 2]], "pulses"), ([[1.5]], "integers"), ([[300]], "beyond"), (3, "shape")):
        with pytest.raises(InputError, match=words):
            pyramid.vector_indices(vectors)
    for indices, words in (
        [[8], "there are 8"],
        [[-1], "there are 8"],
        [[0.5], "integers"],
        [[1 << 80], "there are 8"],
    ):
        with pytest.raises(InputError, match=words):
            pyramid.vectors_at(indices, 2, 2)
    with pytest.raises(InputError, match="length = 0"):
        pyramid.vector_count(0, 3)


def test_constant_and_zero_rows_have_a_meaning():
    zeros = pvq(np.zeros((2, 16)), to="pulses4.vector8.gain32")
    assert not zeros.dequantize().any()
    whole = pvq(np.ones((2, 8)), to="pulses8.vector8.gain4", rotate=False)
    np.testing.assert_allclose(whole.dequantize(), 1, rtol=1e-6)
    assert pvq(np.ones((2, 16)), to="pulses8.vector8.gain32", rotate=False).error(np.ones((2, 16))) < 1e-12
