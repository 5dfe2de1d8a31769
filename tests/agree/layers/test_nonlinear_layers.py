"""Activations, normalisations, attention and rotary embeddings agree with the oracle in Python integers."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import lowbit
from lowbit.layers import (
    Activation,
    Attention,
    Nonlinearity,
    Norm,
    Quantity,
    Rescale,
    Rotary,
    Silu,
    Table,
    rotary_tables,
)
from lowbit.oracle.layers.attention import attention, rotary
from lowbit.oracle.layers.nonlinear import activation, norm, scheme_row, silu
from tests.agree.layers.examples import codes, of_oracle, seeds, within

INT8 = Quantity("int8", 0.05)
ACTIVATIONS = [
    (Nonlinearity("gelu", "ivit"), INT8),
    (Nonlinearity("gelu", "ibert"), INT8),
    (Nonlinearity("gelu", "lowbit"), INT8),
    (Nonlinearity("gelu", "lowbit"), Quantity("int8", 0.05, 9)),
    (Nonlinearity("gelu", "lowbit"), Quantity("int16", 0.001)),
    (Nonlinearity("softmax", "ivit", bits=8), Quantity("int8", 0.05, -4)),
    (Nonlinearity("softmax", "tflite_int8"), Quantity("int8", 0.05, 12)),
    (Nonlinearity("logistic", "tflite_int8"), Quantity("int8", 0.05, 12)),
    (Nonlinearity("tanh", "tflite_int8"), INT8),
]
NORMS = [
    *(Nonlinearity("layernorm", scheme) for scheme in ("ivit", "ibert", "lowbit")),
    Nonlinearity("layernorm", "exact"),
    Nonlinearity("rmsnorm", "lowbit"),
    Nonlinearity("rmsnorm", "exact"),
]
SOFTMAXES = [
    Nonlinearity("softmax", "ivit", bits=8),
    Nonlinearity("softmax", "ibert", bits=8),
    Nonlinearity("softmax", "lowbit", bits=16),
    Nonlinearity("softmax", "exact", bits=8),
    Nonlinearity("softmax", "tflite_int8"),
]


def name_of(value):
    parts = (value.function, value.scheme) if isinstance(value, Nonlinearity) else (value.format, str(value.zero_point))
    return "-".join(parts)


def given_codes(function, input, rows):
    """The codes as the scheme is given them: less their zero point where it takes none."""
    shifts = input.zero_point and function.function != "softmax" and function.scheme == "lowbit"
    return (rows.astype(int) - input.zero_point * bool(shifts)).tolist()


@pytest.mark.parametrize(("function", "input"), ACTIVATIONS, ids=name_of)
def test_activation(function, input):
    rng = np.random.default_rng(1)
    layer = Activation.from_scales(input, function, "tflite_double", Quantity("int8", 0.04, 5))
    rows = codes(rng, (2, 3, 11), input.format)
    zero_point = function.trial(input, 8).zero_point
    call, output = function.parameters(input), of_oracle(layer.output)
    wanted = [activation(row, call, zero_point, output) for row in given_codes(function, input, rows.reshape(6, 11))]
    assert layer(rows).reshape(6, 11).tolist() == wanted
    within(layer, rows)


def test_results_of_a_scheme_leave_as_they_are():
    function = Nonlinearity("softmax", "tflite_int8")
    layer = Activation(INT8, function, Quantity("int8", 2.0**-8, -128))
    rows = codes(np.random.default_rng(2), (3, 9))
    assert np.array_equal(layer(rows), lowbit.softmax(rows, scheme="tflite_int8", scale=0.05))
    within(layer, rows)


@pytest.mark.parametrize("zero_point", [0, 21])
def test_silu(zero_point):
    edge, function = Quantity("int8", 0.06, zero_point), Nonlinearity("logistic", "tflite_int8")
    layer = Silu.from_scales(edge, function, "single_even", Quantity("int8", 0.06, -100))
    every = np.arange(-128, 128, dtype=np.int8)
    zeros = zero_point, function.trial(edge, 8).zero_point
    wanted = silu(every.tolist(), function.parameters(edge), zeros, of_oracle(layer.rescale))
    assert layer(every).tolist() == wanted
    exact = [(code - zero_point) * 0.06 / (1 + math.exp(-(code - zero_point) * 0.06)) for code in range(-128, 128)]
    reachable = np.clip(np.array(exact) / 0.06 - 100, -128, 127)
    assert np.abs(layer(every) - reachable).max() < 1.5
    within(layer, every)


def test_table_is_the_nearest_code_of_a_function():
    layer = Table.from_function(lambda x: np.maximum(x, 0) ** 2, Quantity("int8", 0.05, 3), Quantity("uint8", 0.02, 10))
    every = np.arange(-128, 128, dtype=np.int8).reshape(4, 64)
    wanted = [min(math.floor(max(code - 3, 0) ** 2 / 8 + 0.5) + 10, 255) for code in range(-128, 128)]
    assert layer(every).ravel().tolist() == wanted
    within(layer, every)


@pytest.mark.parametrize("function", NORMS, ids=name_of)
@pytest.mark.parametrize("format", ["int8", "int16"])
def test_norm(function, format):
    rng = np.random.default_rng(3)
    gamma, beta = rng.choice([-1, 1], 16) * rng.uniform(0.5, 1.5, 16), rng.uniform(-1, 1, 16)
    edge = Quantity(format, 0.01)
    layer = Norm.from_affine(edge, function, gamma, beta, "single_even", Quantity("int8", 0.02, 3))
    rows = codes(rng, (2, 3, 16), format)
    call, output = function.parameters(edge), of_oracle(layer.output)
    wanted = [norm(row, call, layer.bias.tolist(), output) for row in rows.reshape(6, 16).tolist()]
    assert layer(rows).reshape(6, 16).tolist() == wanted
    fits = (function.scheme, format) != ("ibert", "int16")
    within(layer, rows, fits=fits)
    if not fits:  # 16 squares of distances of 2^15
        squares = next(layer.bounds(edge.interval))
        assert (squares.label, squares.culprit) == ("sum of squares", 4 * (65535**2 + 1))
    if function.scheme in ("lowbit", "exact"):
        wide = rows.astype(float)
        wide -= wide.mean(-1, keepdims=True) * (function.function == "layernorm")
        exact = wide / np.sqrt((wide**2).mean(-1, keepdims=True)) * gamma + beta
        assert np.abs(layer(rows) - np.clip(exact / 0.02 + 3, -128, 127)).max() < 0.51


def attention_of(function, format, shared=None, causal=False, zeros=(0, 0, 0), heads=4, size=3):
    edges = [Quantity(format, 0.05, zero) for zero in zeros]
    score = Quantity("int8", 0.05, 3 * any(zeros))
    scores = Rescale.from_scale(2.0**-7 / math.sqrt(size), "tflite_double", score)
    unit = float(function.trial(scores.result, 8).scale)
    output = Rescale.from_scale(unit, "tflite_double", Quantity(format, 0.05, 2))
    return Attention(*edges, heads, size, scores, function, output, shared, causal)


@given(
    seeds,
    st.sampled_from(SOFTMAXES),
    st.sampled_from([None, 1, 2]),
    st.booleans(),
    st.sampled_from([(0, 0, 0), (5, -3, 7)]),
)
def test_attention(seed, function, shared, causal, zeros):
    rng = np.random.default_rng(seed)
    layer = attention_of(function, "int8", shared, causal, zeros)
    positions, count = sorted(rng.integers(1, 6, 2).tolist())
    lengths = (positions, 12), (count, 3 * (shared or 4)), (count, 3 * (shared or 4))
    arrays = [codes(rng, (2, *shape)) for shape in lengths]
    call = function.parameters(layer.scores.result)
    options = {"heads": 4, "key_value_heads": shared or 4, "causal": causal}
    options["probability_zero_point"] = function.trial(layer.scores.result, 8).zero_point
    for place, answer in enumerate(layer(*arrays).tolist()):
        operands = [(array[place].astype(int) - zero).tolist() for array, zero in zip(arrays, zeros, strict=True)]
        parts = of_oracle(layer.scores), lambda row: scheme_row(row, call), of_oracle(layer.output)
        assert answer == attention(*operands, *parts, **options)
    within(layer, *arrays)


@given(seeds, st.sampled_from(SOFTMAXES), st.sampled_from([None, 2]), st.booleans())
def test_attention_with_a_mask(seed, function, shared, causal):
    rng = np.random.default_rng(seed)
    layer = replace(attention_of(function, "int8", shared, causal, (5, -3, 7)), mask=Quantity("uint8", 1.0))
    positions, count = sorted(rng.integers(1, 6, 2).tolist())
    lengths = (positions, 12), (count, 3 * (shared or 4)), (count, 3 * (shared or 4))
    arrays = [codes(rng, (3, *shape)) for shape in lengths]
    mask = rng.integers(0, 3, (3, count), np.uint8)
    mask[0] = 0
    call = function.parameters(layer.scores.result)
    options = {"heads": 4, "key_value_heads": shared or 4, "causal": causal}
    options["probability_zero_point"] = function.trial(layer.scores.result, 8).zero_point
    for place, answer in enumerate(layer(*arrays, mask).tolist()):
        operands = [(array[place].astype(int) - zero).tolist() for array, zero in zip(arrays, (5, -3, 7), strict=True)]
        parts = of_oracle(layer.scores), lambda row: scheme_row(row, call), of_oracle(layer.output)
        assert answer == attention(*operands, *parts, **options, mask=mask[place].tolist())
    within(layer, *arrays, mask)


def test_attention_of_the_last_position_is_that_of_the_whole():
    rng = np.random.default_rng(4)
    layer = attention_of(SOFTMAXES[2], "int8", 2, causal=True)
    queries, keys, values = codes(rng, (7, 12)), codes(rng, (7, 6)), codes(rng, (7, 6))
    assert np.array_equal(layer(queries, keys, values)[-1:], layer(queries[-1:], keys, values))


@given(seeds, st.sampled_from(["int8", "int16"]))
def test_rotary(seed, format):
    rng = np.random.default_rng(seed)
    edge = Quantity(format, 0.1, 5 if format == "int8" else 0)
    layer = Rotary.from_tables(edge, rotary_tables(6, 4), "single_even", Quantity(format, 0.15))
    rows = codes(rng, (2, 5, 8), format)
    for place, answer in enumerate(layer(rows).tolist()):
        centred = (rows[place].astype(int) - edge.zero_point).tolist()
        assert answer == rotary(centred, layer.cosines.tolist(), layer.sines.tolist(), of_oracle(layer.output))
    within(layer, rows)


def test_rotary_keeps_products_of_positions_alike():
    # What the embedding is for: the product of a query and a key depends on the distance of their positions only.
    rng = np.random.default_rng(5)
    edge = Quantity("int16", 2.0**-12)
    layer = Rotary.from_tables(edge, rotary_tables(32, 8), "single_even", Quantity("int16", 2.0**-12))
    query, key = rng.integers(-8000, 8000, (2, 8), dtype=np.int16)
    rotated = [layer(np.tile(vector, (32, 1))).astype(float) for vector in (query, key)]
    products = [rotated[0][place] @ rotated[1][place + 3] for place in range(29)]
    assert np.ptp(products) / (8000 * 8000 * 8) < 1e-3
