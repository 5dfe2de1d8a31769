"""Adapters of all layers of a model, trained by its loss: every part has its name, and merging changes nothing."""

import numpy as np
import pytest

from lowbit.format.registry import block_format_of
from lowbit.models.llama import Llama
from lowbit.models.training.adapters import kept, own, replaced, start
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.methods.intlora import frozen_layer as multiplied
from lowbit.quantizers.methods.lr_qat import frozen_layer as rounded

pytest.importorskip("autograd")


@pytest.fixture(scope="module")
def parameters():
    """Of a Llama with one block."""
    random = np.random.default_rng(0)
    shapes = Llama(1, 2).shapes(11, 8, 16, 1, tied=True)
    return {name: random.normal(size=shape).astype(np.float32) / 2 for name, shape in shapes.items()}


@pytest.mark.parametrize("kind", ["lr_qat", "intlora"])
def test_adapters_of_a_model_learn_and_merge_bit_for_bit(parameters, kind):
    names = [name for name in parameters if "proj" in name]
    matrices = {name: parameters[name].astype(np.float64) for name in names}
    if kind == "lr_qat":
        layers = {name: rounded(one, block_format_of("int3.channel"), "float32") for name, one in matrices.items()}
    else:
        frozen = {
            name: multiplied(one, "int4.channel.asymmetric.float32", "multiply", 0 * one)
            for name, one in matrices.items()
        }
        layers = {name: one.merging for name, one in frozen.items()}
    tokens = np.random.default_rng(1).integers(0, 11, (4, 6))
    wanted = Llama(1, 2).logits(parameters, tokens)
    model = Llama(1, 2, namespace=differentiable().namespace)

    def loss(learned, step, random):
        return ((model.logits(replaced(parameters, layers, learned), tokens) - wanted) ** 2).mean()

    begin = start(layers, 2, 0)
    assert len(begin) == 3 * len(names)
    rates = {":left": 0.01, ":right": 0.01, **({":scale": 1e-3} if kind == "lr_qat" else {":own": 1e-4})}
    settings = Settings(30, 0, rates)
    result = descend(loss, begin, settings, after=lambda learned: kept(layers, learned))
    assert result.losses[-1] < 0.9 * result.losses[0]
    forward = replaced(parameters, layers, result.parameters)
    for name in names:
        part = own(name, result.parameters)
        merged = (
            dequantize(layers[name].merged(part))
            if kind == "lr_qat"
            else frozen[name].merged(part).values().astype(np.float32)
        )
        np.testing.assert_array_equal(np.asarray(forward[name]), merged)
