"""Tables an output (SqueezeLLM) and power grids (NUPES): the best one is the best, and the others are above it."""

from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit.errors import InputError
from lowbit.quantizers import nupes, round_to_nearest, squeezellm
from lowbit.quantizers.clusters import best_clusters, lloyd, nearest_places


def least(values, weights, count):
    """Over every way to cut the sorted numbers into intervals."""
    order = np.argsort(values)
    values, weights = values[order], weights[order]

    def cost(part, share):
        middle = (part * share).sum() / share.sum() if share.sum() else 0
        return (share * (part - middle) ** 2).sum()

    ways = combinations(range(1, len(values)), min(count, len(values)) - 1)
    cuts = ((0, *way, len(values)) for way in ways)
    return min(sum(cost(values[a:b], weights[a:b]) for a, b in pairwise(cut)) for cut in cuts)


@given(
    st.lists(st.tuples(st.floats(-100, 100), st.sampled_from([0.0, 0.5, 1.0, 7.0])), min_size=1, max_size=9),
    st.sampled_from([1, 2, 4]),
)
def test_no_other_table_is_better(pairs, count):
    values, weights = (np.array(part) for part in zip(*pairs, strict=True))
    table, places = best_clusters(values, weights, count)
    error = (weights * (values - table[places]) ** 2).sum()
    assert error == pytest.approx(least(values, weights, count), rel=1e-9, abs=1e-9)
    assert (np.diff(table) >= 0).all()


def test_exact_is_below_lloyd_is_below_even_steps():
    random = np.random.default_rng(2)
    for count in (4, 8, 16):
        for values in (random.normal(size=300), random.standard_t(3, size=300), random.uniform(size=300) ** 4):
            weights = random.uniform(size=300)
            table = np.linspace(values.min(), values.max(), count)
            errors = [(weights * (values - table[nearest_places(values, table)]) ** 2).sum()]
            for search in (lloyd, best_clusters):
                table, places = search(values, weights, count)
                errors.append((weights * (values - table[places]) ** 2).sum())
            assert errors[2] <= errors[1] <= errors[0]


@pytest.fixture(scope="module")
def layer():
    random = np.random.default_rng(9)
    return random.standard_t(4, size=(16, 256)).astype(np.float32), random.normal(size=(64, 256))


def test_what_is_kept_apart_comes_back_in_binary16(layer):
    weights, activations = layer
    result = squeezellm(weights, activations, outliers=0.01, sensitive=0.005)
    assert result.sparse.values.size == round(0.01 * weights.size) + round(0.005 * weights.size)
    place = (result.sparse.rows, result.sparse.columns)
    np.testing.assert_allclose(result.dequantize()[place], weights[place], rtol=2**-10)
    assert np.abs(weights).argmax() in result.sparse.rows * 256 + result.sparse.columns
    tables = 4 + 16 * 32 / 256
    sparse = (result.sparse.values.size * 32 + 17 * 32) / weights.size
    assert float(result.bits_per_weight) == pytest.approx(tables + sparse)
    plain = squeezellm(weights, activations, outliers=0, sensitive=0)
    assert plain.sparse is None
    assert result.error(weights) < plain.error(weights)


def test_weights_that_matter_more_are_nearer(layer):
    weights, _ = layer
    fisher = np.where(np.arange(256) % 2, 100.0, 1.0) * np.ones_like(weights)
    results = [
        squeezellm(weights, to="table2.channel", sensitivity=one, outliers=0, sensitive=0).dequantize() - weights
        for one in (fisher, None)
    ]
    errors = [(fisher * difference**2).sum() for difference in results]
    assert errors[0] < errors[1]


def test_a_broken_request_for_tables_is_refused(layer):
    weights, _ = layer
    with pytest.raises(InputError, match=r"table4\.channel"):
        squeezellm(weights, to="int4.g128")
    with pytest.raises(InputError, match="outliers = 1"):
        squeezellm(weights, outliers=1.5)
    with pytest.raises(InputError, match="from 0 on"):
        squeezellm(weights, sensitivity=-np.ones_like(weights))
    assert (squeezellm(np.full((2, 8), 3.0)).dequantize() == 3).all()


def test_an_exponent_of_one_is_even_steps(layer):
    weights, _ = layer
    for fmt in ("int4.channel.float32", "int3.g64.float32"):
        even, power = round_to_nearest(weights, to=fmt), nupes(weights, to=fmt, exponent=1.0)
        assert power.report["exponent"] == 1.0
        mask = (1 << int(fmt[3])) - 1
        np.testing.assert_array_equal(power.tensor.codes & mask, even.tensor.codes & mask)


def test_the_error_has_one_valley_and_the_search_finds_it(layer):
    weights, _ = layer
    grid = [round(step / 20, 2) for step in range(6, 25)]
    errors = [nupes(weights, exponent=power).report["errors"][power] for power in grid]
    signs = np.sign(np.diff(errors))
    assert (np.diff(signs) >= 0).all()
    best = nupes(weights)
    assert best.error(weights) <= min(errors)
    assert best.error(weights) < nupes(weights, exponent=1.0).error(weights)


def test_roots_make_squares_of_integers(layer):
    weights, _ = layer
    result = nupes(weights, to="int8.channel.float32", exponent=0.5)
    codes = result.tensor.codes.view(np.int8).astype(np.int64)
    table = lowbit.decode(np.arange(128), result.tensor.format.element, dtype=np.float64)
    squares = np.sign(codes) * codes**2
    np.testing.assert_allclose(table * 127**2, np.arange(128) ** 2, rtol=2**-23)
    scale = result.tensor.scales["block"].astype(np.float64) / 127**2
    np.testing.assert_allclose(result.dequantize(dtype=np.float64), squares * scale, rtol=2**-22)


def test_the_paper_rounds_on_the_other_axis(layer):
    weights, _ = layer
    for power in (0.5, 0.7):
        paper, near = (nupes(weights, exponent=power, variant=one) for one in ("paper", "nearest"))
        assert near.error(weights) < paper.error(weights)
        moved = np.abs(
            paper.tensor.codes.view(np.int8).astype(int) * 16 - near.tensor.codes.view(np.int8).astype(int) * 16
        )
        assert ((moved % 256 == 0) | (moved % 256 == 16) | (moved % 256 == 240)).all()
    with pytest.raises(InputError, match="power grid"):
        nupes(weights, to="float4_e2m1fn.channel")


def test_weights_of_any_size_are_kept_apart(layer):
    weights, _ = layer
    plain = squeezellm(weights, outliers=0.05).error(weights)
    for size in (2.0**20, 2.0**-30):
        scaled = weights * np.float32(size)
        result = squeezellm(scaled, outliers=0.05)
        assert result.sparse.values.dtype == np.float32
        assert result.error(scaled) == pytest.approx(plain, rel=1e-2)
    tiny = squeezellm(weights, sensitivity=np.full_like(weights, 2.0**-149), outliers=0, sensitive=0)
    np.testing.assert_array_equal(tiny.tensor.codes, squeezellm(weights, outliers=0, sensitive=0).tensor.codes)
