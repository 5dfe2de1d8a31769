"""Adapters trained in the character model over frozen integers: LR-QAT inside the rounding, IntLoRA as factors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from bench.learned import Row, System
from lowbit.format.registry import block_format_of
from lowbit.models.characters import tokens, topics
from lowbit.models.llama import Llama
from lowbit.models.stored import load
from lowbit.models.training.adapters import kept, own, replaced, start
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.methods import intlora, lr_qat

PIECE, BATCH, RANK, STEPS, FEWER = 64, 8, 8, 60, 40
"""Characters of a piece of text, pieces of a step, the adapters' rank, LR-QAT's steps, and IntLoRA's."""


def loss_of(model: Llama, parameters: Mapping[str, Any], pieces: Any) -> Any:
    """The mean cross-entropy of each next character, in nats."""
    names = model.namespace
    scores = model.logits(parameters, pieces[:, :-1])
    shifted = scores - names.max(scores, axis=-1, keepdims=True)
    rows = shifted - names.log(names.sum(names.exp(shifted), axis=-1, keepdims=True))
    each = rows.reshape((-1, rows.shape[-1]))[np.arange(pieces[:, 1:].size), pieces[:, 1:].ravel()]
    return -names.mean(each)


def pieces_of(text: Any, starts: Any) -> Any:
    """Pieces of a text, a row each."""
    return np.stack([text[begin : begin + PIECE + 1] for begin in starts])


def trained(
    layers: Mapping[str, Any], merge: Callable[[str, Any], Any], rate: float, seed: int, steps: int
) -> dict[str, float]:
    """Held-out losses of the float model, the frozen integers and the trained adapters, and what merging changes."""
    stored = load("character_llama")
    model, parameters = stored.architecture, {key: value.astype(np.float32) for key, value in stored.parameters.items()}
    learner = Llama(model.layers, model.heads, model.base, model.epsilon, **_namespace())
    text, others = (tokens(topics(held_out=held_out)) for held_out in (False, True))
    held_out = pieces_of(others, range(0, len(others) - PIECE, len(others) // 200))

    def loss(learned: Mapping[str, Any], step: int, random: np.random.Generator) -> Any:
        del step
        pieces = pieces_of(text, random.integers(0, len(text) - PIECE, BATCH))
        return loss_of(learner, replaced(parameters, layers, learned), pieces)

    begin = start(layers, RANK, seed)
    scales = {key: 1e-3 * float(value.mean()) for key, value in begin.items() if key.endswith((":scale", ":own"))}
    settings = Settings(steps, seed, {":left": rate, ":right": rate, **scales}, schedule="cosine")
    result = descend(loss, begin, settings, after=lambda learned: kept(layers, learned))
    merged = {name: merge(name, own(name, result.parameters)) for name in layers}
    forward = replaced(parameters, layers, result.parameters)
    differ = sum(int((np.asarray(forward[name]) != merged[name]).sum()) for name in layers)
    weights = {"float": parameters, "frozen": replaced(parameters, layers, begin), "trained": {**parameters, **merged}}
    losses = {name: float(loss_of(model, one, held_out)) for name, one in weights.items()}
    closed = (losses["frozen"] - losses["trained"]) / (losses["frozen"] - losses["float"])
    return {**losses, "share of the gap": closed, "weights that merging changes": differ}


def _namespace() -> dict[str, Any]:
    return {"namespace": differentiable().namespace}


def linears() -> dict[str, Any]:
    """The weights of the linear layers of the blocks, by name, in binary64."""
    parameters = load("character_llama").parameters
    return {name: value.astype(np.float64) for name, value in parameters.items() if "proj" in name}


def by_lr_qat(seeds: tuple[int, ...]) -> list[Row]:
    """Frozen in Q3.5, 3 bits, a scale an output."""
    fmt = block_format_of("int3.channel")
    layers = {name: lr_qat.frozen_layer(weights, fmt, "fixed_point") for name, weights in linears().items()}
    return [
        row(
            "int3.channel",
            seed,
            trained(layers, lambda name, own: dequantize(layers[name].merged(own)), 0.02, seed, STEPS),
        )
        for seed in seeds
    ]


def by_intlora(seeds: tuple[int, ...]) -> list[Row]:
    """Frozen in 4 bits, factors of 8 bits or shifts."""
    rows = []
    for variant in ("multiply", "shift"):
        for seed in seeds:
            frozen = {
                name: intlora.frozen_layer(weights, "int4.channel.asymmetric.float32", variant, 0 * weights, seed=seed)
                for name, weights in linears().items()
            }
            layers = {name: one.merging for name, one in frozen.items()}

            def merge(name: str, own: Any, frozen: Any = frozen) -> Any:
                return frozen[name].merged(own).values().astype(np.float32)

            rows.append(row(variant, seed, trained(layers, merge, 1e-3, seed, FEWER)))
    return rows


def row(what: str, seed: int, measured: dict[str, float]) -> Row:
    """As the table has it."""
    met = measured["share of the gap"] >= 0.2 and not measured["weights that merging changes"]
    claim = f"held-out loss of the character model, {what}, seed {seed}"
    return Row(claim, ">= 0.20 of the gap to float; merging equals forward bit for bit", measured, met)


SYSTEMS = {"lr_qat": System(by_lr_qat, (0, 1, 2)), "intlora": System(by_intlora, (0,))}
