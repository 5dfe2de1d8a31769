"""I-BERT's published modules, as the transformers package has them, beside lowbit's layers: the codes of every step."""

import math
from types import SimpleNamespace

import numpy as np
import pytest

import lowbit
from lowbit.layers import Add, Attention, Nonlinearity, Norm, Quantity, Rescale, Sum
from lowbit.models.graph import IntegerModel, Node
from lowbit.nonlinear import ibert
from tests.cross.published_modules import (
    SCHEMES,
    assert_equal,
    assign,
    codes_of,
    drawn,
    integers,
    linear,
    quantity,
    rescale,
    steps_of,
    torch,
    values,
    watched,
    wide,
)

HEADS, SIZE = 4, 16
WIDTH = HEADS * SIZE
CONFIG = SimpleNamespace(
    hidden_size=WIDTH,
    num_attention_heads=HEADS,
    quant_mode=True,
    attention_probs_dropout_prob=0.0,
    hidden_dropout_prob=0.0,
    layer_norm_eps=1e-12,
    force_dequant="none",
)


@pytest.fixture(scope="module")
def published():
    reason = "transformers, which has I-BERT's modules, is not installed"
    return pytest.importorskip("transformers.models.ibert.modeling_ibert", reason=reason, exc_type=ImportError)


def fixed(activation, scale, bits=8):
    activation.activation_bit = bits
    activation.x_max = wide(scale * ((1 << (bits - 1)) - 1))
    activation.x_min = -activation.x_max


def attention_of(published, rng):
    """A block of attention whose weights have scales of few bits, and the scale of its scores."""
    made = published.IBertAttention(CONFIG).double().eval()
    part, output = made.self, made.output
    for module in (part.query, part.key, part.value, output.dense):
        codes = rng.normal(0, 45, module.weight.shape).round().clip(-126, 126)
        codes[:, 0] = 127
        assign(module.weight, codes * drawn(rng, 0.002, 0.004))
        assign(module.bias, rng.normal(0, 0.3, WIDTH))
    assign(output.LayerNorm.weight, rng.uniform(0.4, 1.6, WIDTH) * rng.choice([-1, 1], WIDTH))
    assign(output.LayerNorm.bias, rng.normal(0, 0.3, WIDTH))
    constants, derived = None, ()
    while constants is None or constants[:3] != derived:  # the same in binary64, in which the modules run
        query, key = drawn(rng, 0.03, 0.06), drawn(rng, 0.03, 0.06)
        scores = query * key / math.sqrt(SIZE)
        constants = ibert.exp_constants(float(np.float32(scores)), "code")
        quotients = -0.6931 / scores, 0.96963238 / 0.35815147 / scores, 1 / 0.35815147 / scores**2
        derived = tuple(map(math.floor, quotients))
    fixed(part.query_activation, query)
    fixed(part.key_activation, key)
    fixed(part.value_activation, drawn(rng, 0.03, 0.06))
    fixed(part.output_activation, drawn(rng, 0.01, 0.02))
    fixed(output.ln_input_act, drawn(rng, 6e-4, 9e-4), 16)
    fixed(output.output_activation, drawn(rng, 0.02, 0.04))
    largest_of_exp(part.softmax, constants)
    return made, scores


def largest_of_exp(softmax, constants):
    """The range that training tracks: the exponential of 0, of every row's maximum."""
    softmax.act.x_max, softmax.act.x_min = wide(float(constants.c << constants.shift)), wide(0.0)


def layers(made, given, scores, scheme, norm_units):
    """The published block as lowbit's layers, of its integers."""
    output = made.output
    names = ("query", "key", "value")
    at = {name: quantity(made.get_submodule(f"self.{name}_activation")) for name in (*names, "output")}
    nodes = {
        f"self.{name}_activation": Node(linear(made.self.get_submodule(name), given, at[name], scheme), ("x",))
        for name in names
    }
    # Scores are not requantised: a multiplier of 1.
    accumulators = Rescale("single_even", np.array([1 << 30]), np.array([1]), Quantity("int32", scores))
    attention = Attention(
        at["query"], at["key"], at["value"], HEADS, SIZE, accumulators, Nonlinearity("softmax", "ibert", bits=8),
        rescale(at["value"].scale / 256, at["output"], scheme),
    )  # fmt: skip
    result, norm = quantity(output.ln_input_act), output.LayerNorm
    total = Sum.from_scales(result, given, scheme, result, dyadic=True)
    bias = integers(torch.floor(norm.bias / norm.weight / (norm.dim_sqrt / 2**30)), np.int32)
    normalised = rescale(norm_units, quantity(output.output_activation), scheme)
    return {
        **nodes,
        "self.output_activation": Node(attention, tuple(nodes)),
        "dense": Node(linear(output.dense, at["output"], result, scheme), ("self.output_activation",)),
        "output.ln_input_act": Node(Add(result, given, total), ("dense", "x")),
        "output.output_activation": Node(
            Norm(result, Nonlinearity("layernorm", "ibert"), WIDTH, normalised, bias), ("output.ln_input_act",)
        ),
    }


@pytest.mark.parametrize("seed", range(3))
def test_blocks_of_attention(published, seed):
    """1,920 tokens each: products, i-softmax, the residual sum, I-LayerNorm and what requantises them."""
    rng = np.random.default_rng(seed)
    made, scores = attention_of(published, rng)
    given = Quantity("int8", drawn(rng, 0.02, 0.04))
    codes = rng.normal(0, 40, (60, 32, WIDTH)).round().clip(-128, 127).astype(np.int8)
    seen, units = watched(made, "QuantAct", "IntSoftmax", "IntLayerNorm"), {}
    made.output.LayerNorm.register_forward_hook(lambda _, __, answer: units.update(norm=answer[1].detach()))
    with torch.no_grad():
        made(values(codes, given.scale), wide(given.scale))
    del seen["self.softmax.act"]  # rounded to 53 bits: its product has more
    for scheme in SCHEMES:
        nodes = layers(made, given, float(np.float32(scores)), scheme, units["norm"])
        steps = steps_of(IntegerModel(nodes, {"x": given}, ("output.output_activation",)), codes)
        steps["self.softmax"] = steps["self.output_activation:probabilities"]
        steps["output.LayerNorm"] = steps["output.output_activation:accumulator"]
        assert len(seen) == 8
        assert_equal(steps, seen)


@pytest.mark.parametrize("scale", [1e-3, 0.0123, 0.05])
def test_gelu_and_softmax_with_the_constants_of_binary32(published, scale):
    """The scale is a binary32 number, and so are the constants that the modules derive of it; codes are exact."""
    rng, scale32 = np.random.default_rng(3), float(np.float32(scale))
    tensor = torch.tensor([scale32])
    codes = rng.integers(-(1 << 15), 1 << 15, (300, 64)).astype(np.int32) // (1 if scale < 0.01 else 64)
    answer = published.IntGELU()(values(codes, scale32), tensor)
    results, back = lowbit.gelu(codes, scheme="ibert", scale=scale32, return_scale=True)
    assert (back, len(np.unique(results)) > 100) == (answer[1].item(), True)
    assert np.array_equal(results, codes_of(answer))
    softmax = published.IntSoftmax(8, quant_mode=True).eval()
    largest_of_exp(softmax, ibert.exp_constants(scale32, "code"))
    codes = rng.normal(0, 40, (300, 64)).round().clip(-128, 127).astype(np.int8)
    got = codes_of([*map(torch.as_tensor, softmax(values(codes, scale32), tensor))])
    assert np.array_equal(lowbit.softmax(codes, scheme="ibert", scale=scale32), got.reshape(codes.shape))
