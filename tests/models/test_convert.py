"""From float models to integer ones: small models of every kind of operation, run beside their float twins."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.models.bert import Bert
from lowbit.models.conversion.calibration import RULES, Values, calibrate, dequantized, quantity_of, quantized
from lowbit.models.conversion.convert import convert
from lowbit.models.conversion.preset import conversion_presets, get_conversion_preset
from lowbit.models.hook import plainly
from lowbit.models.inputs import with_padding
from lowbit.models.llama import Llama
from lowbit.models.resnet import ResNet
from lowbit.models.store import read_model, write_model
from lowbit.models.vit import Vit
from tests.models.tiny_bert import HEADS, LAYERS, tiny_parameters
from tests.proof.test_model import nothing_floats


def parameters_of(shapes, generator):
    """Random weights; gains and variances about 1."""
    arrays = {}
    for name, shape in shapes.items():
        if "norm" in name.lower() and name.endswith(("weight", "running_var")):
            arrays[name] = generator.uniform(0.5, 1.5, shape)
        else:
            arrays[name] = generator.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return arrays


def bert(generator):
    shape = Bert(LAYERS, HEADS)
    batches = [generator.integers(0, 10, 7, np.int32) for _ in range(4)]
    parameters = {
        name: 0.5 + np.abs(array) if name.endswith("LayerNorm.weight") else array
        for name, array in tiny_parameters().items()
    }
    return lambda p: lambda batch, apply: shape.hidden(p, batch, apply=apply), parameters, batches


def vit(generator):
    shape = Vit(2, 2, 4)
    parameters = parameters_of(shape.shapes(8, 16, 32, 5), generator)
    batches = [generator.random((6, 8, 8))]
    return lambda p: lambda batch, apply: shape.logits(p, batch, apply), parameters, batches


def resnet(generator):
    shape = ResNet((1, 1, 2))
    parameters = parameters_of(shape.shapes((8, 8, 16), 5), generator)
    batches = [generator.random((6, 12, 12))]
    return lambda p: lambda batch, apply: shape.logits(p, batch, apply), parameters, batches


def llama(generator):
    shape = Llama(2, 4)
    parameters = parameters_of(shape.shapes(20, 32, 48, 2, tied=False), generator)
    batches = [generator.integers(0, 20, (3, 9), np.int32)]
    return lambda p: lambda batch, apply: shape.logits(p, batch, apply), parameters, batches


MODELS = {"ibert": bert, "ivit": vit, "hawq_v3": resnet, "mobilequant_w8a8": llama, "mobilequant_w4a8": llama}
LEAST = {"ibert": 0.99, "ivit": 0.9, "hawq_v3": 0.9999, "mobilequant_w8a8": 0.999, "mobilequant_w4a8": 0.999}
"""The least cosine of the integer model's outputs and its twin's, by the preset: ShiftGELU is far from a GELU."""


@cache
def converted(preset):
    forward, parameters, batches = MODELS[preset](np.random.default_rng(8))
    return convert(forward, parameters, batches, preset), batches[0], forward(parameters)


def codes_of(model, forward, batch):
    """What goes into an integer model: what the float forward's first operation takes."""
    seen = []

    def apply(kind, name, function, *inputs):
        if kind != "reshape":
            seen.append(inputs[0])
        return function(*inputs)

    forward(batch, apply)
    (name,) = model.inputs
    return seen[0] if seen[0].dtype.kind in "iu" else quantized(seen[0], model.inputs[name])


def test_every_preset_has_a_model_here():
    assert set(conversion_presets()) == set(MODELS)


@pytest.mark.parametrize("preset", MODELS)
def test_an_integer_model_follows_its_twin(preset, tmp_path):
    result, batch, forward = converted(preset)
    codes = codes_of(result.model, forward, batch)
    kinds = set()
    outputs = result.model.run(codes, lambda name, step: kinds.add(step.codes.dtype.kind))
    assert kinds <= {"i", "u"}
    (name,) = result.model.outputs
    values, twin = dequantized(outputs, result.model.quantity(name)), result.twin(batch)
    cosine = (values * twin).sum() / np.linalg.norm(values) / np.linalg.norm(twin)
    assert cosine >= LEAST[preset], cosine
    write_model(tmp_path / "model.safetensors", result.model)
    np.testing.assert_array_equal(read_model(tmp_path / "model.safetensors").run(codes), outputs)


def test_a_batch_norm_and_a_relu_are_in_the_layer_before():
    model = converted("hawq_v3")[0].model
    assert "stem.relu" not in model.nodes
    assert "blocks.0.first.norm" not in model.nodes
    assert model.facts["twins"]["stem.conv"] == "stem.relu"
    assert model.facts["twins"]["blocks.0.add"] == "blocks.0.relu"
    assert model.nodes["blocks.1.add"].inputs == ("blocks.1.second.conv", "blocks.1.downsample.conv")
    assert model.nodes["stem.conv"].layer.output.minimum == model.nodes["stem.conv"].layer.result.zero_point


def test_what_smooths_is_in_a_norm_that_linear_layers_alone_take():
    bert, llama = converted("ibert")[0].model, converted("mobilequant_w8a8")[0].model
    name = "encoder.layer.0.output.LayerNorm"  # a residual sum takes it, too
    assert bert.nodes["encoder.layer.1.attention.self.query"].inputs == (f"{name}.smooth",)
    assert bert.nodes[name].layer.result.format == "int16"
    assert len(bert.nodes[f"{name}.smooth"].layer.rescale.multiplier) == 8
    norm = llama.nodes["layers.0.self_attn.q_proj"].inputs
    assert norm == ("layers.0.input_layernorm",)
    assert llama.nodes[norm[0]].layer.result.format == "int8"
    assert set(llama.facts["smooth"]) >= set(norm)


def test_batch_norms_have_the_statistics_of_quantised_convolutions():
    forward, parameters, _ = MODELS["hawq_v3"](np.random.default_rng(8))
    parameters["blocks.1.downsample.norm.weight"] *= -1
    batches = [np.random.default_rng(seed).random((6, 12, 12)) for seed in range(3)]
    plan = {name: "int4.channel" for name in parameters if name.endswith("conv.weight")}
    own = get_conversion_preset("hawq_v3")
    shifted = {}
    for statistics in (False, True):
        preset = replace(own, statistics=statistics)
        result = convert(forward, parameters, batches, preset, weights=plan)
        assert result.model.nodes["stem.conv"].layer.weight_format == "int4"
        wanted, got = (norm_statistics(run, np.concatenate(batches)) for run in (forward(parameters), result.forward))
        assert len(wanted) == 6
        shifted[statistics] = max(np.abs(got[name] - wanted[name]).max() for name in wanted)
    assert shifted[False] > 0.1
    assert shifted[True] < 2e-3  # biases are rounded to units of the accumulator
    with pytest.raises(InputError, match=r"items of different shapes: \(12, 12\) and \(13, 12\)"):
        convert(forward, parameters, [*batches, np.ones((2, 13, 12))], own)


def norm_statistics(forward, batch):
    """Mean and deviation of each channel of the results of the batch norms."""
    seen = {}

    def see(kind, name, function, *inputs):
        result = function(*inputs)
        if kind == "batchnorm":
            seen[name] = np.stack([result.mean(axis=(0, 1, 2)), result.std(axis=(0, 1, 2))])
        return result

    forward(batch, see)
    return seen


def test_biases_make_up_for_what_shifts_means():
    forward, parameters, batches = MODELS["ivit"](np.random.default_rng(8))
    batches = np.array_split(batches[0], 2)
    wanted = calibrate(forward(parameters), batches).values
    shifts = {}
    for corrected in (False, True):
        preset = replace(get_conversion_preset("ivit"), bias_correction=corrected)
        result = convert(forward, parameters, batches, preset)
        codes, sums = codes_of(result.model, forward(parameters), np.concatenate(batches)), {}
        result.model.run(codes, lambda name, step, sums=sums: sums.update({name: step.codes}))
        linears = [name for name, node in result.model.nodes.items() if node.layer.operation == "linear"]
        assert len(linears) == 14
        means = {name: dequantized(sums[name], result.model.quantity(name)).mean(axis=(0, 1)) for name in linears[:-1]}
        shifts[corrected] = max(np.abs(mean - wanted[name].mean).max() for name, mean in means.items())
    assert shifts[True] < 0.1 * shifts[False]


def test_scales_of_weights_are_those_of_the_range():
    forward, parameters, batches = MODELS["hawq_v3"](np.random.default_rng(8))
    name, errors = "blocks.1.second.conv", {}
    for weight_range in ("range", "mse"):
        preset = replace(get_conversion_preset("hawq_v3"), weight_range=weight_range, statistics=False)
        result = convert(forward, parameters, batches, preset, weights={f"{name}.weight": "int4.channel"})
        norm = [parameters[f"blocks.1.second.norm.{part}"] for part in ("weight", "running_var")]
        exact = parameters[f"{name}.weight"] * (norm[0] / np.sqrt(norm[1] + 1e-5))[:, None, None, None]
        worth = result.model.nodes[name].layer
        rows = [array.reshape(len(exact), -1) for array in (exact, worth.weight)]
        scales = (rows[0] * rows[1]).sum(axis=1) / np.square(rows[1]).sum(axis=1)
        errors[weight_range] = np.square(rows[0] - rows[1] * scales[:, None]).sum()
    assert errors["mse"] < 0.9 * errors["range"]


def test_ranges_are_those_of_the_rule():
    values = Values.of(np.array([*np.linspace(-1, 1, 2000), 3.0]))
    wide, _, narrow = (values.range("x", rule, "int4", symmetric=True).scale * 7 for rule in RULES)
    assert wide == 3
    assert narrow < 3
    one = quantity_of(-1.0, 3.0, "uint8", symmetric=False)
    assert (one.scale, one.zero_point) == (4 / 255, 64)
    assert dequantized(quantized(np.array([-9.0, 0.0, 9.0]), one), one).tolist() == [-64 * 4 / 255, 0, 191 * 4 / 255]
    assert quantity_of(0.0, 2.55, "uint8", symmetric=True).zero_point == 0


def two_layers(parameters):
    def forward(batch, apply):
        hidden = apply("linear", "first", lambda x: x @ parameters["first.weight"].T + parameters["first.bias"], batch)
        return apply("linear", "second", lambda x: x @ parameters["second.weight"].T, hidden)

    return forward


def arrays(**changes):
    generator = np.random.default_rng(3)
    own = {"first.weight": generator.standard_normal((4, 6)), "first.bias": np.ones(4)}
    return {**own, "second.weight": generator.standard_normal((3, 4)), **changes}


@pytest.mark.parametrize(
    ("changes", "batches", "message"),
    [
        ({}, [], "there is no data for the calibration"),
        ({}, [np.full((2, 6), np.nan)], "layer 'input': its range is NaN or infinite"),
        ({"second.weight": np.zeros((3, 4))}, [np.ones((2, 6))], "layer 'second': its range is empty: all"),
        ({"first.bias": np.full(4, 1e7)}, [np.ones((2, 6))], "layer 'first': the bias of output"),
    ],
)
def test_what_cannot_be_converted_names_the_layer(changes, batches, message):
    with pytest.raises(InputError, match=message):
        convert(two_layers, arrays(**changes), batches, "hawq_v3")


def test_formats_of_single_weights_are_a_plan():
    plan = {"second.weight": "int4.channel"}
    result = convert(two_layers, arrays(), [np.ones((2, 6))], "hawq_v3", weights=plan)
    layers = result.model.nodes
    assert (layers["first"].layer.weight_format, layers["second"].layer.weight_format) == ("int8", "int4")
    assert np.abs(layers["second"].layer.weight).max() <= 8
    with pytest.raises(InputError, match=r"layer 'second': weights in int4\.g2 do not have one scale an output"):
        convert(two_layers, arrays(), [np.ones((2, 6))], "hawq_v3", weights={"second.weight": "int4.g2"})
    with pytest.raises(InputError, match=r"weights has a format for 'third\.weight', which is not a parameter"):
        convert(two_layers, arrays(), [np.ones((2, 6))], "hawq_v3", weights={"third.weight": "int4.channel"})


def test_unknown_names_are_told():
    def strange(parameters):
        return lambda batch, apply: apply("fourier", "first", lambda x: x, batch)

    with pytest.raises(InputError, match="layer 'first': operations of the kind 'fourier' have no integer layer"):
        convert(strange, {}, [np.ones((2, 6))], "hawq_v3")
    with pytest.raises(PolicyError, match="unknown conversion 'hawk'"):
        convert(two_layers, arrays(), [np.ones((2, 6))], "hawk")
    narrow = replace(get_conversion_preset("hawq_v3"), edges={"input": "int8"})
    with pytest.raises(PolicyError, match="layer 'first': preset 'hawq_v3' has no format for results of linear"):
        convert(two_layers, arrays(), [np.ones((2, 6))], narrow)


def test_a_forward_that_changes_is_refused():
    def changing(batch, apply):
        return apply("linear" if len(batch) == 2 else "relu", "first", lambda x: x, batch)

    with pytest.raises(InputError, match="layer 'first' is there twice"):
        calibrate(changing, [np.ones((2, 6)), np.ones((3, 6))])
    assert plainly("linear", "first", lambda x: x + 1, 2) == 3


def test_a_padded_batch_is_its_sequences_one_by_one():
    model = with_padding(converted("ibert")[0].model)
    generator = np.random.default_rng(3)
    sequences = [generator.integers(0, 10, length, np.int32) for length in (7, 3, 1, 5)]
    tokens, mask = np.zeros((4, 7), np.int32), np.zeros((4, 7), np.uint8)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)], mask[row, : len(sequence)] = sequence, 1
    results = model.run({"input": tokens, "mask": mask})
    for row, sequence in enumerate(sequences):
        alone = converted("ibert")[0].model.run(sequence)
        assert np.array_equal(results[row, : len(sequence)], alone)
    assert not np.array_equal(results, converted("ibert")[0].model.run(tokens))
    with pytest.raises(InputError, match=r"mask has shape \(4, 6\), not \(4, 7\)"):
        model.run({"input": tokens, "mask": mask[:, :6]})
    with pytest.raises(InputError, match="has an attention with a mask already"):
        with_padding(model)
    with pytest.raises(InputError, match="the model has no attention"):
        with_padding(converted("hawq_v3")[0].model)


def test_a_conversion_is_refused_where_a_layer_can_overflow():
    forward, parameters, batches = MODELS["hawq_v3"](np.random.default_rng(8))
    assert convert(forward, parameters, batches, "hawq_v3", prove=True).model.outputs
    forward, parameters, batches = MODELS["ibert"](np.random.default_rng(8))
    own = get_conversion_preset("ibert")
    wide = replace(own, edges={**own.edges, "add": "int16"})
    with pytest.raises(
        InputError, match=r"layer 'embeddings.LayerNorm': sum of squares can be [\d,]+, and has 32 bits"
    ):
        convert(forward, parameters, batches, wide, prove=True)


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["hawq_v3", "ivit", "ibert", "mobilequant_w8a8"])
def test_nothing_floats_in_a_converted_model(preset, tmp_path):
    result, batch, forward = converted(preset)
    _, found = nothing_floats(result.model, codes_of(result.model, forward, batch), tmp_path)
    assert len(found["kernels"]) > 3
    assert (found["arrays"], {name: lines for name, lines in found["kernels"].items() if lines}) == ([], {})
