"""AdaQuant: what it learns on is what it stores, bit for bit; what a bias is worth; one seed, one result."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.metrics import relative_squared_error
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers import METHODS
from lowbit.quantizers.inputs import weight_format
from lowbit.quantizers.learned.adaquant import mean_error
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.estimators import through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.integers import Integers
from lowbit.quantizers.learned.layer import Layer

pytest.importorskip("autograd")
FORMATS = ("int4.channel", "int3.g16.asymmetric", "uint4.g16.asymmetric.float32", "int8.tensor", "int4.g32.bfloat16")


@pytest.fixture(scope="module")
def layer():
    """Weights, and rows to learn from and others, correlated and not of mean 0."""
    random = np.random.default_rng(5)
    mixed = random.normal(size=(24, 64))
    rows = random.normal(size=(400, 24)) @ mixed + 0.5
    return random.normal(size=(32, 64)), rows[:300], rows[300:]


@pytest.mark.parametrize("to", FORMATS)
def test_what_is_learned_on_is_what_is_stored(layer, to):
    matrix = layer[0]
    integers = Integers.of(matrix, weight_format(to, 64, "test"), None, "test")
    np.testing.assert_array_equal(
        integers.tensor(integers.start).codes, METHODS["round_to_nearest"].quantize(matrix, to=to).tensor.codes
    )
    random, moved = np.random.default_rng(0), {}
    for name, start in integers.start.items():
        moved[name] = (start + random.normal(size=start.shape) * np.abs(start).mean() / 4).astype(np.float32)
    moved = integers.kept(moved)
    np.testing.assert_array_equal(integers.values(moved), dequantize(integers.tensor(moved)))


def test_weights_learn(layer):
    weights, rows, others = layer
    nearest = METHODS["round_to_nearest"].quantize(weights, to="int4.channel")
    result = METHODS["adaquant"].quantize(weights, rows, to="int4.channel")
    assert result.error(weights, others) < 0.7 * nearest.error(weights, others)
    assert result.report["after"] < 0.7 * result.report["before"]
    assert result.report["before"] == pytest.approx(nearest.error(weights, rows), rel=1e-5)
    again, other = (METHODS["adaquant"].quantize(weights, rows, to="int4.channel", seed=seed) for seed in (0, 1))
    assert (again.tensor.codes == result.tensor.codes).all()
    assert again.report["losses"] == result.report["losses"]
    assert other.report["seed"] == 1
    assert (other.tensor.codes != result.tensor.codes).any()


def test_with_integers_as_they_are_a_learned_bias_is_the_mean_error(layer):
    weights, rows, _ = layer
    integers = Integers.of(weights, weight_format("int3.channel", 64, "test"), None, "test")
    start = {**integers.start, "bias": np.zeros(32, np.float32)}
    settings = Settings(300, 0, {"bias": 0.1}, schedule="cosine")
    learned = Layer.of(weights, rows).learn(integers.values, start, settings, batch=300).learned
    values = np.asarray(integers.values(learned), np.float64)
    wanted = (rows @ (weights - values).T).mean(axis=0)
    np.testing.assert_allclose(learned["bias"], wanted, atol=1e-3 * np.abs(wanted).max())
    np.testing.assert_allclose(mean_error(weights, values, rows), wanted)
    result = METHODS["adaquant"].quantize(weights, rows, to="int3.channel", steps=0, bias="mean")
    np.testing.assert_allclose(result.report["bias"], wanted)


@pytest.mark.parametrize("options", [{"bias": "learned"}, {"relu": True}, {"bias": "learned", "relu": True}])
def test_a_bias_and_a_relu_count(layer, options):
    weights, rows, _ = layer
    result = METHODS["adaquant"].quantize(weights, rows, to="int2.channel", steps=60, **options)
    outputs = rows @ weights.T
    assert ("bias" in options) == bool(result.report["bias"].any())
    coded = rows @ result.dequantize(dtype=np.float64).T + result.report["bias"]
    if "relu" in options:
        outputs, coded = np.maximum(outputs, 0), np.maximum(coded, 0)
    assert result.report["after"] == pytest.approx(relative_squared_error(outputs, coded), rel=1e-4)
    assert result.report["after"] < 0.6 * result.report["before"]


def test_what_passes_through_a_rounding_has_its_slope():
    value, slope = differentiable().value_and_gradient(
        lambda own: (through(own["x"], lambda x: x.astype(np.float16).astype(np.float32)) * 3).sum()
    )({"x": np.float32([1 + 2**-11, 2])})
    assert value == 9
    assert slope["x"].tolist() == [3, 3]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"to": "nf4.g16"}, "adaquant learns integers with one scale"),
        ({"to": "int4.g16.by_sign"}, "adaquant learns integers with one scale"),
        ({"seed": None}, "seed = None"),
        ({"steps": -1}, "steps = -1"),
        ({"batch": 0}, "batch = 0"),
    ],
)
def test_what_cannot_be_learned_is_refused(layer, options, message):
    with pytest.raises(InputError, match=message) as refusal:
        METHODS["adaquant"].quantize(layer[0], layer[1], **options)
    assert refusal.value.hint


def test_a_scale_below_zero_begins_as_its_size():
    blocks = np.array([[4.0, 1.0] * 16, [-4.0, 1.0] * 16, [0.0] * 32])
    start = Integers.of(blocks, weight_format("ggml_q4_0", 32, "adaquant"), None, "adaquant").start
    assert start["range"].ravel().tolist() == [7.5, 7.5, 15.0]
