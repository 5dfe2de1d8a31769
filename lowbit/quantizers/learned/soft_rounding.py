"""AdaRound's soft rounding between the two neighbours of a number on any grid, learned until each is decided.

Source: Nagel et al., "Up or Down? Adaptive Rounding for Post-Training Quantization", ICML 2020 (arXiv 2004.10568),
section 3.3: a sigmoid that is stretched beyond 0 and 1 and clamped, and what it costs not to be decided.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.kernels.quantizers import fast_soft_rounding as kernels
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.levels import Levels, levels_of

START, END = -0.1, 1.1
"""Between these the sigmoid lies before it is clamped: gamma and zeta."""
LEAST, MOST = 0.01, 0.99
"""Shares that the first ones are kept between: at 0 and 1 the sigmoid passes no slope on."""
SHARP, BLUNT = 2.0, 20.0
"""The power of the penalty falls from the second to the first."""


def soft_rounded(lower: Array, steps: Array, raw: Any) -> Any:
    """``lower + steps * share``, with the share that ``raw`` stands for: arrays of one shape, in one precision."""
    return _soft_rounded()(raw, lower, steps, {})


def undecided(raw: Any, power: float) -> Any:
    """The mean of ``1 - |2 share - 1|^power``: 0 where every share is 0 or 1."""
    return _undecided()(raw, power, {})


def share(raw: Array) -> Array:
    """What ``raw`` stands for, from 0 to 1."""
    result: Array = soft_rounded(np.zeros_like(raw), np.ones_like(raw), raw)
    return result


def power(step: int, steps: int, warm_up: int) -> float | None:
    """The power of the penalty in a step, on half a cosine from blunt to sharp; None before the penalty begins."""
    if step < warm_up:
        return None
    done = (step - warm_up) / max(steps - warm_up, 1)
    return SHARP + (BLUNT - SHARP) * (1 + float(np.cos(np.pi * done))) / 2


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The values of a grid below and above each weight, under the scales of a tensor.

    Attributes
    ----------
    tensor : BlockTensor
        Whose scales they are under.
    lower, upper : ndarray of int64, shape (outputs, inputs)
        Their places among the codes of the levels; the same where a weight is beyond the last level.
    levels : Levels
    """

    tensor: BlockTensor
    lower: npt.NDArray[np.int64]
    upper: npt.NDArray[np.int64]
    levels: Levels

    @classmethod
    def of(cls, matrix: Doubles, tensor: BlockTensor) -> Neighbours:
        """Of weights (outputs, inputs)."""
        levels = levels_of(tensor)
        outputs, blocks, count = levels.values.shape
        parts = matrix.reshape(outputs, blocks, -1)
        order = np.argsort(levels.values, axis=2, kind="stable")  # a scale below 0 turns them
        ascending = np.take_along_axis(levels.values, order, axis=2)
        below = np.full(parts.shape, -1, np.int64)
        for place in range(count):
            below += ascending[:, :, place, None] <= parts
        ends = np.maximum(below, 0), np.clip(below + (below >= 0), 0, count - 1)
        lower, upper = (np.take_along_axis(order, end, axis=2).reshape(matrix.shape) for end in ends)
        return cls(tensor, lower, upper, levels)

    def values(self, places: npt.NDArray[np.int64]) -> Doubles:
        """The values of some places."""
        outputs, blocks, _ = self.levels.values.shape
        parts = places.reshape(outputs, blocks, -1)
        result: Doubles = np.take_along_axis(self.levels.values, parts, axis=2).reshape(places.shape)
        return result

    def start(self, matrix: Doubles) -> Array:
        """What is learned, where the soft values are the weights themselves."""
        lower, upper = self.values(self.lower), self.values(self.upper)
        distance = np.divide(matrix - lower, upper - lower, out=np.full(lower.shape, 0.5), where=upper > lower)
        inside = (np.clip(distance, LEAST, MOST) - START) / (END - START)
        result: Array = np.log(inside / (1 - inside)).astype(np.float32)
        return result

    def decided(self, raw: Array) -> BlockTensor:
        """The tensor of the upper neighbour where the share is at least 1/2, and of the lower one elsewhere."""
        places = np.where(share(raw) >= 0.5, self.upper, self.lower)
        codes = np.ascontiguousarray(self.levels.codes[places])
        scales = {name: self.tensor.scale_codes(name) for name in self.tensor.scales}
        return BlockTensor.trusted(self.tensor.format, 1, codes, scales)


def _limits(raw: Array) -> tuple[Any, ...]:
    """Of the sigmoid, and 1, in the arrays' precision."""
    kind = raw.dtype.type
    return kind(START), kind(END - START), kind(1)


@cache
def _soft_rounded() -> Callable[..., Any]:
    def forward(raw: Array, lower: Array, steps: Array, slopes: dict[str, Array]) -> Array:
        result, slopes["raw"] = np.empty(raw.shape, raw.dtype), np.empty(raw.shape, raw.dtype)
        arrays = (np.ascontiguousarray(one, raw.dtype).reshape(-1) for one in (lower, steps, raw))
        kernels.soft_rounding(*arrays, *_limits(raw), result.reshape(-1), slopes["raw"].reshape(-1))
        return result

    return differentiable().primitive(forward, _by_raw)


@cache
def _undecided() -> Callable[..., Any]:
    def forward(raw: Array, power: float, slopes: dict[str, Array]) -> Any:
        slopes["raw"] = np.empty(raw.shape, raw.dtype)
        flat, kind = np.ascontiguousarray(raw).reshape(-1), raw.dtype.type
        total = kernels.undecided(flat, *_limits(raw), kind(power), slopes["raw"].reshape(-1))
        slopes["raw"] /= kind(raw.size)
        return total / raw.size

    return differentiable().primitive(forward, _by_raw)


def _by_raw(above: Any, _result: Any, _raw: Any, *others: Any) -> tuple[Any, ...]:
    """The slope of a step whose last argument keeps that of its first, which the pass forward has computed."""
    slopes: Array = others[-1]["raw"]
    return (np.asarray(above, slopes.dtype) * slopes,)
