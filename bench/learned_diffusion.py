"""Floats of four bits with learned rounding in the diffusion transformer that makes 8 x 8 digits: no data but noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.learned import Row, System
from lowbit.metrics import relative_squared_error
from lowbit.models.diffusion.sampling import Guided, denoised
from lowbit.models.stored import load
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.soft_rounding import Neighbours

IMAGES, STEPS, ROWS = 20, 20, 4096
"""Images that are made at once, the steps in which they are, and rows that are kept of a layer's inputs."""


def trajectory(model: Any, seed: int) -> tuple[dict[str, Any], list[tuple[Any, int]]]:
    """The inputs of the linear layers of the blocks on the way from noise to images, and what there is on that way."""
    random, seen = np.random.default_rng([seed, IMAGES]), {}
    guided = Guided(model.architecture, model.parameters, np.arange(IMAGES) % 10)
    wanted = {name.removesuffix(".weight"): [] for name in model.architecture.linears()}

    def apply(kind: str, name: str, function: Any, *inputs: Any) -> Any:
        if name in wanted and kind == "linear":
            wanted[name].append(np.asarray(inputs[0]).reshape(-1, inputs[0].shape[-1]))
        return function(*inputs)

    noise = random.normal(size=(IMAGES, 8, 8)).astype(np.float32)
    way = list(denoised(lambda images, time: guided(images, time, apply), noise, STEPS, random))[:-1]
    for name, parts in wanted.items():
        rows = np.concatenate(parts)
        seen[f"{name}.weight"] = rows[random.choice(len(rows), min(ROWS, len(rows)), replace=False)]
    return seen, way


def diffusion(seeds: tuple[int, ...]) -> list[Row]:
    """Errors on another way from noise to images: of the layers' outputs, and of the noise that the model tells."""
    model = load("digits_dit")
    rows = []
    for seed in seeds:
        seen, _ = trajectory(model, seed)
        others, way = trajectory(model, seed + 1000)
        quantized: list[dict[str, Any]] = [dict(model.parameters), dict(model.parameters)]
        errors, beside = [], 0
        for name, activations in seen.items():
            weights = model.parameters[name]
            start, result = (
                METHODS["adaround"].quantize(weights, activations, seed=seed, **options)
                for options in ({"steps": 0}, {})
            )
            quantized[0][name], quantized[1][name] = start.dequantize(), result.dequantize()
            errors.append((start.error(weights, others[name]), result.error(weights, others[name])))
            near = Neighbours.of(weights.astype(np.float64), result.tensor)
            values = result.dequantize(dtype=np.float64)
            beside += int(((values != near.values(near.lower)) & (values != near.values(near.upper))).sum())
        ratio = float(np.mean([learned / nearest for nearest, learned in errors]))
        nearest, learned = (noise_error(model, one, way) for one in quantized)
        measured = {"layers": ratio, "model": learned / nearest, "model, nearest": nearest, "not a neighbour": beside}
        claim = f"error of layers and of the model's noise over the nearest values', float4.channel, seed {seed}"
        met = ratio <= 0.9 and learned <= 0.9 * nearest and not beside
        rows.append(Row(claim, "both <= 0.90, every value a neighbour on the grid", measured, met))
    return rows


def noise_error(model: Any, parameters: dict[str, Any], way: list[tuple[Any, int]]) -> float:
    """The relative squared error of the noise that a model tells, of images on their way."""
    labels = np.arange(IMAGES) % 10
    exact, coded = (
        np.stack([model.architecture.noise(own, images, np.full(IMAGES, time), labels) for images, time in way])
        for own in (model.parameters, parameters)
    )
    return relative_squared_error(exact, coded)


SYSTEMS = {"float_rounding": System(diffusion, (0, 1, 2))}
