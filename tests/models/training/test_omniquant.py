"""Equivalent transformations change nothing, clips start where published, what is learned is what is stored."""

import numpy as np
import pytest

from lowbit.errors import InputError
from lowbit.format.registry import block_format_of
from lowbit.models import load
from lowbit.models.sentences import SentenceModel
from lowbit.models.training import equivalence
from lowbit.models.training.blocks import blocks_of
from lowbit.models.training.omniquant import Choices, learn_block, learn_blocks
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.learned.clips import LearnedClip
from lowbit.quantizers.learned.gradients import differentiable
from tests.models.tiny_bert import folder, tiny_parameters

pytest.importorskip("autograd")
TOKENS = [np.arange(start, start + 24).reshape(2, 12) % 12 for start in range(3)]


def first(blocks):
    return blocks.part(range(1), blocks.inputs, blocks.inputs)


@pytest.fixture
def bert(tmp_path):
    model = SentenceModel.read(folder(tmp_path, tiny_parameters()))
    return first(blocks_of(model, ["unable cafe!", "a"], np.float64))


def llama(dtype=np.float64, name="addition_0"):
    return first(blocks_of(load(name), TOKENS, dtype))


@pytest.mark.parametrize("name", ["bert", "addition_0", "character_llama"])
def test_transformations_are_exact_in_binary64(name, request):
    part = request.getfixturevalue("bert") if name == "bert" else llama(name=name)
    folds, random = equivalence.folds(part), np.random.default_rng(0)
    assert len(folds) == (2 if name == "bert" else 5)
    learned = {f"{fold.name}{equivalence.FACTOR}": random.uniform(0.3, 3, fold.count) for fold in folds}
    learned |= {f"{fold.name}{equivalence.SHIFT}": random.normal(size=fold.count) for fold in folds if fold.shifts}
    own = equivalence.transformed(part.parameters, learned, folds)
    moved = {name for name in part.linears if not np.array_equal(own[name], part.parameters[name])}
    still = {name for name in part.linears if name.endswith(("intermediate.dense.weight", ".0.output.dense.weight"))}
    assert moved == set(part.linears) - still
    for one, target in zip(part.inputs, part.targets, strict=True):
        np.testing.assert_allclose(part.forward(own, one), target, rtol=1e-11, atol=1e-11)


def test_factors_start_as_smoothquants_and_are_held_away_from_0():
    part = llama()
    folds, seen = equivalence.folds(part), equivalence.largest_inputs(part)
    start = equivalence.start(part, folds, seen)
    name = "layers.0.mlp.down_proj.weight"
    expected = np.sqrt(seen[name] / np.abs(part.parameters[name]).max(axis=0))
    np.testing.assert_allclose(start["layers.0.mlp.middle.factor"], expected, rtol=1e-12)
    assert (start["layers.0.self_attn.scores.factor"] == 1).all()
    held = equivalence.held({"a.factor": np.array([1e-3, -1e-3, 0.0, 0.5]), "lower": np.zeros(1)})
    np.testing.assert_array_equal(held["a.factor"], [0.01, -0.01, 0.01, 0.5])
    assert held["lower"] == 0


@pytest.mark.parametrize("more", [{}, {"transform": True, "activations": 6, "augmented": True}])
def test_a_block_is_learned_and_its_codes_are_what_it_computes(more):
    part = llama(np.float32)
    options = {"to": "int2.channel.asymmetric", "seed": 3, "clip_rate": 0.1, **more}
    learned = learn_block(part, Choices(steps=12, **options))
    assert learned.reconstruction.after < learned.reconstruction.before
    for name, tensor in learned.tensors.items():
        np.testing.assert_array_equal(dequantize(tensor), learned.parameters[name])
    again = learn_block(part, Choices(steps=12, **options))
    assert again.reconstruction.losses == learned.reconstruction.losses
    assert learned.reconstruction.seed == 3


def test_nothing_learned_is_a_clip_of_1_8_percent():
    part = llama(np.float32)
    learned = learn_block(part, Choices("int4.channel.asymmetric.float32", 0, 0))
    name = part.linears[0]
    weight = part.parameters[name].astype(np.float64)
    span = np.maximum(weight.max(axis=1), 0) - np.minimum(weight.min(axis=1), 0)
    share = learned.tensors[name].scales["block"][:, 0] * 15 / span
    np.testing.assert_allclose(share, 0.98201379, rtol=1e-6)


def test_clips_that_are_learned_too_fast_overflow_nowhere():
    clip = LearnedClip(block_format_of("int2.channel.asymmetric"))
    weights = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)
    learned = {"upper": np.float32([[[1e30]], [[-1e30]], [[4]]]), "lower": np.full((3, 1, 1), np.inf, np.float32)}
    _, slopes = differentiable().value_and_gradient(lambda own: clip.values(weights, own).sum())(learned)
    assert all(np.isfinite(slope).all() for slope in slopes.values())
    assert slopes["upper"][0] == 0 != slopes["upper"][2]
    whole = clip.grid(weights, dict.fromkeys(("upper", "lower"), np.full((3, 1, 1), np.inf, np.float32))).scale
    np.testing.assert_allclose(whole[:, 0, 0], np.ptp(weights, axis=1) / 3, rtol=1e-3)


def test_blocks_are_learned_from_the_quantised_prefix():
    blocks = blocks_of(load("addition_0"), TOKENS)
    first, second = learn_blocks(blocks, Choices("int3.channel.asymmetric", 2, 0))
    np.testing.assert_array_equal(second.part.inputs[0], first.forward(blocks.inputs[0]))
    np.testing.assert_array_equal(second.part.float_inputs[0], first.part.targets[0])


def test_formats_that_clips_are_not_learned_of_are_refused():
    part = llama(np.float32)
    with pytest.raises(InputError, match="clips are learned of integers"):
        learn_block(part, Choices("nf4.g32", 1, 0))
    with pytest.raises(InputError, match="no weight of these blocks has a format"):
        learn_block(part, Choices({"lm_head.weight": "int4.g32"}, 1, 0))
    with pytest.raises(InputError, match="seed = None is not a whole number from 0 on"):
        learn_block(part, Choices("int4.channel", 1, None))
