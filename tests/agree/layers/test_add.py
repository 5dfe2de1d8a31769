"""Sums, products, tables and moves agree with the oracle in Python integers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit.layers import Add, Embedding, Multiply, Positions, Quantity, Reshape, Select, Sum
from lowbit.oracle.layers.add import Adding, multiply
from tests.agree.layers.examples import codes, of_oracle, rescale, seeds, within

SCHEMES = ("tflite_double", "tflm", "hawq", "single_even", "tosa_single_48", "xnnpack_rndnu")


def sum_of(rng, scheme, format="int8", zeros=True, **clamp):
    edges = [Quantity(format, float(rng.uniform(0.01, 0.2)), int(rng.integers(-9, 9)) * zeros) for _ in range(3)]
    return edges, Sum.from_scales(edges[0], edges[1], scheme, edges[2], **clamp)


def adding(edges, total):
    low, high = (total.result.scalar.codes[place] for place in (0, -1))
    low, high = low if total.minimum is None else total.minimum, high if total.maximum is None else total.maximum
    parts = of_oracle(total.left), of_oracle(total.right), of_oracle(total.output)
    return Adding(*parts, total.left_shift, edges[2].zero_point, low, high)


def expected(edges, total, left, right):
    add = adding(edges, total)
    pairs = np.broadcast(left.astype(int) - edges[0].zero_point, right.astype(int) - edges[1].zero_point)
    return np.array([add(int(a), int(b)) for a, b in pairs]).reshape(pairs.shape)


@given(seeds, st.sampled_from(SCHEMES), st.sampled_from(["int8", "int16"]))
def test_add(seed, scheme, format):
    rng = np.random.default_rng(seed)
    edges, total = sum_of(rng, scheme, format, zeros=format == "int8", minimum=-20)
    layer = Add(edges[0], edges[1], total)
    left, right = codes(rng, (2, 3, 4), format), codes(rng, (3, 4), format)
    assert np.array_equal(layer(left, right), expected(edges, total, left, right))
    within(layer, left, right)


@pytest.mark.parametrize("scheme", ["tflite_double", "tflm", "hawq"])
def test_the_layer_is_quantized_add(scheme):
    rng = np.random.default_rng(1)
    edges, total = sum_of(rng, scheme)
    left, right = codes(rng, 500), codes(rng, 500)
    scales = {"a_scale": edges[0].scale, "b_scale": edges[1].scale, "result_scale": edges[2].scale}
    zeros = {
        "a_zero_point": edges[0].zero_point,
        "b_zero_point": edges[1].zero_point,
        "zero_point": edges[2].zero_point,
    }
    wanted = lowbit.quantized_add(left, right, scheme=scheme, **scales, **zeros)
    assert np.array_equal(Add(edges[0], edges[1], total)(left, right), wanted)


def test_single_even_is_hawqs_addition_without_binary64():
    rng = np.random.default_rng(2)
    edges, total = sum_of(rng, "hawq", "int16", zeros=False)
    other = Sum.from_scales(edges[0], edges[1], "single_even", edges[2], dyadic=True)
    left, right = codes(rng, 5000, "int16"), codes(rng, 5000, "int16")
    layers = [Add(edges[0], edges[1], each)(left, right) for each in (total, other)]
    assert np.array_equal(*layers)


@given(seeds, st.sampled_from(["int8", "int16"]))
def test_multiply(seed, format):
    rng = np.random.default_rng(seed)
    zero = 4 if format == "int8" else 0
    output = rescale(rng, "tflite_double", 1, largest=2.0**-8 if format == "int8" else 2.0**-22)
    layer = Multiply(Quantity(format, 0.1, zero), Quantity(format, 0.1), output)
    left, right = codes(rng, (2, 7), format), codes(rng, (2, 7), format)
    pairs = zip((left.astype(int) - zero).ravel().tolist(), right.ravel().tolist(), strict=True)
    assert layer(left, right).ravel().tolist() == [multiply(a, b, of_oracle(output)) for a, b in pairs]
    within(layer, left, right)


def test_embedding_and_positions():
    rng = np.random.default_rng(3)
    edges, total = sum_of(rng, "single_even")
    table, places = codes(rng, (11, 4)), codes(rng, (6, 4))
    rows = rng.integers(0, 11, (2, 5), dtype=np.int32)
    embedding = Embedding(table, edges[0])
    assert np.array_equal(embedding(rows), np.array([[table[row] for row in line] for line in rows]))
    within(embedding, rows)
    layer = Positions(edges[0], places, edges[1], total)
    wanted = expected(edges, total, table[rows], np.broadcast_to(places[:5], (2, 5, 4)))
    assert np.array_equal(layer(embedding(rows)), wanted)
    within(layer, embedding(rows))


def test_moves():
    array = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    layer = Reshape(Quantity("int8", 1.0), 2, (2, -1))
    assert np.array_equal(layer(array), array.reshape(2, 2, 6))
    assert np.array_equal(Select(Quantity("int8", 1.0), -1)(array), array[:, -1])
    within(layer, array)
