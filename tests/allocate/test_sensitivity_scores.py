"""Scores of single layers, against their definitions worked out another way."""

from fractions import Fraction

import numpy as np
import pytest

import lowbit
from lowbit.allocate.sensitivity import (
    attention_traces,
    hessian_trace_loss,
    hutchinson_trace,
    layer_input_modification,
    loss_change,
    measure,
    output_error,
    relative_output_error,
    relative_squared_error,
    second_moment,
    signal_to_quantization_noise,
    squared_error,
    z_score_distribution,
)
from lowbit.allocate.sensitivity import stored_weights as storage
from lowbit.allocate.sensitivity.stored_weights import stored_format, stored_weights
from lowbit.entropy import rans_encode
from lowbit.errors import InputError


def whole(weights, fmt):
    """What all weights become."""
    return np.concatenate(
        [lowbit.dequantize(tensor, dtype=np.float64) for _, tensor in stored_weights(weights, fmt)]
    ).reshape(weights.shape)


def nearest_by_search(weight, scale, fmt):
    """The value of a format nearest to weight / scale, in exact arithmetic, by looking at all of them."""
    codes = (
        np.arange(fmt.min_code, fmt.max_code + 1) if isinstance(fmt, lowbit.FixedFormat) else np.arange(1 << fmt.bits)
    )
    values = lowbit.decode(codes.astype(fmt.code_dtype), fmt, dtype=np.float64)
    wanted = Fraction(float(weight)) / Fraction(float(scale))
    return min(abs(Fraction(float(value)) - wanted) for value in values if np.isfinite(value)) * Fraction(float(scale))


@pytest.mark.parametrize("name", ["int2", "int4", "float4_e2m1fn", "float6_e3m2fn", "float8_e4m3fn", "int4_narrow"])
@pytest.mark.parametrize("group", [0, 4])
def test_every_weight_takes_the_nearest_value(name, group):
    weights = np.random.default_rng(3).normal(size=(3, 10)).astype(np.float32)
    fmt = stored_format(name, group)
    values = whole(weights, fmt)
    scales = lowbit.quantize(weights, fmt).scales["block"].astype(np.float64)
    for index in np.ndindex(weights.shape):
        error = abs(Fraction(float(weights[index])) - Fraction(float(values[index])))
        scale = scales[index[0], index[1] // group if group else 0]
        assert error == nearest_by_search(weights[index], scale, fmt.element)


@pytest.mark.parametrize(
    ("name", "shape", "bits"),
    [
        ("int4", (3, 10), 3 * (10 * 4 + 3 * 16)),
        ("int4", (7,), 7 * 4 + 2 * 16),
        ("int4", (2, 3, 5), 2 * (60 + 64)),
        ("int4.g5.asymmetric", (3, 10), 3 * 2 * (5 * 4 + 16 + 4)),
        ("mxfp4", (3, 40), 3 * (40 * 4 + 2 * 8)),
        ("nvfp4", (3, 40), 3 * (40 * 4 + 3 * 8) + 32),
    ],
)
def test_the_bits_of_scales_are_counted(name, shape, bits):
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    assert measure(weights, stored_format(name, 4)).bits == bits


@pytest.mark.parametrize(
    "name",
    ["mxfp4", "nvfp4", "nvfp4_16x16", "mxint8", "float4_e2m1fn.g32.by_sign", "int4.g32.asymmetric", "nf4.g64.float32"],
)
def test_a_choice_may_be_any_block_format(name, monkeypatch):
    """Pieces or not, the errors are those of lowbit.quantize."""
    weights = np.random.default_rng(4).normal(size=(48, 64)).astype(np.float32)
    tensor = lowbit.quantize(weights, name)
    stored = lowbit.dequantize(tensor, dtype=np.float64)
    monkeypatch.setattr(storage, "CHUNK", 64 * 7)
    errors = measure(weights, name)
    assert errors.squared == pytest.approx(squared_error(weights, stored), rel=1e-12)
    assert errors.bits == tensor.format.bits_of(weights.shape)


@pytest.mark.parametrize("name", ["uint4", "float8_e8m0fnu", "int1"])
def test_formats_that_hold_no_weights_are_refused(name):
    with pytest.raises(InputError, match="cannot hold weights"):
        stored_format(name)


def test_weights_that_are_not_finite_are_refused_with_their_place(monkeypatch):
    weights = np.zeros((3, 10))
    weights[1, 6] = np.nan
    monkeypatch.setattr(storage, "CHUNK", 10)
    for name in ("int4", "mxfp4", "nvfp4"):
        with pytest.raises(InputError, match="row 1, column 6"):
            measure(weights, name)
    with pytest.raises(InputError, match="scale 'block'"):
        measure(np.full((1, 4), 1e9), "int4")


def test_measuring_in_pieces_equals_the_whole(monkeypatch):
    generator = np.random.default_rng(5)
    weights, inputs = generator.normal(size=(40, 24)), generator.normal(size=(60, 24))
    moment = second_moment(inputs)
    quantized = whole(weights, stored_format("int3", 4))
    monkeypatch.setattr(storage, "CHUNK", 24 * 7)
    errors = measure(weights, "int3.g4", moment)
    assert errors.squared == pytest.approx(squared_error(weights, quantized), rel=1e-12)
    assert errors.loss("relative_error") == pytest.approx(relative_squared_error(weights, quantized), rel=1e-12)
    assert errors.loss("output_error") == pytest.approx(relative_output_error(weights, quantized, moment), rel=1e-12)
    assert errors.loss("hessian", 0.5) == pytest.approx(hessian_trace_loss(weights, quantized, 0.5), rel=1e-12)
    assert errors.output == pytest.approx(np.sum((inputs @ (weights - quantized).T) ** 2), rel=1e-9)
    assert errors.bits == 40 * (24 * 3 + 6 * 16)


@pytest.mark.parametrize("exponent", [-380, -600, -1000, -1040])
def test_weights_whose_squares_underflow_are_measured_all_the_same(exponent):
    weights = np.ldexp(np.random.default_rng(5).integers(1, 100, size=(4, 8)).astype(np.float64), exponent)
    moment = second_moment(np.random.default_rng(6).normal(size=(9, 8)))
    for name in ("int2", "int8"):
        errors = measure(weights, f"{name}.g4", moment)  # below the smallest scale: every weight becomes 0
        assert errors.loss("relative_error") == 1
        assert errors.loss("output_error") == 1
        assert errors.loss("squared_error") == np.sum(weights**2) == errors.in_units_of(0).squared
    assert relative_squared_error(weights, weights / 2) == 0.25
    assert relative_output_error(weights, weights / 2, moment) == pytest.approx(0.25, rel=1e-12)
    assert relative_squared_error(weights, weights) == 0


def test_output_error_of_white_inputs_is_the_weight_error():
    generator = np.random.default_rng(6)
    weights = generator.normal(size=(5, 8))
    quantized = weights + generator.normal(size=(5, 8))
    assert output_error(weights, quantized, np.eye(8)) == pytest.approx(squared_error(weights, quantized))


def test_signal_to_noise_in_decibels():
    weights = np.array([3.0, 4.0])
    assert signal_to_quantization_noise(weights, weights + np.array([0.5, 0])) == pytest.approx(20.0)
    assert signal_to_quantization_noise(weights, weights) == np.inf


def test_hutchinson_is_exact_for_a_diagonal_matrix_and_close_for_others():
    diagonal = np.arange(1.0, 101.0)
    assert hutchinson_trace(lambda v: diagonal * v, 100, samples=1).trace == diagonal.sum()
    half = np.random.default_rng(1).normal(size=(100, 100))
    matrix = half @ half.T
    estimate = hutchinson_trace(lambda v: matrix @ v, 100, samples=400, seed=2)
    assert abs(estimate.trace - np.trace(matrix)) < 4 * estimate.standard_error
    assert estimate.average(100) == estimate.trace / 100
    stopped = hutchinson_trace(lambda v: matrix @ v, 100, samples=400, relative_tolerance=0.05)
    assert 1 < stopped.samples < 400
    again = hutchinson_trace(lambda v: matrix @ v, 100, samples=400, seed=2)
    assert again == estimate


def test_hutchinson_refuses_products_of_another_shape():
    with pytest.raises(InputError, match=r"shape \(3,\)"):
        hutchinson_trace(lambda v: v[:3], 4)
    with pytest.raises(InputError, match="not finite"):
        hutchinson_trace(lambda v: v * np.nan, 4)


@pytest.mark.parametrize("causal", [False, True])
def test_attention_traces_are_the_squared_derivatives(causal):
    generator = np.random.default_rng(0)
    tokens, width, heads, depth = 5, 6, 2, 3
    inputs = generator.normal(size=(tokens, width))
    matrices = [generator.normal(size=(heads * depth, width)) for _ in range(3)]
    matrices.append(generator.normal(size=(width, heads * depth)))

    def block(matrices):
        query, key, value = (inputs @ matrix.T for matrix in matrices[:3])
        mixed = []
        for head in range(heads):
            part = slice(head * depth, (head + 1) * depth)
            scores = query[:, part] @ key[:, part].T / np.sqrt(depth)
            if causal:
                scores[np.triu_indices(tokens, 1)] = -np.inf
            shares = np.exp(scores - scores.max(1, keepdims=True))
            mixed.append(shares / shares.sum(1, keepdims=True) @ value[:, part])
        return np.concatenate(mixed, axis=1) @ matrices[3].T

    traces = attention_traces(inputs, *matrices, heads=heads, causal=causal)
    step = 1e-5
    for which, name in enumerate(("query", "key", "value", "output")):
        total = 0.0
        for index in np.ndindex(matrices[which].shape):
            above, below = ([matrix.copy() for matrix in matrices] for _ in range(2))
            above[which][index] += step
            below[which][index] -= step
            total += np.sum(((block(above) - block(below)) / (2 * step)) ** 2)
        assert getattr(traces, name) == pytest.approx(2 * total, rel=1e-7)
    twice = attention_traces(np.stack([inputs, inputs]), *matrices, heads=heads, causal=causal)
    assert twice.query == pytest.approx(2 * traces.query)
    assert traces.averages(36)["key"] == traces.key / 36


def test_attention_shapes_that_do_not_fit_are_named():
    with pytest.raises(InputError, match="key has shape"):
        attention_traces(
            np.zeros((3, 4)), np.zeros((4, 4)), np.zeros((4, 3)), np.zeros((4, 4)), np.zeros((4, 4)), heads=2
        )
    with pytest.raises(InputError, match="heads = 3"):
        attention_traces(np.zeros((3, 4)), *[np.zeros((4, 4))] * 4, heads=3)


def test_layerwise_scores():
    hidden = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert layer_input_modification(hidden, hidden * 5) == pytest.approx(-1.0)
    assert layer_input_modification(hidden, hidden[::-1]) == pytest.approx(0.0)
    with pytest.raises(InputError, match="zero"):
        layer_input_modification(hidden * 0, hidden)
    weights = np.random.default_rng(2).normal(size=200_000)
    assert z_score_distribution(weights) == pytest.approx(0.1587, abs=2e-3)
    assert z_score_distribution(3 * weights + 7) == z_score_distribution(weights)
    assert z_score_distribution(np.ones(4)) == 0.0


def test_loss_changes_have_a_floor():
    assert loss_change(2.5, 2.0) == 0.5
    assert loss_change(1.5, 2.0) == 1e-6
    with pytest.raises(InputError, match="baseline"):
        loss_change(1.0, float("nan"))


def test_coded_bits_are_those_of_a_stream_of_all_codes():
    weights = np.random.default_rng(5).standard_t(3, size=(16, 320)).astype(np.float32)
    for name in ("int8.tensor", "int4.g128", "mxfp4", "pyramid8_2.g32"):
        fmt = stored_format(name)
        errors = measure(weights, name)
        codes = np.concatenate([tensor.codes for _, tensor in stored_weights(weights, fmt)])
        scales = errors.bits - codes.size * fmt.element.bits
        coded = scales + 8 * len(rans_encode(codes))
        assert errors.entropy_bits == min(errors.bits, coded)
    assert measure(weights, "int8.tensor").entropy_bits < measure(weights, "int8.channel").entropy_bits
    assert measure(weights[:1, :9], "int8.tensor").entropy_bits == 9 * 8 + 16  # a stream would be longer


@pytest.mark.parametrize("fmt", ["ggml_q4_k", "ggml_q4_0"])
def test_rows_that_are_not_whole_blocks_of_ggml_are_refused(fmt):
    with pytest.raises(lowbit.InputError, match=f"{fmt} has blocks of .* do not divide a row of 300") as error:
        list(stored_weights(np.ones((2, 300), np.float32), stored_format(fmt)))
    assert "--exclude" in error.value.hint
