"""Learned equivalent transformations: factors and shifts of channels that leave what a block computes as it is.

A factor divides what one layer puts out and multiplies what the next reads; a shift is taken from the one and comes
back through the bias of the other. What is learned is which of all such blocks suffers least from rounding.

Source: Shao et al., "OmniQuant", ICLR 2024 (arXiv 2308.13137), section 3.3; OpenGVLab/OmniQuant 95fae1b,
models/transformation.py. Fold from up to down: Tan et al., "MobileQuant", EMNLP 2024 Findings (arXiv 2408.13933),
section 3.1; saic-fi/MobileQuant 8964f91, mobilellm/quantization/algorithm.py. The official factors between queries and
keys differ in the two channels that a rotary embedding turns into each other, and then change the scores: here these
have one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.models.functions import Parameters
from lowbit.models.llama import Llama
from lowbit.models.training.blocks import Part
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.optimizers import Arrays

SMALLEST = 1e-2
"""The magnitude of a factor at least, as the official codes have it."""
FACTOR, SHIFT = ".factor", ".shift"
"""Ends of the names of what is learned."""


@dataclass(frozen=True, eq=False)
class Fold:
    """Channels between layers, each with a factor.

    Attributes
    ----------
    name : str
    count : int
        Factors.
    before, after : mapping of str to ndarray of int64
        For each weight whose outputs are divided, and each whose inputs are multiplied, the factor of each channel.
    outputs : mapping of str to ndarray of int64
        Weights whose outputs are multiplied, in place of inputs: keys, for queries that are divided.
    shifts : bool
        Whether a shift passes between unchanged: nothing but sums with the weights of a softmax lies there.
    """

    name: str
    count: int
    before: Mapping[str, Array]
    after: Mapping[str, Array]
    outputs: Mapping[str, Array]
    shifts: bool = False

    def applied(self, parameters: Parameters, learned: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters with the factors, and shifts if there are any, in them: computed in this order."""
        own = dict(parameters)
        factors, shift = learned[f"{self.name}{FACTOR}"], learned.get(f"{self.name}{SHIFT}")
        for weight, places in self.before.items():
            bias = f"{weight.removesuffix('weight')}bias"
            divisor = factors[places]
            if shift is not None:
                own[bias] = own.get(bias, 0.0) - shift[places]
            own[weight] = own[weight] / (divisor if own[weight].ndim == 1 else divisor[:, None])
            if bias in own:
                own[bias] = own[bias] / divisor
        for weight, places in self.after.items():
            if shift is not None:
                bias = f"{weight.removesuffix('weight')}bias"
                own[bias] = own.get(bias, 0.0) + own[weight] @ shift[places]
            own[weight] = own[weight] * factors[places]
        for weight, places in self.outputs.items():
            bias = f"{weight.removesuffix('weight')}bias"
            own[weight] = own[weight] * factors[places][:, None]
            if bias in own:
                own[bias] = own[bias] * factors[places]
        return own


def folds(part: Part) -> list[Fold]:
    """The places of the blocks of a part where factors can go."""
    of_block = _of_llama if isinstance(part.architecture, Llama) else _of_bert
    return [fold for name in part.names for fold in of_block(part, name)]


def transformed(parameters: Parameters, learned: Mapping[str, Any], every: Sequence[Fold]) -> dict[str, Any]:
    """Parameters with all folds applied, over whatever arrays the factors are."""
    own = dict(parameters)
    for fold in every:
        own = fold.applied(own, learned)
    return own


def start(
    part: Part, every: Sequence[Fold], largest: Mapping[str, Array], *, strength: float = 0.5, shift: bool = False
) -> Arrays:
    """What learning begins from: SmoothQuant's factors where activations are known, 1 elsewhere; shifts of 0.

    Parameters
    ----------
    largest : mapping of str to ndarray
        For the weight of a linear layer the largest magnitude of each of its inputs.
    strength : float
        ``max|x|^strength / max|w|^(1 - strength)``.
    """
    learned: Arrays = {}
    for fold in every:
        kind = next(iter(part.parameters.values())).dtype
        factors = np.ones(fold.count, kind)
        if fold.after:
            span, size = np.zeros(fold.count), np.zeros(fold.count)
            for weight, places in fold.after.items():
                np.maximum.at(span, places, largest[weight])
                np.maximum.at(size, places, np.abs(part.parameters[weight]).max(axis=0))
            size, span = np.maximum(size, 1e-5), np.maximum(span, 1e-5)
            factors = np.maximum(span**strength / size ** (1 - strength), 1e-5).astype(kind)
        learned[f"{fold.name}{FACTOR}"] = factors
        if shift and fold.shifts:
            learned[f"{fold.name}{SHIFT}"] = np.zeros(fold.count, kind)
    return learned


def held(learned: Arrays) -> Arrays:
    """What is learned after a step, factors of at least ``SMALLEST`` in magnitude."""
    return {name: _held(array) if name.endswith(FACTOR) else array for name, array in learned.items()}


def largest_inputs(part: Part) -> dict[str, Array]:
    """For the weight of each linear layer the largest magnitude of each input, over all samples of a part."""
    seen: dict[str, Array] = {}

    def look(kind: str, name: str, function: Any, *inputs: Any) -> Any:
        if kind == "linear":
            size = np.abs(np.asarray(inputs[0])).reshape(-1, inputs[0].shape[-1]).max(axis=0)
            before = seen.get(f"{name}.weight", size)
            seen[f"{name}.weight"] = np.maximum(before, size)
        return function(*inputs)

    for one in part.inputs:
        part.forward({}, one, look)
    return seen


def _held(factors: Array) -> Array:
    small = np.abs(factors) < SMALLEST
    result: Array = np.where(small, np.where(factors < 0, -SMALLEST, SMALLEST), factors).astype(factors.dtype)
    return result


def _of_llama(part: Part, name: str) -> list[Fold]:
    attention, mlp = f"{name}.self_attn", f"{name}.mlp"
    query, key, value, out = (f"{attention}.{kind}_proj.weight" for kind in "qkvo")
    gate, up, down = (f"{mlp}.{kind}_proj.weight" for kind in ("gate", "up", "down"))
    width, middle = len(part.parameters[query]), len(part.parameters[up])
    size = width // part.architecture.heads
    shared = _shared_heads(len(part.parameters[key]) // size, part.architecture.heads, size)
    plain, inner = np.arange(width), np.arange(middle)
    # channels c and c + size / 2 of a head are turned into each other
    pairs = np.arange(len(part.parameters[key]))
    pairs = pairs // size * (size // 2) + pairs % (size // 2)
    return [
        Fold(
            f"{name}.attention_norm",
            width,
            {f"{name}.input_layernorm.weight": plain},
            dict.fromkeys((query, key, value), plain),
            {},
        ),
        Fold(
            f"{attention}.value",
            len(part.parameters[value]),
            {value: np.arange(len(part.parameters[value]))},
            {out: shared},
            {},
            shifts=True,
        ),
        Fold(f"{attention}.scores", len(pairs) // 2, {query: pairs[shared]}, {}, {key: pairs}),
        Fold(
            f"{name}.mlp_norm",
            width,
            {f"{name}.post_attention_layernorm.weight": plain},
            dict.fromkeys((gate, up), plain),
            {},
        ),
        Fold(f"{mlp}.middle", middle, {up: inner}, {down: inner}, {}),
    ]


def _of_bert(part: Part, name: str) -> list[Fold]:
    """The norms stand behind the sums of a block of BERT, which other layers read: nothing can be folded into them."""
    attention = f"{name}.attention"
    query, key, value = (f"{attention}.self.{kind}.weight" for kind in ("query", "key", "value"))
    plain = np.arange(len(part.parameters[value]))
    return [
        Fold(
            f"{attention}.value",
            plain.size,
            {value: plain},
            {f"{attention}.output.dense.weight": plain},
            {},
            shifts=True,
        ),
        Fold(f"{attention}.scores", plain.size, {query: plain}, {}, {key: plain}),
    ]


def _shared_heads(key_heads: int, heads: int, size: int) -> Array:
    """For each channel of all heads the channel of the keys and values that it reads."""
    channels = np.arange(heads * size)
    return channels // size // (heads // key_heads) * size + channels % size
