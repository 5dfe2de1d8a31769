"""Noise that images drown in and come out of, step by step: Ho et al., "Denoising diffusion" (arXiv 2006.11239).

Times count from 0, hardly any noise, to 999, hardly anything else. Fewer steps by Nichol and Dhariwal (arXiv
2102.09672), section 4; guidance without a classifier by Ho and Salimans (arXiv 2207.12598).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.models.diffusion.dit import Dit
from lowbit.models.functions import Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.ops.arrays import Array
from lowbit.quantizers.options import Numbers

TIMES, FIRST, LAST = 1000, 1e-4, 0.02
"""Steps in which noise is added, and its variance in the first and the last of them; on a line between."""

Predict = Callable[[Array, int], Array]
"""``(images, time) -> noise``."""


@cache
def signal() -> Array:
    """The share of an image's variance that is left at each time."""
    return np.cumprod(1 - np.linspace(FIRST, LAST, TIMES))


def noisy(images: Array, times: Array, noise: Array) -> Array:
    """Images with noise of the times, shape (..., rows, columns).

    Raises InputError: a time is not one of the 1,000.
    """
    outside = [time for time in np.ravel(times).tolist() if not Numbers(0, TIMES - 1, whole=True).holds(time)]
    if outside:
        raise InputError(
            f"time {outside[0]} is not {Numbers(0, TIMES - 1, whole=True)}", hint="999 is noise alone, nearly"
        )
    left = signal()[times][..., None, None]
    mixed: Array = np.sqrt(left) * images + np.sqrt(1 - left) * noise
    return mixed.astype(images.dtype)


def spaced(steps: int) -> list[int]:
    """The times of a few steps, the noisiest first.

    Raises InputError: there are not so many.
    """
    if not Numbers(1, TIMES, whole=True).holds(steps):
        raise InputError(f"{steps!r} steps out of noise are not 1 to {TIMES}", hint="50, say")
    stride = (TIMES - 1) / max(steps - 1, 1)
    return [round(stride * number) for number in range(steps)][::-1]


@dataclass(frozen=True)
class Guided:
    """A model that is told what to make.

    Attributes
    ----------
    model : Dit
    parameters : mapping of str to ndarray
    labels : ndarray of int, shape (images,)
    scale : float
        How far the noise is moved from what the model says without a label to what it says with it; 1 is to there.
    """

    model: Dit
    parameters: Parameters
    labels: Array
    scale: float = 1.0

    def inputs(self, images: Array, time: int) -> tuple[Array, Array, Array]:
        """What goes into the model: every image with its label, then without one; times and labels."""
        twice, none = np.concatenate([images, images]), len(self.parameters["labels.weight"]) - 1
        labels = np.concatenate([self.labels, np.full(len(self.labels), none)])
        return twice, np.full(len(twice), time), labels

    def __call__(self, images: Array, time: int, apply: Apply = plainly) -> Any:
        """The noise."""
        both = self.model.noise(self.parameters, *self.inputs(images, time), apply)
        told, untold = both[: len(images)], both[len(images) :]
        return untold + self.scale * (told - untold)


def denoised(predict: Predict, noise: Array, steps: int, random: np.random.Generator) -> Iterator[tuple[Array, int]]:
    """Go from noise to images: what there is at each time, and at the end the images with the time -1.

    Parameters
    ----------
    predict : callable
    noise : ndarray, shape (images, rows, columns)
        Normal numbers.
    steps : int
    random : Generator
        Of the noise that is added again in each step, of the variance that the paper calls posterior.
    """
    images, times = noise, spaced(steps)
    for time, following in zip(times, [*times[1:], -1], strict=True):
        yield images, time
        left, after = signal()[time], signal()[following] if following >= 0 else 1.0
        kept = left / after
        whole = (images - np.sqrt(1 - left) * predict(images, time)) / np.sqrt(left)
        mean = (np.sqrt(after) * (1 - kept) * whole + np.sqrt(kept) * (1 - after) * images) / (1 - left)
        deviation = np.sqrt((1 - kept) * (1 - after) / (1 - left))
        images = (mean + deviation * random.normal(size=images.shape)).astype(noise.dtype)
    yield images, -1
