"""OmniQuant on a model: the clips and equivalent transformations of a block learned by the block's own outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.types import FormatLike
from lowbit.models.hook import plainly
from lowbit.models.training import equivalence
from lowbit.models.training.activations import of_tokens
from lowbit.models.training.blocks import Blocks, LearnedBlock, Part
from lowbit.quantizers.inputs import weight_format
from lowbit.quantizers.learned.clips import SIDES, LearnedClip
from lowbit.quantizers.learned.descent import Settings
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction, block_error, reconstruct
from lowbit.quantizers.learned.settings import checked

CLIP_RATE, FACTOR_RATE = 1e-2, 5e-3
"""Of the official code."""


@dataclass(frozen=True)
class Choices:
    """What is learned of a block, and how.

    Attributes
    ----------
    to : str, BlockFormat, or mapping of str to one of these
        The format of the weights; of some of them by their names, and the others stay as they are.
    steps, seed : int
    clip_rate, factor_rate : float
        The rates of clips, and of factors and shifts.
    activations : int, optional
        Bits of what goes into linear layers, a scale a token; without, it stays as it is.
    transform : bool
        Whether equivalent transformations are learned, too: not where weights alone are quantised, officially.
    augmented : bool
        Whether the float block's outputs for the inputs as they are count as much as those for the float prefix's.
    batch : int
        Samples of a step.
    """

    to: FormatLike | Mapping[str, FormatLike]
    steps: int
    seed: int
    clip_rate: float = CLIP_RATE
    factor_rate: float = FACTOR_RATE
    activations: int | None = None
    transform: bool = False
    augmented: bool = False
    batch: int = 1

    def __post_init__(self) -> None:
        names = ("steps", "seed", "clip_rate", "factor_rate", "activations", "batch")
        checked(**{name: getattr(self, name) for name in names})

    def settings(self) -> Settings:
        """For the loop that learns."""
        rates = dict.fromkeys(SIDES, self.clip_rate)
        if self.transform:
            rates[equivalence.FACTOR] = self.factor_rate
            rates |= {} if self.activations is None else {equivalence.SHIFT: self.factor_rate}
        return Settings(self.steps, self.seed, rates)


def learn_block(
    part: Part,
    choices: Choices,
    *,
    file: str | Path | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> LearnedBlock:
    """Learn the clips of a block's weights, and the factors between its layers, by the error of its outputs.

    Parameters
    ----------
    part : Part
        One or several blocks with samples; its inputs are of the quantised prefix in the paper.
    choices : Choices
    file, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        A format does not fit a weight, the block has none of the names, or what is learned diverges.

    Notes
    -----
    Source: Shao et al., "OmniQuant", ICLR 2024 (arXiv 2308.13137); OpenGVLab/OmniQuant 95fae1b, quantize/omniquant.py.
    What is computed forward while it learns is what the codes are worth, bit for bit.
    """
    clips, folds = _clips(part, choices.to), equivalence.folds(part) if choices.transform else []
    start: Arrays = {}
    if folds:
        start = equivalence.start(part, folds, equivalence.largest_inputs(part), shift=choices.activations is not None)
    for name, clip in clips.items():
        start |= clip.start(part.parameters[name], name)
    apply = plainly if choices.activations is None else of_tokens(choices.activations)

    def replaced(learned: Mapping[str, Any]) -> dict[str, Any]:
        own = equivalence.transformed(part.parameters, learned, folds)
        return own | {name: clip.values(own[name], learned, name) for name, clip in clips.items()}

    def forward(learned: Mapping[str, Any], hidden: Any) -> Any:
        return part.forward(replaced(learned), hidden, apply)

    targets = part.targets
    if choices.augmented:  # |y - a|^2 + |y - b|^2 = 2 |y - (a + b) / 2|^2 and a constant
        targets = tuple((one + other) / 2 for one, other in zip(targets, part.augmented(), strict=True))
    result = reconstruct(
        forward,
        start,
        part.inputs,
        targets,
        choices.settings(),
        batch=choices.batch,
        after=equivalence.held,
        file=file,
        progress=progress,
    )
    errors = [block_error(forward, own, part.inputs, part.targets) for own in (start, result.learned)]
    reconstruction = Reconstruction(result.learned, errors[0], errors[1], result.losses, result.seed, result.kept)
    own = equivalence.transformed(part.parameters, result.learned, folds)
    tensors = {name: clip.tensor(np.asarray(own[name]), result.learned, name) for name, clip in clips.items()}
    parameters = {name: np.asarray(array) for name, array in replaced(result.learned).items()}
    return LearnedBlock(part, tensors, parameters, apply, reconstruction)


def learn_blocks(blocks: Blocks, choices: Choices, *, prefix: str = "quantised") -> Iterator[LearnedBlock]:
    """The blocks of a model one after the other, each learned from what the ones before make of the samples."""
    learned: list[LearnedBlock] = []

    def quantise(part: Part) -> Callable[[Any], Any]:
        learned.append(learn_block(part, choices))
        return learned[-1].forward

    for _ in blocks.walk(quantise, prefix=prefix):
        yield learned.pop()


def _clips(part: Part, to: FormatLike | Mapping[str, FormatLike]) -> dict[str, LearnedClip]:
    wanted = to if isinstance(to, Mapping) else dict.fromkeys(part.linears, to)
    clips = {
        name: LearnedClip(weight_format(wanted[name], part.parameters[name].shape[1], "omniquant"))
        for name in part.linears
        if name in wanted
    }
    if not clips:
        raise InputError(
            f"{', '.join(part.names)}: no weight of these blocks has a format", hint=f"{part.linears[0]}, say"
        )
    return clips
