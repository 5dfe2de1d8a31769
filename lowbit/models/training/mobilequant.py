"""MobileQuant: static activations, clips of weights and equivalent transformations, learned jointly from end to end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.models.hook import Apply
from lowbit.models.training import equivalence
from lowbit.models.training.activations import RANGE, ZERO, Static
from lowbit.models.training.blocks import LearnedBlock, Part
from lowbit.ops.block.dequantize import dequantize
from lowbit.quantizers.inputs import weight_format
from lowbit.quantizers.learned.clips import SIDES, START, LearnedClip
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction, block_error, reconstruct
from lowbit.quantizers.learned.settings import checked

OF_TENSOR, OF_CHANNELS = "int{}.tensor.asymmetric.float32", "int{}.channel.asymmetric.float32"
LEAST = 0.1
"""Of a scale of activations, what stays at least."""


@dataclass(frozen=True)
class MobileQuant:
    """What is learned, and how.

    Attributes
    ----------
    steps, seed : int
    weights : int
        Bits: with 8, matrices have one scale each, but those of down projections one for each output, as all have
        with fewer bits.
    clip_rate, factor_rate, range_rate : float
        The rates of clips, of factors, and of the scales of activations, as shares of these; they fall as a cosine.
    zero_rate : float
        Of the zero points.
    batch : int
        Samples of a step.
    """

    steps: int
    seed: int
    weights: int = 8
    clip_rate: float = 1e-2
    factor_rate: float = 1e-3
    range_rate: float = 1e-4
    zero_rate: float = 1e-4
    batch: int = 1

    def __post_init__(self) -> None:
        checked(**{field.name: getattr(self, field.name) for field in fields(self)})

    def format(self, name: str) -> str:
        """Of a weight by its name."""
        whole = self.weights >= 8 and "down_proj" not in name
        return (OF_TENSOR if whole else OF_CHANNELS).format(self.weights)

    def settings(self) -> Settings:
        """For the loop that learns."""
        rates = dict.fromkeys(SIDES, self.clip_rate)
        rates |= {equivalence.FACTOR: self.factor_rate, RANGE: self.range_rate, ZERO: self.zero_rate}
        return Settings(self.steps, self.seed, rates, schedule="cosine")


@dataclass(frozen=True, eq=False)
class _Joint:
    """A part of a model with everything that is learned of it."""

    part: Part
    clips: Mapping[str, LearnedClip]
    folds: list[equivalence.Fold]
    static: Static

    def replaced(self, learned: Mapping[str, Any]) -> dict[str, Any]:
        own = equivalence.transformed(self.part.parameters, learned, self.folds)
        return own | {name: clip.values(own[name], learned, name) for name, clip in self.clips.items()}

    def forward(self, learned: Mapping[str, Any], hidden: Any) -> Any:
        return self.part.forward(self.replaced(learned), hidden, self.static.hook(learned))


def smoothed(part: Part, choices: MobileQuant, *, strength: float = 0.5) -> LearnedBlock:
    """SmoothQuant and rounding to nearest in the same formats: what MobileQuant is measured against.

    Parameters
    ----------
    part : Part
        All blocks of a Llama, or some of them.
    choices : MobileQuant
        Of which the bits count.
    strength : float
        SmoothQuant's; factors stand behind norms alone.
    """
    checked(strength=strength)
    joint, start = _begun(part, choices, strength, np.inf)
    error = block_error(joint.forward, start, part.inputs, part.targets)
    return _quantised(joint, Reconstruction(start, error, error, (), choices.seed))


def learn_jointly(
    part: Part,
    choices: MobileQuant,
    *,
    strength: float = 0.5,
    file: str | Path | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> LearnedBlock:
    """Learn clips, factors and the ranges of activations of all blocks by the states that the last one puts out.

    Parameters
    ----------
    part : Part
        All blocks of a Llama, with what goes into the first one; or some of them.
    choices : MobileQuant
    strength : float
        Of SmoothQuant, whose factors learning starts from.
    file, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        What is learned diverges.

    Notes
    -----
    Ranges are those of the samples at the start. Weights of norms stay in binary32 here, and what goes into the first
    block does; officially these have 16 bits. Source: Tan et al., "MobileQuant", Findings of EMNLP 2024 (arXiv
    2408.13933), section 3; saic-fi/MobileQuant 8964f91, ptq/mobilequant.py, and ``e2equant`` in
    mobilellm/quantization/algorithm.py.
    """
    checked(strength=strength)
    joint, start = _begun(part, choices, strength, START)
    result = reconstruct(
        joint.forward,
        start,
        part.inputs,
        part.targets,
        choices.settings(),
        batch=choices.batch,
        after=_held,
        file=file,
        progress=progress,
    )
    return _quantised(joint, result)


def _begun(part: Part, choices: MobileQuant, strength: float, clip: float) -> tuple[_Joint, Arrays]:
    folds = equivalence.folds(part)
    start = equivalence.start(part, folds, equivalence.largest_inputs(part), strength=strength)
    for fold in folds:
        if not fold.name.endswith("_norm"):
            start[f"{fold.name}{equivalence.FACTOR}"][:] = 1
    own = equivalence.transformed(part.parameters, start, folds)

    def forward(hidden: Any, apply: Apply) -> Any:
        return part.forward(own, hidden, apply)

    static = Static.seen(forward, part.inputs)
    clips = {}
    for name in part.linears:
        weight = part.parameters[name]
        clips[name] = LearnedClip(weight_format(choices.format(name), weight.shape[1], "mobilequant"))
        start |= clips[name].start(weight, name, of=clip)
    return _Joint(part, clips, folds, static), start | static.start(next(iter(part.parameters.values())).dtype)


def _held(learned: Arrays) -> Arrays:
    held = equivalence.held(learned)
    return {name: np.maximum(array, LEAST) if name.endswith(RANGE) else array for name, array in held.items()}


def _quantised(joint: _Joint, result: Reconstruction) -> LearnedBlock:
    """The codes, and the error of what they are worth."""
    part, learned = joint.part, result.learned
    own = equivalence.transformed(part.parameters, learned, joint.folds)
    tensors = {name: clip.tensor(np.asarray(own[name]), learned, name) for name, clip in joint.clips.items()}
    parameters = {name: np.asarray(array) for name, array in own.items()}
    parameters |= {name: dequantize(tensor) for name, tensor in tensors.items()}
    apply = joint.static.hook(learned)
    after = block_error(lambda own, hidden: part.forward(own, hidden, apply), parameters, part.inputs, part.targets)
    return LearnedBlock(part, tensors, parameters, apply, replace(result, after=after))
