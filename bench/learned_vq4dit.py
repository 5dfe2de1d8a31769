"""VQ4DiT: vectors of tables, chosen by what the blocks of a diffusion transformer make of noise alone."""

from __future__ import annotations

import numpy as np

from bench.learned import Row, System
from lowbit.models import load
from lowbit.models.stored import StoredModel
from lowbit.models.training.vq4dit import Choice, choose, noise_error

STEPS = 200
SHARE = 0.9


def vq4dit(seeds: tuple[int, ...]) -> list[Row]:
    """The relative squared error of the noise that the model tells, on ways out of noise that were not seen."""
    model, rows = load("digits_dit"), []
    for seed in seeds:
        choice = choose(model, seed=seed, steps=STEPS, learned=("ratio",))
        nearest, chosen = (
            noise_error(model, {name: one.dequantize() for name, one in weights.items()}, seed)
            for weights in (choice.nearest, choice.chosen)
        )
        claim = f"error of the noise, zero data: choices alone are learned, beside the nearest vectors, seed {seed}"
        measured = {"nearest": nearest, "chosen": chosen, "chosen over nearest": chosen / nearest}
        rows.append(Row(claim, f"chosen over nearest <= {SHARE}", measured, chosen <= SHARE * nearest))
    return [*rows, _all_learned(model, seeds[-1], nearest)]


def _all_learned(model: StoredModel, seed: int, nearest: float) -> Row:
    """As published: biases beside the choices, and tables where a layer's choices are made."""
    choice = choose(model, seed=seed, steps=STEPS)
    error = noise_error(model, {name: one.dequantize() for name, one in choice.chosen.items()} | choice.biases, seed)
    claim = f"choices, then tables, and biases are learned, seed {seed}"
    measured = {"error over nearest's": error / nearest, "choices made before the last step": choice.frozen}
    return Row(claim, "reported", measured | {"bits a weight": bits(choice)}, met=True)


def bits(choice: Choice) -> float:
    """Those that are stored for a weight of the blocks: two of the code, and binary32 tables, which are large here."""
    sizes = [np.prod(one.shape) for one in choice.chosen.values()]
    return float(np.average([float(one.bits_per_weight) for one in choice.chosen.values()], weights=sizes))


SYSTEMS = {"vq4dit": System(vq4dit, (0, 1, 2))}
