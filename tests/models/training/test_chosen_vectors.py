"""VQ4DiT on a diffusion transformer of random weights: no data, the same bits again, and what is refused."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.models import load
from lowbit.models.diffusion.dit import Dit
from lowbit.models.stored import StoredModel
from lowbit.models.training.vq4dit import block_states, choose, noise_error, trajectory
from lowbit.quantizers.learned.vq4dit import PERIOD, Candidates

pytest.importorskip("autograd")
SHAPE = {"layers": 2, "heads": 2, "patch": 4}
TO = "table5.vector4"


@pytest.fixture(scope="module")
def model():
    random = np.random.default_rng(7)
    shapes = Dit(**SHAPE).shapes(16, 16, 4, 4)
    parameters = {name: (random.normal(size=shape) * 0.4).astype(np.float32) for name, shape in shapes.items()}
    return StoredModel(Dit(**SHAPE), parameters, {})


def test_choices_follow_the_outputs_of_blocks(model):
    choice = choose(model, seed=0, to=TO, steps=30, learned=("ratio",))
    assert np.mean(choice.losses[-5:]) < 0.8 * np.mean(choice.losses[:5])
    own = {name: one.dequantize() for name, one in choice.nearest.items()}
    assert 0 < noise_error(model, own, 0, 1) < 0.1
    assert noise_error(model, {}, 0, 1) == 0
    assert set(choice.chosen) == set(model.architecture.linears())
    for name, one in choice.chosen.items():
        places = Candidates.of(choice.nearest[name])[0].places
        assert (one.tensor.codes.reshape(-1, 1) == places).any(axis=1).all()
    for name, bias in choice.biases.items():
        np.testing.assert_array_equal(bias, model.parameters[name])
    assert (len(choice.losses), choice.seed) == (30, 0)


def test_an_interrupted_choice_goes_on_to_the_same_bits(model, tmp_path):
    whole = choose(model, seed=1, to=TO, steps=8)

    def stops(done, steps, loss):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        choose(model, seed=1, to=TO, steps=8, file=tmp_path / "run.npz", every=2, progress=stops)
    again = choose(model, seed=1, to=TO, steps=8, file=tmp_path / "run.npz", every=2)
    assert again.losses == whole.losses
    for name, one in whole.chosen.items():
        np.testing.assert_array_equal(one.tensor.codes, again.chosen[name].tensor.codes)
    for name, bias in whole.biases.items():
        np.testing.assert_array_equal(bias, again.biases[name])
    assert any((bias != model.parameters[name]).any() for name, bias in whole.biases.items())


def test_points_are_those_of_the_float_model(model):
    points = trajectory(model, 3, 0)
    assert [len(points), points[0].time, points[-1].time] == [PERIOD, 999, 0]
    assert len(set(points[0].guided.labels.tolist())) == 3  # of three classes
    states = block_states(points[7].guided, points[7])
    assert len(states) == SHAPE["layers"]
    for one, other in zip(states, points[7].states, strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(points[0].images, trajectory(model, 3, -1)[0].images)


def test_other_models_are_refused():
    with pytest.raises(InputError, match="a Vit does not make images of noise"):
        choose(load("mnist_vit"), seed=0)
