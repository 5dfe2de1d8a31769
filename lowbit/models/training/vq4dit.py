"""VQ4DiT on a diffusion transformer: vectors are chosen by what its blocks make of noise, and of nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.models.diffusion.dit import MLP, Dit
from lowbit.models.diffusion.sampling import Guided, denoised
from lowbit.models.functions import Parameters
from lowbit.models.mnist import SMALL
from lowbit.models.stored import StoredModel
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.descent import Settings, descend, kept
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.settings import checked
from lowbit.quantizers.learned.vq4dit import FROZEN, OPTIMIZER, PERIOD, RATES, Candidates, ratios_of, watched
from lowbit.quantizers.methods.vector_quantization import vector_quantization
from lowbit.quantizers.weight import QuantizedWeight

IMAGES, GUIDANCE = 4, 4.0
"""Images of a trajectory, each of another class, and how far they are moved towards it (sample_quant.py)."""
ALL = ("ratio", "table", "bias")


@dataclass(frozen=True)
class Choice:
    """A diffusion transformer in vectors of tables.

    Attributes
    ----------
    nearest, chosen : dict of str to QuantizedWeight
        The weights of the linear layers of its blocks, in the nearest vectors and in those that were chosen.
    biases : dict of str to ndarray
        Of these layers, as they were learned.
    losses : tuple of float
        Of each step, before it.
    frozen : float
        The share of the choices that were made for good before the last step.
    seed : int
    kept : str
        "learned"; or "start", the nearest vectors, where others are far worse on the first way out of noise.
    """

    nearest: Mapping[str, QuantizedWeight]
    chosen: Mapping[str, QuantizedWeight]
    biases: Arrays
    losses: tuple[float, ...]
    frozen: float
    seed: int
    kept: str


def choose(  # noqa: PLR0913 (all but one are keyword-only options)
    model: StoredModel,
    *,
    seed: int,
    to: str = "table8.vector4",
    variant: str = "official",
    steps: int = 500,
    learned: tuple[str, ...] = ALL,
    file: str | Path | None = None,
    every: int = 50,
    progress: Callable[[int, int, float], None] | None = None,
) -> Choice:
    """Choose vectors of tables for the blocks of a diffusion transformer, without data.

    The float model makes images of noise in 50 steps; in each of them the quantised one is given the same image, and
    one step of RMSprop moves what is learned down the mean squared error of the outputs of all blocks.

    Parameters
    ----------
    model : StoredModel
        Of a :class:`lowbit.models.diffusion.dit.Dit`.
    seed : int
        Of the tables and of all noise.
    to : str
        As for :func:`lowbit.quantizers.vq4dit`.
    variant : str
        One of :data:`lowbit.quantizers.learned.vq4dit.VARIANTS`.
    steps : int
    learned : tuple of str
        Of "ratio", the choices; "table", once a layer's choices are made; "bias".
    file, every, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        Learning diverges; the file is of other settings.
    """
    checked(steps=steps, seed=seed, every=every)
    for part in learned:
        require_choice("learned", part, ALL)
    float_model = _dit(model)
    nearest = {
        name: vector_quantization(model.parameters[name], to=to, variant="official", seed=seed)
        for name in float_model.linears()
    }
    layers: dict[str, Candidates] = {}
    start: Arrays = {}
    for name, tensor in nearest.items():
        layers[name], own = Candidates.of(tensor)
        start |= {f"{name}.{part}": array for part, array in own.items()}
        start[_bias(name)] = model.parameters[_bias(name)]
    watch = watched(start, variant)
    over = replace(float_model, **differentiable().model())

    def wrong(point: Point, parameters: Mapping[str, Any], dit: Dit) -> Any:
        """The mean squared error of what the blocks make of a point's images."""
        states = block_states(replace(point.guided, model=dit, parameters={**model.parameters, **parameters}), point)
        error = sum(((one - other) ** 2).mean() for one, other in zip(states, point.states, strict=True))
        return error / len(states)

    def loss(current: Mapping[str, Any], step: int, _: np.random.Generator) -> Any:
        values = {name: own.values(current[f"{name}.ratio"], current[f"{name}.table"]) for name, own in layers.items()}
        biases = {_bias(name): current[_bias(name)] for name in layers}
        point = trajectory(model, seed, step // PERIOD)[step % PERIOD]
        return wrong(point, {**values, **biases}, over) + watch.penalty(current, step)

    def stored(current: Arrays) -> tuple[dict[str, QuantizedWeight], Arrays]:
        chosen = {
            name: QuantizedWeight(own.chosen(current[f"{name}.ratio"], current[f"{name}.table"]))
            for name, own in layers.items()
        }
        return chosen, {_bias(name): current[_bias(name)] for name in layers}

    def error(current: Arrays) -> float:
        chosen, biases = stored(current)
        values = {name: one.dequantize(dtype=np.float32) for name, one in chosen.items()} | biases
        points = trajectory(model, seed, 0)[:: PERIOD // 10]
        return sum(float(wrong(point, values, float_model)) for point in points)

    rates = {part: RATES[part] for part in learned}
    result = descend(
        loss,
        watch.start,
        Settings(steps, seed, rates, OPTIMIZER, subject=variant),
        after=watch.after,
        file=file,
        every=every,
        progress=progress,
        judged=True,
    )
    end, errors = kept(watch.start, result.parameters, error)
    chosen, biases = stored(end)
    made = np.concatenate([np.abs(ratio) >= FROZEN for ratio in ratios_of(end).values()])
    return Choice(nearest, chosen, biases, result.losses, float(made.mean()), seed, errors.kept)


def noise_error(model: StoredModel, parameters: Parameters, seed: int, count: int = 2) -> float:
    """The squared error of the noise that parameters tell beside the model's own, over the square of this.

    Parameters
    ----------
    model : StoredModel
    parameters : mapping of str to array
        In the place of the model's own of these names.
    seed : int
    count : int
        Trajectories of the float model, along which both are asked: of other noise than :func:`choose` sees.
    """
    dit, whole = (
        _dit(model),
        {**model.parameters, **{name: np.asarray(array, np.float32) for name, array in parameters.items()}},
    )
    wrong = total = 0.0
    for number in range(count):
        for point in trajectory(model, seed, -1 - number):
            told = dit.noise(whole, *point.guided.inputs(point.images, point.time))
            own = dit.noise(model.parameters, *point.guided.inputs(point.images, point.time))
            wrong += float(((told - own) ** 2).sum())
            total += float((own**2).sum())
    return wrong / total


@dataclass(frozen=True, eq=False)
class Point:
    """Where the float model is on its way out of noise, and what its blocks make of that."""

    guided: Guided
    images: Array
    time: int
    states: tuple[Array, ...]


@lru_cache(maxsize=2)
def trajectory(model: StoredModel, seed: int, number: int) -> list[Point]:
    """A way of the float model out of noise; numbers below 0 are of noise that :func:`choose` never sees."""
    random = np.random.default_rng([seed, abs(number), int(number < 0)])
    classes = len(model.parameters["labels.weight"]) - 1
    labels = random.choice(classes, min(IMAGES, classes), replace=False)
    guided = Guided(_dit(model), model.parameters, labels, GUIDANCE)
    return list(_points(guided, random.normal(size=(len(labels), SMALL, SMALL)).astype(np.float32), random))


def _points(guided: Guided, noise: Array, random: np.random.Generator) -> Iterator[Point]:
    for images, time in denoised(guided, noise, PERIOD, random):
        if time >= 0:
            point = Point(guided, images, time, ())
            yield replace(point, states=tuple(block_states(guided, point)))


def block_states(guided: Guided, point: Point) -> list[Any]:
    """What each block of a model makes, of a point's images."""
    states: list[Any] = []

    def apply(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        result = function(*inputs)
        if kind == "add" and name.endswith(f".{MLP}.add"):
            states.append(result)
        return result

    guided.model.noise(guided.parameters, *guided.inputs(point.images, point.time), apply)
    return states


def _dit(model: StoredModel) -> Dit:
    """The diffusion transformer of a model. Raises InputError: it is another."""
    if not isinstance(model.architecture, Dit):
        what = f"a {type(model.architecture).__name__} does not make images of noise, in which VQ4DiT chooses vectors"
        raise InputError(what, hint='load("digits_dit"), or quantizers.vq4dit for a layer with its activations')
    return model.architecture


def _bias(name: str) -> str:
    return f"{name.removesuffix('.weight')}.bias"
