"""Steps down a gradient: Adam, AdamW and RMSprop over named parameters, and how their rates fall."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.settings import MOMENT, checked

Arrays = dict[str, Array]
SCHEDULES = {
    "constant": "the rate stays",
    "linear": "it falls to 0 on a line",
    "cosine": "it falls to 0 as half a cosine does (Loshchilov and Hutter, arXiv 1608.03983)",
}


class Optimizer(Protocol):
    """What moves one parameter."""

    def start(self, parameter: Array) -> Arrays:
        """What it remembers of a parameter before the first step."""

    def moved(self, parameter: Array, gradient: Array, state: Arrays, step: int, rate: float) -> tuple[Array, Arrays]:
        """The parameter after a step, the first of which is 1, and what is remembered then."""


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba (arXiv 1412.6980), Algorithm 1; with ``decay`` AdamW (arXiv 1711.05101), Algorithm 2.

    In PyTorch's order: the second moment's root is divided by its correction before epsilon is added.
    """

    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    decay: float = 0.0

    def __post_init__(self) -> None:
        for beta in self.betas:
            MOMENT.checked("beta", beta)
        checked(epsilon=self.epsilon, decay=self.decay)

    def start(self, parameter: Array) -> Arrays:
        return {"mean": np.zeros_like(parameter), "square": np.zeros_like(parameter)}

    def moved(self, parameter: Array, gradient: Array, state: Arrays, step: int, rate: float) -> tuple[Array, Arrays]:
        first, second = self.betas
        mean = first * state["mean"] + (1 - first) * gradient
        square = second * state["square"] + (1 - second) * gradient * gradient
        divisor = np.sqrt(square) / math.sqrt(1 - second**step) + self.epsilon
        kept = parameter * (1 - rate * self.decay)
        result = kept - rate / (1 - first**step) * mean / divisor
        return result.astype(parameter.dtype), {"mean": mean, "square": square}


@dataclass(frozen=True)
class RMSprop:
    """Tieleman and Hinton, "Lecture 6.5" (Coursera, 2012), as PyTorch has it."""

    alpha: float = 0.9
    epsilon: float = 1e-8

    def __post_init__(self) -> None:
        MOMENT.checked("alpha", self.alpha)
        checked(epsilon=self.epsilon)

    def start(self, parameter: Array) -> Arrays:
        return {"square": np.zeros_like(parameter)}

    def moved(self, parameter: Array, gradient: Array, state: Arrays, step: int, rate: float) -> tuple[Array, Arrays]:
        del step
        square = self.alpha * state["square"] + (1 - self.alpha) * gradient * gradient
        result = parameter - rate * gradient / (np.sqrt(square) + self.epsilon)
        return result.astype(parameter.dtype), {"square": square}


def share(schedule: str, step: int, steps: int, warm_up: int = 0) -> float:
    """What a step's rate is of the highest: it rises for ``warm_up`` steps, then does as ``SCHEDULES`` say."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(steps - warm_up, 1)
    if schedule == "cosine":
        return (1 + math.cos(math.pi * done)) / 2
    return 1 - done if schedule == "linear" else 1.0


def rate_of(name: str, rates: Mapping[str, float]) -> float:
    """The rate of a parameter: of the longest key that its name ends in; the key ``""`` is that of all others."""
    keys = [key for key in rates if name.endswith(key)]
    return rates[max(keys, key=len)] if keys else 0.0
