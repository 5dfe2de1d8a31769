"""Integer models beside their float twins: layer by layer, and by what they answer; the models known by name."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models.conversion.layerwise import compare_layers, cosine, falls_off, measure
from lowbit.models.conversion.subject import Subject, subject_of
from lowbit.models.store import read_model, write_model


def two_layers(parameters):
    def forward(batch, apply):
        hidden = apply("linear", "first", lambda x: x @ parameters["first.weight"].T, batch)
        hidden = apply("relu", "relu", lambda x: np.maximum(x, 0), hidden)
        return apply("linear", "second", lambda x: x @ parameters["second.weight"].T, hidden)

    return forward


@pytest.fixture(scope="module")
def subject():
    generator = np.random.default_rng(3)
    parameters = {"first.weight": generator.standard_normal((8, 6)), "second.weight": generator.standard_normal((3, 8))}
    batches = [generator.standard_normal((50, 6))], [generator.standard_normal((40, 6))]
    labels = two_layers(parameters)(batches[1][0], lambda kind, name, function, *inputs: function(*inputs)).argmax(-1)
    return Subject("two layers", "hawq_v3", two_layers, parameters, *batches, labels, ("a", "b", "c"))


def test_layers_are_near_their_twins_and_a_wrong_one_falls_off(subject, tmp_path):
    converted = subject.convert()
    layers = compare_layers(subject, converted.model, subject.held_out[0])
    assert [layer.layer for layer in layers] == ["first", "second"]
    assert [layer.format for layer in layers] == ["uint8", "int16"]
    assert all(0.999 < layer.cosine <= 1 for layer in layers)
    assert falls_off(layers) is None
    first = converted.model.nodes["first"].layer
    expected = np.maximum(subject.held_out[0] @ subject.parameters["first.weight"].T, 0)
    codes = first(subject.codes(converted.model, subject.held_out[0]))
    assert layers[0].largest == np.abs(codes * first.result.scale - expected).max()
    write_model(tmp_path / "m.safetensors", converted.model)
    wrong = read_model(tmp_path / "m.safetensors")
    wrong.nodes["second"].layer.weight[:] = -wrong.nodes["second"].layer.weight
    assert falls_off(compare_layers(subject, wrong, subject.held_out[0])).layer == "second"


def test_outcomes_are_those_of_the_outputs(subject):
    model = subject.convert().model
    outcome = measure(subject, model)
    values = subject.values(model, subject.held_out[0])
    assert outcome.items == 40
    assert outcome.float_accuracy == 1
    assert outcome.accuracy == outcome.agreement == (values.argmax(-1) == subject.labels).mean() > 0.9
    assert 0 < outcome.divergence < 0.01
    assert outcome.cosine > 0.999
    assert cosine(np.zeros(3), np.zeros(3)) == 1
    assert cosine(np.ones(3), np.zeros(3)) == 0


def test_models_that_are_not_known_are_told():
    with pytest.raises(InputError, match="there is no model 'mnist_bert'"):
        subject_of("mnist_bert")
    with pytest.raises(InputError, match="minilm is calibrated with sentences"):
        subject_of("minilm")
