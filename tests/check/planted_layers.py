"""Faults of whole models: which layer of which model, the step that is wrong, and words of what it must be called."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

import lowbit
from tests.check.plain_models import down, truncated, twice, wrapped


class Planted(NamedTuple):
    """A fault of one layer."""

    model: str
    layer: str
    steps: dict
    words: str  # of a claim; "" where what is wrong is not expected to be known
    fast: bool = False
    of_layer: Mapping = MappingProxyType({})  # further steps, made from the layer


def of(value):
    """A step in whose place is a value."""
    return lambda *_: value


def byte_swapped(weight):
    return weight[..., np.arange(weight.shape[-1]) ^ 1]


def neighbours(array):
    return array[..., 0::2], array[..., 1::2]


def interleaved(pair):
    return np.stack(pair, axis=-1).reshape(*pair[0].shape[:-1], -1)


def ibert_gelu(_, codes, layer):
    return lowbit.gelu(codes.astype(np.int8), scheme="ibert", scale=layer.input.scale).astype(np.int64)


def ibert_softmax(_, scores, layer):
    bits, scale = layer.softmax.bits, layer.scores.result.scale
    return lowbit.softmax(scores.astype(np.int8), scheme="ibert", scale=scale, bits=bits).astype(np.int64)


def lowest_scores(scores, size):
    count = scores.shape[-1]
    return np.where(np.arange(count) > np.arange(count)[:, None], -(1 << 40), scores)


VIT, RESNET, LLAMA = "mnist_vit", "mnist_resnet", "character_llama"
QUERY, ATTENTION, UP, GELU = (f"blocks.1.{name}" for name in ("attention.query", "attention", "mlp.up", "mlp.gelu"))
STEM, FIRST, SECOND, ADD = "stem.conv", "blocks.1.first.conv", "blocks.1.second.conv", "blocks.1.add"
SELF = "layers.1.self_attn"

PLANTED = {
    # I-ViT's arithmetic
    "truncated": Planted(VIT, UP, {"rounding": truncated}, "truncates (toward zero)"),
    "two roundings": Planted(VIT, "head", {"rounding": twice}, "requantises by double_up_away"),
    "no bias": Planted(VIT, "patches", {"bias": np.zeros_like}, "ignores the bias", fast=True),
    "weight transposed": Planted(VIT, QUERY, {"weight": lambda weight: weight.T}, "takes b for transposed"),
    "multiplier of the first channel": Planted(
        VIT, UP, {"multiplier": lambda m: m[:1]}, "takes the first channel's multiplier with each channel's own shift"
    ),
    "shift too many": Planted(
        VIT, "blocks.0.mlp.down", {"shift": lambda shift: shift + 1}, "shifts right by a place too many"
    ),
    "I-BERT's softmax": Planted(VIT, ATTENTION, {"probabilities": ibert_softmax}, "computes the softmax of ibert"),
    "exponent of TVM": Planted(VIT, ATTENTION, {"exponent": of(16)}, ""),
    "reciprocal of half": Planted(VIT, ATTENTION, {"numerator": of(1 << 30)}, "divides 2^30 by the sum"),
    "scores not scaled": Planted(
        VIT, ATTENTION, {"scores": lambda sums, size: sums * int(np.sqrt(size))}, "does not divide scores by the root"
    ),
    "heads joined in memory order": Planted(
        VIT, ATTENTION, {"joined": lambda joined: joined.swapaxes(-3, -2)}, "joins the heads without putting"
    ),
    "I-BERT's GELU": Planted(VIT, GELU, {"gelu": ibert_gelu}, "computes the gelu of ibert"),
    "sigmoid of 7 bits": Planted(VIT, GELU, {"sigmoid": of(25)}, ""),
    "mean rounded down": Planted(
        VIT, "blocks.0.attention.norm", {"mean": lambda _, total, length: total // length}, "rounds the mean down"
    ),
    "root off by one": Planted(VIT, "blocks.2.mlp.norm", {"root": lambda root: root + 1}, ""),
    "position before": Planted(
        VIT, "positions.add", {"table": lambda table: np.roll(table, -1, axis=0)}, "takes the next row of its table"
    ),
    # HAWQ-V3's
    "residual: scales swapped": Planted(
        RESNET,
        ADD,
        {"parts": lambda parts: parts[::-1]},
        "takes the multiplier of each operand for the other",
        fast=True,
    ),
    "residual: one multiplier": Planted(
        RESNET, ADD, {"parts": lambda parts: parts[:1] * 2}, "takes the multiplier of its left operand for both"
    ),
    "residual not added": Planted(
        RESNET, "blocks.0.add", {"operands": lambda pair: (pair[0], 0 * pair[1])}, "does not add its right operand"
    ),
    "ReLU before the sum": Planted(
        RESNET,
        ADD,
        {"operands": lambda pair: tuple(np.maximum(part, 0) for part in pair)},
        "takes negative operands for 0",
    ),
    "padding of TensorFlow": Planted(
        RESNET, FIRST, {"padding": of(((0, 2), (0, 2)))}, "begins windows later", fast=True
    ),
    "stride ignored": Planted(RESNET, "blocks.2.downsample.conv", {"stride": of((1, 1))}, "steps by 1"),
    "wraps": Planted(RESNET, "blocks.0.first.conv", {"clamped": lambda _, codes: codes & 255}, "but for overflow wrap"),
    "accumulator of 16 bits": Planted(
        RESNET,
        "blocks.3.second.conv",
        {"accumulator": lambda sums, _: wrapped(sums, 16)},
        "wraps accumulators to 16 bits",
    ),
    "accumulator saturates": Planted(
        RESNET,
        SECOND,
        {"accumulator": lambda sums, _: np.clip(sums, -(1 << 15), (1 << 15) - 1)},
        "saturates accumulators to 16",
    ),
    "bias after the shift": Planted(
        RESNET,
        STEM,
        {"accumulator": lambda _, sums: sums},
        "adds the bias to the scaled numbers",
        of_layer={"scaled": lambda layer: lambda scaled: scaled + layer.bias},
    ),
    "average rounded down": Planted(RESNET, "mean.average", {"rounding": down}, "shifts without rounding"),
    "nibbles swapped": Planted(
        RESNET, "blocks.2.first.conv", {"weight": byte_swapped}, "takes the two weights of a byte in the other order"
    ),
    "two causes": Planted(RESNET, "blocks.3.first.conv", {"rounding": down, "bias": lambda bias: 3 * bias // 2}, ""),
    # MobileQuant's
    "zero point forgotten": Planted(LLAMA, f"{SELF}.key", {"input zero": of(0)}, "ignores the zero point of its input"),
    "zero point twice": Planted(
        LLAMA, f"{SELF}.query", {"input zero": lambda zero: 2 * zero}, "subtracts the zero point of its input twice"
    ),
    "zero point not added": Planted(LLAMA, f"{SELF}.v_proj", {"zero point": of(0)}, "ignores the zero point"),
    "zero point of a gate": Planted(
        LLAMA, "layers.2.mlp.multiply", {"left zero": of(0)}, "ignores the zero point of its left"
    ),
    "no causal mask": Planted(LLAMA, SELF, {"seen": of(24)}, "takes causal for False"),
    "mask one key late": Planted(
        LLAMA, SELF, {"seen": lambda seen: min(seen + 1, 24)}, "lets each query see one key too many"
    ),
    "rotary of neighbours": Planted(
        LLAMA, f"{SELF}.query", {"pairs": neighbours, "joined": interleaved}, "turns neighbouring elements"
    ),
    "rotary from position 1": Planted(
        LLAMA, f"{SELF}.key", {"tables": lambda tables: tuple(table[1:] for table in tables)}, "counts positions from 1"
    ),
    "keys of another group": Planted(
        LLAMA, SELF, {"heads": lambda heads, shared: np.arange(len(heads)) % shared}, "of head h modulo their number"
    ),
    "table taken for signed": Planted(
        LLAMA, "layers.0.mlp.silu", {"place": lambda place: (place + 128) % 256}, "the table half a turn off"
    ),
    "rounded down": Planted(LLAMA, "layers.3.mlp.down_proj", {"rounding": down}, "shifts without rounding"),
    "RMSNorm takes the mean off": Planted(
        LLAMA,
        "layers.2.input_layernorm",
        {"normalised": lambda _, codes: lowbit.layernorm(codes.astype(np.int16), scheme="lowbit")},
        "subtracts the mean first",
    ),
}
