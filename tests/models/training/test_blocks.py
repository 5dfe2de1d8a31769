"""A walk through blocks is the model's own forward pass, whatever its inputs come from."""

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.models import load
from lowbit.models.sentences import SentenceModel
from lowbit.models.training.blocks import blocks_of
from lowbit.quantizers.learned.gradients import differentiable
from tests.models.tiny_bert import folder, tiny_parameters

pytest.importorskip("autograd")


@pytest.fixture
def bert(tmp_path):
    model = SentenceModel.read(folder(tmp_path, tiny_parameters()))
    return model, ["unable cafe!", "a"]


def halved(part):
    learned = {name: part.parameters[name] / 2 for name in part.linears}
    return lambda hidden: part.forward(learned, hidden)


def test_blocks_in_a_row_are_the_models_pass(bert):
    model, samples = bert
    blocks = blocks_of(model, samples, np.float64)
    parts = list(blocks.walk(halved, prefix="float"))
    assert [part.names for part in parts] == [["encoder.layer.0"], ["encoder.layer.1"]]
    assert {name for part in parts for name in part.linears} == set(model.linears)
    means = [last.mean(axis=0) for last in parts[-1].targets]
    vectors = [mean / np.linalg.norm(mean) for mean in means]
    np.testing.assert_allclose(np.stack(vectors), model.embed(samples), rtol=1e-12)
    np.testing.assert_array_equal(parts[1].inputs[0], parts[0].targets[0])
    (whole,) = blocks.walk(halved, length=2)
    np.testing.assert_array_equal(whole.targets[1], parts[1].targets[1])


def test_inputs_come_from_the_quantised_prefix(bert):
    model, samples = bert
    parts = list(blocks_of(model, samples, np.float64).walk(halved))
    half = model.with_weights({name: model.parameters[name] / 2 for name in parts[0].linears})
    # what goes into the second block is what the first makes with half its weights
    seen = half.inputs(samples[:1])["encoder.layer.1.attention.self.query.weight"]
    np.testing.assert_allclose(parts[1].inputs[0], seen, rtol=1e-12)
    np.testing.assert_array_equal(parts[1].float_inputs[0], parts[0].targets[0])
    assert not np.allclose(parts[1].augmented()[0], parts[1].targets[0])


def test_a_block_of_a_llama_is_differentiated_in_binary32():
    model, samples = load("addition_0"), [np.arange(12).reshape(2, 6) % 10]
    blocks = blocks_of(model, samples)
    norm = model.parameters["norm.weight"]
    parts = list(blocks.walk(halved, prefix="float"))
    last = parts[-1].targets[0]
    scaled = last / np.sqrt((last**2).mean(axis=-1, keepdims=True) + model.architecture.epsilon) * norm
    expected = model.architecture.hidden(model.parameters, samples[0])
    np.testing.assert_allclose(scaled, expected, rtol=1e-4, atol=1e-5)
    own = {name: parts[0].parameters[name] for name in parts[0].linears}
    _, slopes = differentiable().value_and_gradient(lambda own: parts[0].forward(own, parts[0].inputs[0]).sum())(own)
    assert {slope.dtype for slope in slopes.values()} == {np.dtype(np.float32)}
    assert all(np.abs(slope).max() > 0 for slope in slopes.values())


def test_bad_walks_are_refused(bert):
    model, samples = bert
    with pytest.raises(InputError, match="no samples"):
        blocks_of(model, [])
    with pytest.raises(InputError, match="ResNet does not have blocks"):
        blocks_of(load("mnist_resnet"), [])
    with pytest.raises(PolicyError, match="prefix"):
        list(blocks_of(model, samples).walk(halved, prefix="none"))
    with pytest.raises(InputError, match="length = 0 is not a whole number from 1 on"):
        blocks_of(model, samples).parts(0)
