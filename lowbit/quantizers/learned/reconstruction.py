"""Block reconstruction: parameters learned so that a quantised block's outputs are those of the float block.

The one loop under AdaRound, AdaQuant, OmniQuant, BRECQ and their like: what they differ in is what is learned, of which
block, from which inputs. A block is a function, a linear layer or half a model: nothing here knows a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.descent import Descent, Settings, descend, kept
from lowbit.quantizers.learned.gradients import Parameters
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.settings import checked

Forward = Callable[[Mapping[str, Any], Any], Any]
"""``(learned, inputs) -> outputs`` of a quantised block, over whatever arrays it is given."""


@dataclass(frozen=True)
class Reconstruction:
    """What was learned of a block.

    Attributes
    ----------
    learned : dict of str to ndarray
    before, after : float
        The mean squared error of the outputs for all samples, over the mean square of the outputs that they should be.
    losses : tuple of float
        Of each step, before it.
    seed : int
    kept : str
        "learned"; or "start" where the error would be more than twice as large, and nothing is changed.
    """

    learned: Arrays
    before: float
    after: float
    losses: tuple[float, ...]
    seed: int
    kept: str = "learned"

    @classmethod
    def judged(cls, start: Arrays, descent: Descent, seed: int, error: Callable[[Arrays], float]) -> Reconstruction:
        """By the rule of :func:`lowbit.quantizers.learned.descent.kept`."""
        learned, errors = kept(start, descent.parameters, error)
        return cls(learned, errors.before, errors.after, descent.losses, seed, errors.kept)


def reconstruct(  # noqa: PLR0913 (all but five are keyword-only options)
    forward: Forward,
    learned: Parameters,
    inputs: Sequence[Array],
    targets: Sequence[Array],
    settings: Settings,
    *,
    batch: int = 1,
    penalty: Callable[[Mapping[str, Any], int], Any] | None = None,
    after: Callable[[Arrays], Arrays] | None = None,
    file: str | Path | None = None,
    progress: Callable[[int, int, float], None] | None = None,
) -> Reconstruction:
    """Learn a block's parameters from samples: the mean squared error of what it makes of inputs.

    Parameters
    ----------
    forward : callable
        The quantised block.
    learned : mapping of str to ndarray
        What its first argument is before the first step.
    inputs, targets : sequence of ndarray
        For each sample what goes into the block, from the quantised or the float blocks before it, and what should come
        out.
    settings : Settings
    batch : int
        Samples of a step, drawn without putting back.
    penalty : callable, optional
        ``(learned, step) -> number``, added to the loss.
    after, file, progress
        As for :func:`lowbit.quantizers.learned.descent.descend`.

    Raises
    ------
    InputError
        There are no samples, or not one target for each; what is learned diverges.

    Notes
    -----
    What is far worse for all samples than the start is not returned: :func:`lowbit.quantizers.learned.descent.kept`.
    """
    if not len(inputs) or len(inputs) != len(targets):
        what = f"{len(inputs)} samples of inputs and {len(targets)} of outputs"
        raise InputError(f"{what}: a block is learned from one of each", hint="as many targets as inputs, at least one")
    checked(batch=batch)
    size = min(batch, len(inputs))

    def loss(learned: Mapping[str, Any], step: int, random: np.random.Generator) -> Any:
        chosen = random.choice(len(inputs), size, replace=False)
        total: Any = 0.0
        for number in chosen:
            total = total + ((forward(learned, inputs[number]) - targets[number]) ** 2).mean()
        return total / size + (0.0 if penalty is None else penalty(learned, step))

    result = descend(loss, learned, settings, after=after, file=file, progress=progress, judged=True)
    start = {name: np.array(value) for name, value in learned.items()}
    return Reconstruction.judged(start, result, settings.seed, lambda own: block_error(forward, own, inputs, targets))


def block_error(forward: Forward, learned: Parameters, inputs: Sequence[Array], targets: Sequence[Array]) -> float:
    """The squared error of a block's outputs for all samples, over the squared outputs that they should be."""
    wrong = whole = 0.0
    for one, target in zip(inputs, targets, strict=True):
        wrong += float(((np.asarray(forward(learned, one), np.float64) - target) ** 2).sum())
        whole += float((np.asarray(target, np.float64) ** 2).sum())
    return wrong / (whole or 1.0)
