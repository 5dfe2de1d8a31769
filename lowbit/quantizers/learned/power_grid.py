"""Weights over the whole power grid and its exponent, learned: PowerQuant's grid as NUPES learns it.

Source: Yvinec et al., "NUPES" (arXiv 2308.05600): gradients move weights over the whole grid, not up or down alone, and
the exponent too; the slope by a weight passes straight through, that by the exponent is the grid's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.kernels.quantizers.fast_power_grid import round_powers
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Arrays

LEAST, MOST = 0.1, 2.0
"""The exponents that are learned."""


def on_power_grid(numbers: Any, power: Any, steps: int) -> Any:
    """Numbers over the largest of their block, from -1 to 1, at the codes' values; ``power`` has the shape (1,)."""
    return _on_power_grid()(numbers, power, steps, {})


@dataclass(frozen=True, eq=False)
class PowerGrid:
    """Blocks of weights under their largest magnitudes.

    Learned are ``weight`` (outputs, inputs) and ``power`` (1,), in binary32.

    Attributes
    ----------
    largest : ndarray of float32
        Of each block, with axes of 1: the weights' axes are (outputs, blocks, values).
    shape : tuple of int
    steps : int
        From 0 to the largest code.
    """

    largest: npt.NDArray[np.float32]
    shape: tuple[int, int, int]
    steps: int

    def values(self, learned: Mapping[str, Any]) -> Any:
        """The weights (outputs, inputs) on the grid of the exponent."""
        shares = learned["weight"].reshape(self.shape) / self.largest
        result = on_power_grid(shares, learned["power"], self.steps) * self.largest
        return result.reshape((self.shape[0], -1))

    def kept(self, learned: Arrays) -> Arrays:
        """Exponents within their limits: what is done after every step."""
        return {**learned, "power": np.clip(learned["power"], np.float32(LEAST), np.float32(MOST))}


@cache
def _on_power_grid() -> Callable[..., Any]:
    def forward(numbers: Array, power: Array, steps: int, slopes: dict[str, Array]) -> Array:
        kind = numbers.dtype.type
        result, slopes["power"] = np.empty(numbers.shape, numbers.dtype), np.empty(numbers.shape, numbers.dtype)
        flat = np.ascontiguousarray(numbers).reshape(-1)
        round_powers(flat, kind(power[0]), kind(steps), kind(1), result.reshape(-1), slopes["power"].reshape(-1))
        return result

    def gradients(
        above: Any, _result: Any, numbers: Array, power: Array, _steps: int, slopes: dict[str, Array]
    ) -> tuple[Any, ...]:
        inside = np.abs(numbers) <= 1
        return above * inside, np.sum(above * slopes["power"] * inside).reshape(1).astype(power.dtype)

    return differentiable().primitive(forward, gradients)
