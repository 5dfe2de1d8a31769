"""A classifier of 8 x 8 digits whose hidden layers have outlier channels that are planted: fixed, and large.

What weights make of a hidden layer passes a ReLU and is multiplied by a gain, which is 1 but for a few channels, as
norms of language models multiply a few channels (Dettmers et al., arXiv 2208.07339, section 4). Gains stay as they
are while weights learn; with gains of 1 it is the plain perceptron.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.models.functions import Functions, Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.models.mnist import SIDE, mnist
from lowbit.ops.arrays import Array

PIXELS, CLASSES = 64, 10
FRAME, CELL = 2, 4
"""28 pixels a side become 32 with a frame of black ones, and 8 as means of 4 x 4."""


def digits(*, held_out: bool) -> tuple[Array, Array]:
    """The images of :func:`lowbit.models.mnist.mnist` as 8 x 8 means from 0 to 1, and their labels.

    Returns
    -------
    images : ndarray of float32, shape (images, 64)
    labels : ndarray of int64, shape (images,)
    """
    images, labels = mnist(held_out=held_out)
    framed = np.pad(images.astype(np.float32) / 255, ((0, 0), (FRAME, FRAME), (FRAME, FRAME)))
    side = (SIDE + 2 * FRAME) // CELL
    return framed.reshape(-1, side, CELL, side, CELL).mean(axis=(2, 4)).reshape(-1, side * side), labels


@dataclass(frozen=True)
class Perceptron:
    """What the shape of the parameters does not say.

    Attributes
    ----------
    hidden : tuple of int
        Channels of each hidden layer.
    outliers : int
        How many of them are large in each.
    strength : float
        How many times.
    namespace : module
    """

    hidden: tuple[int, ...] = (96, 96, 96)
    outliers: int = 2
    strength: float = 25.0
    namespace: Any = np

    def initial(self, seed: int) -> dict[str, Array]:
        """Normal weights of He et al. (arXiv 1502.01852) over the gain of their input, zero biases; and the gains."""
        random = np.random.default_rng(seed)
        parameters: dict[str, Array] = {}
        gain = np.ones(PIXELS, np.float32)
        for number, channels in enumerate((*self.hidden, CLASSES)):
            weights = random.normal(size=(channels, len(gain))) * np.sqrt(2 / len(gain))
            parameters[f"layers.{number}.weight"] = (weights / gain).astype(np.float32)
            parameters[f"layers.{number}.bias"] = np.zeros(channels, np.float32)
            gain = np.ones(channels, np.float32)
            if number < len(self.hidden):
                gain[random.choice(channels, self.outliers, replace=False)] = self.strength
                parameters[f"gains.{number}"] = gain
        return parameters

    def logits(self, parameters: Parameters, images: Any, apply: Apply = plainly) -> Any:
        """Scores of the classes, shape (images, 10); ``apply`` stands around every operation."""
        run = Functions(parameters, apply, self.namespace)
        hidden = images
        for number in range(len(self.hidden)):
            hidden = run.relu(f"relu.{number}", run.linear(f"layers.{number}", hidden))
            hidden = run.multiply(f"multiply.{number}", hidden, parameters[f"gains.{number}"])
        return run.linear(f"layers.{len(self.hidden)}", hidden)
