"""Blocks of real models, learned: OmniQuant, decoupleQ's tuning of scales, QLLM's weights of low rank."""

from __future__ import annotations

import pydoc_data.topics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from bench.learned import Row, System
from lowbit.models import load
from lowbit.models.characters import tokens, topics
from lowbit.models.packages import minilm
from lowbit.models.training import equivalence
from lowbit.models.training.activations import of_tokens
from lowbit.models.training.blocks import LearnedBlock, Part, blocks_of
from lowbit.models.training.omniquant import Choices, learn_block
from lowbit.models.training.tuning import tune_low_rank, tune_scales
from lowbit.ops.arrays import Array
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.reconstruction import block_error

SENTENCES, HELD_OUT = 64, 64
CHARACTERS = 128
"""Of a window of the character model."""


@cache
def minilm_part() -> tuple[Part, Part]:
    """The first block of all-MiniLM-L6-v2 with sentences of Python's documentation, and with others."""
    texts = "\n".join(pydoc_data.topics.topics.values()).splitlines()
    lines = [line.strip() for line in texts if 40 < len(line) < 100]
    chosen = lines[:: len(lines) // (SENTENCES + HELD_OUT)]
    parts = []
    for sentences in (chosen[:SENTENCES], chosen[SENTENCES : SENTENCES + HELD_OUT]):
        blocks = blocks_of(minilm(), sentences)
        parts.append(blocks.part(range(1), blocks.inputs, blocks.inputs))
    return parts[0], parts[1]


def held_out_error(learned: LearnedBlock, part: Part) -> float:
    """Of a block on samples that it was not learned from."""
    return block_error(lambda _own, hidden: learned.forward(hidden), {}, part.inputs, part.targets)


def nearest(part: Part, to: str) -> dict[str, Array]:
    """The weights of a block, rounded to nearest."""
    rounded = METHODS["round_to_nearest"].quantize
    return {name: rounded(part.parameters[name], to=to).dequantize() for name in part.linears}


def error_of(part: Part, parameters: Mapping[str, Array]) -> float:
    """Of a block with some parameters replaced."""
    return block_error(part.forward, parameters, part.inputs, part.targets)


def omniquant(seeds: tuple[int, ...]) -> list[Row]:
    """Two bits on a block of MiniLM, where learning starts, and what transformations change in binary64."""
    part, other = minilm_part()
    to = "int2.channel.asymmetric"
    before, unseen = (error_of(one, nearest(part, to)) for one in (part, other))
    ratios = {}
    for seed in seeds:
        learned = learn_block(part, Choices(to, 250, seed, clip_rate=0.05))
        ratios[f"seed {seed}"] = learned.reconstruction.after / before
        ratios[f"seed {seed}, held out"] = held_out_error(learned, other) / unseen
    none = learn_block(part, Choices("int4.channel.asymmetric.float32", 0, seeds[0]))
    name = part.linears[0]
    weight = part.parameters[name]
    span = np.maximum(weight.max(axis=1), 0) - np.minimum(weight.min(axis=1), 0)
    share = none.tensors[name].scales["block"][:, 0] * 15 / span
    furthest = float(np.abs(share - 1 / (1 + np.exp(-4))).max())
    change = transformed_change(seeds[0])
    return [
        Row(
            f"2 bits ({to}): error of the first block of MiniLM over that of round to nearest",
            "<= 0.35",
            {"round to nearest": before, **ratios},
            max(ratios.values()) <= 0.35,
        ),
        Row(
            "share of the range that is kept before the first step",
            "0.98201, the logistic function of 4",
            {"mean share": float(share.mean()), "furthest": furthest},
            furthest < 1e-6,
        ),
        Row(
            "equivalent transformations in binary64: largest change of a block's outputs over the largest output",
            "rounding alone, <= 1e-13",
            change,
            max(change.values()) <= 1e-13,
        ),
    ]


def omniquant_w4a4(seeds: tuple[int, ...]) -> list[Row]:
    """What equivalent transformations gain where activations have 4 bits, too, a scale a token."""
    text = tokens(topics(held_out=False))
    parts = []
    for seed in (0, 1):
        starts = np.random.default_rng(seed).integers(0, len(text) - CHARACTERS, 64)
        windows = np.stack([text[start : start + CHARACTERS] for start in starts]).reshape(-1, 4, CHARACTERS)
        blocks = blocks_of(load("character_llama"), list(windows))
        parts.append(blocks.part(range(1), blocks.inputs, blocks.inputs))
    part, other = parts
    numbers = {}
    for seed in seeds:
        choices = Choices("int4.channel.asymmetric", 60, seed, clip_rate=0.02, factor_rate=1e-2, activations=4)
        for what, transform in (("clips alone", False), ("clips and transformations", True)):
            learned = learn_block(part, replace(choices, transform=transform))
            numbers[f"{what}, seed {seed}"] = learned.reconstruction.after
            numbers[f"{what}, seed {seed}, held out"] = held_out_error(learned, other)
    numbers["round to nearest"] = round_to_nearest_w4a4(part)
    return [Row("W4A4: error of the first block of the character Llama", "reported", numbers, met=True)]


def round_to_nearest_w4a4(part: Part) -> float:
    """Of a block with weights and activations of 4 bits."""
    weights, apply = nearest(part, "int4.channel.asymmetric"), of_tokens(4)
    return block_error(lambda own, hidden: part.forward(own, hidden, apply), weights, part.inputs, part.targets)


def transformed_change(seed: int) -> dict[str, float]:
    """What random factors and shifts change, for a block of two models."""
    random = np.random.default_rng(seed)
    samples = [tokens(topics(held_out=False))[:CHARACTERS][None]]
    result = {}
    for name, blocks in {
        "character Llama": blocks_of(load("character_llama"), samples, np.float64),
        "MiniLM": blocks_of(minilm(), ["a sentence of some words"], np.float64),
    }.items():
        part = blocks.part(range(1), blocks.inputs, blocks.inputs)
        folds = equivalence.folds(part)
        learned = {f"{fold.name}{equivalence.FACTOR}": random.uniform(0.3, 3, fold.count) for fold in folds}
        learned |= {f"{fold.name}{equivalence.SHIFT}": random.normal(size=fold.count) for fold in folds if fold.shifts}
        changed = part.forward(equivalence.transformed(part.parameters, learned, folds), part.inputs[0])
        result[name] = float(np.abs(changed - part.targets[0]).max() / np.abs(part.targets[0]).max())
    return result


def decoupleq_tuning(seeds: tuple[int, ...]) -> list[Row]:
    """Scales, offsets and norms of a block whose integers decoupleQ found at 2 bits."""
    part, other = minilm_part()
    seen: dict[str, list[Array]] = {}

    def look(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if kind == "linear":
            seen.setdefault(f"{name}.weight", []).append(inputs[0])
        return function(*inputs)

    for hidden in part.inputs:
        part.forward({}, hidden, look)
    tensors = {
        name: METHODS["decoupleq"].quantize(part.parameters[name], np.concatenate(seen[name])).tensor
        for name in part.linears
    }
    numbers = {}
    for seed in seeds:
        tuned = tune_scales(part, tensors, steps=256, seed=seed, rate=2e-4)
        start = tune_scales(part, tensors, steps=0, seed=seed)
        numbers["before"] = start.reconstruction.after
        numbers[f"seed {seed}"] = tuned.reconstruction.after / start.reconstruction.after
        numbers[f"seed {seed}, held out"] = held_out_error(tuned, other) / held_out_error(start, other)
    ratios = [number for what, number in numbers.items() if what != "before"]
    claim = "block of MiniLM in int2.channel by decoupleQ: error after tuning scales, offsets and norms over before"
    return [Row(claim, "<= 0.9, integers as they are", numbers, max(ratios) <= 0.9)]


def qllm_low_rank(seeds: tuple[int, ...]) -> list[Row]:
    """Weights of rank 4 in a block with weights and activations of 4 bits."""
    part, other = minilm_part()
    rows = []
    for variant, asked in (("inside", "<= 0.9, what learning computes is what is stored"), ("official", "reported")):
        numbers: dict[str, float] = {}
        for seed in seeds:
            options = {"seed": seed, "apply": of_tokens(4), "variant": variant}
            tuned = tune_low_rank(part, "int4.channel.asymmetric", steps=128, rate=2e-3, **options)
            start = tune_low_rank(part, "int4.channel.asymmetric", steps=0, **options)
            numbers["before"] = start.reconstruction.after
            numbers[f"seed {seed}"] = tuned.reconstruction.after / start.reconstruction.after
            numbers[f"seed {seed}, held out"] = held_out_error(tuned, other) / held_out_error(start, other)
        ratios = [number for what, number in numbers.items() if what != "before"]
        claim = f"block of MiniLM, W4A4: error with fused weights of rank 4 over before, added {variant}"
        rows.append(Row(claim, asked, numbers, asked == "reported" or max(ratios) <= 0.9))
    return rows


SYSTEMS = {
    "omniquant": System(omniquant, (0,)),
    "omniquant_w4a4": System(omniquant_w4a4, (0,)),
    "decoupleq_tuning": System(decoupleq_tuning, (0,)),
    "qllm_low_rank": System(qllm_low_rank, (0,)),
}
