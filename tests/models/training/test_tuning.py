"""What is tuned lowers a block's error, and is what the stored codes and scales are worth."""

import numpy as np
import pytest

from lowbit.errors import InputError, PolicyError
from lowbit.models import load
from lowbit.models.training.blocks import blocks_of
from lowbit.models.training.tuning import tune_low_rank, tune_scales
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.reconstruction import block_error

pytest.importorskip("autograd")
TOKENS = [np.arange(start, start + 24).reshape(2, 12) % 12 for start in range(3)]


@pytest.fixture(scope="module")
def part():
    blocks = blocks_of(load("addition_0"), TOKENS)
    return blocks.part(range(1), blocks.inputs, blocks.inputs)


def nearest(part, to):
    return {name: METHODS["round_to_nearest"].quantize(part.parameters[name], to=to).tensor for name in part.linears}


def error(block):
    return block_error(lambda own, hidden: block.forward(hidden), {}, block.part.inputs, block.part.targets)


@pytest.mark.parametrize("to", ["int3.channel.float32", "int3.channel.offset.float32"])
def test_scales_are_tuned_and_integers_stay(part, to):
    tensors = nearest(part, to)
    tuned = tune_scales(part, tensors, steps=15, seed=0, rate=1e-3)
    assert tuned.reconstruction.after < 0.95 * tuned.reconstruction.before
    assert error(tuned) == tuned.reconstruction.after
    for name, tensor in tuned.tensors.items():
        np.testing.assert_array_equal(tensor.codes, tensors[name].codes)
        np.testing.assert_array_equal(dequantize(tensor), tuned.parameters[name])
        assert set(tensor.scales) == set(tensors[name].scales)
        assert not np.array_equal(tensor.scales["block"], tensors[name].scales["block"])
    norm = "layers.0.input_layernorm.weight"
    assert not np.array_equal(tuned.parameters[norm], part.parameters[norm])


def test_weights_of_low_rank_are_fused_without_a_change_of_the_forward(part):
    options = {"steps": 15, "seed": 1, "rate": 5e-3}
    tuned = tune_low_rank(part, "int3.channel.asymmetric", **options)
    assert tuned.reconstruction.after < 0.95 * tuned.reconstruction.before
    assert error(tuned) == tuned.reconstruction.after
    for name, tensor in tuned.tensors.items():
        np.testing.assert_array_equal(dequantize(tensor), tuned.parameters[name])
    again = tune_low_rank(part, "int3.channel.asymmetric", **options)
    assert again.reconstruction.losses == tuned.reconstruction.losses
    official = tune_low_rank(part, "int3.channel.asymmetric", variant="official", **options)
    # its error while learning is not that of the codes
    assert error(official) == official.reconstruction.after
    assert official.reconstruction.before == tuned.reconstruction.before


def test_what_cannot_be_tuned_is_refused(part):
    name = part.linears[0]
    with pytest.raises(InputError, match="integers with a scale, and an offset or none, in float32 are tuned"):
        tune_scales(part, nearest(part, "int4.channel"), steps=1, seed=0)
    with pytest.raises(InputError, match=r"'other' is not there in layers\.0"):
        tune_scales(part, {"other": nearest(part, "int4.channel.float32")[name]}, steps=1, seed=0)
    with pytest.raises(PolicyError, match="variant"):
        tune_low_rank(part, "int4.channel", steps=1, seed=0, variant="none")
