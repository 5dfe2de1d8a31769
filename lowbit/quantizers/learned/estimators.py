"""What stands for the gradient of a rounding, which is 0 almost everywhere: the estimators as published, each one step.

All take plain arrays, and those of autograd; the first give values, bit for bit what the others are computed on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.kernels.quantizers.fast_fake_quantize import AFTER, BEFORE, CLIP_ONLY
from lowbit.kernels.quantizers.fast_fake_quantize import fake_quantize as quantize_blocks
from lowbit.kernels.quantizers.fast_fake_quantize import fake_quantize_gradients as gradients_of_blocks
from lowbit.ops.arrays import Array
from lowbit.policy.choices import require_choice
from lowbit.quantizers.learned.gradients import differentiable

ESTIMATORS = {
    "straight_through": "1 where the rounded code is in range, by the scale too (OmniQuant's quantizer.py)",
    "lsq": "1 where the number itself is in range (Esser et al., arXiv 1902.08153, equations 3 and 5)",
    "pact": "as lsq, and by the scale only where numbers are clamped (Choi et al., arXiv 1805.06085, equation 3)",
}
_RULES = {"straight_through": AFTER, "lsq": BEFORE, "pact": CLIP_ONLY}


def fake_quantize(
    values: Any, scale: Any, zero_point: Any = 0.0, *, low: int, high: int, estimator: str = "straight_through"
) -> Any:
    """Round to integers of a range and back: ``(clamp(rint(x / scale) + zero_point, low, high) - zero_point) * scale``.

    Parameters
    ----------
    values : array
        In binary32 or binary64, which the result keeps.
    scale, zero_point : array
        Of the leading axes of the values and axes of 1 (one for each block), or one for all. A zero point is an
        integer already: :func:`round_through` makes one.
    low, high : int
        The range of the codes.
    estimator : str
        One of ``ESTIMATORS``: what the slopes are.

    Raises
    ------
    InputError
        The scales do not fit the values.
    PolicyError
        The estimator is unknown.
    """
    require_choice("estimator", estimator, ESTIMATORS)
    blocks = _blocks_of(np.shape(values), np.shape(scale))
    zeros = zero_point if np.shape(zero_point) == np.shape(scale) else _like(scale, zero_point)
    return _fake_quantize()(values, scale, zeros, _Grid(low, high, _RULES[estimator], blocks))


def round_through(values: Any) -> Any:
    """The nearest integers, ties to even, with a slope of 1 (Bengio et al., arXiv 1308.3432)."""
    return through(values, np.rint)


def through(values: Any, function: Callable[[Array], Array]) -> Any:
    """What a function makes of each value, with a slope of 1: numbers as they are stored, say."""
    return function(values) if isinstance(values, np.ndarray) else _through()(values, function)


def _like(scale: Any, number: Any) -> Any:
    return number + scale * 0


def _blocks_of(values: tuple[int, ...], scale: tuple[int, ...]) -> tuple[int, int]:
    """How many blocks with a scale each there are, and how many numbers each has.

    Raises InputError: the scales are not those of leading axes.
    """
    size = int(np.prod(values, dtype=np.int64))
    kept = next((axis for axis, length in reversed(list(enumerate(scale))) if length != 1), -1) + 1
    if len(scale) > len(values) or (kept and (len(scale) != len(values) or scale[:kept] != values[:kept])):
        what = f"scales of shape {scale} do not fit values of shape {values}"
        raise InputError(what, hint="one for each of the leading axes, and 1 for the axes of a block: (outputs, 1)")
    blocks = int(np.prod(values[:kept], dtype=np.int64))
    return blocks, size // max(blocks, 1)


@dataclass(frozen=True)
class _Grid:
    """The codes there are, the rule of the slopes, and the blocks: (blocks, numbers of each)."""

    low: int
    high: int
    rule: int
    blocks: tuple[int, int]

    def parts(self, values: Any, scale: Any, zero: Any) -> tuple[Array, ...]:
        """The arrays in blocks, and the limits in their precision."""
        numbers = np.ascontiguousarray(values).reshape(self.blocks)
        kind = numbers.dtype
        factors, zeros = (np.ascontiguousarray(one, kind).reshape(-1) for one in (scale, zero))
        return numbers, factors, zeros, kind.type(self.low), kind.type(self.high)


@cache
def _fake_quantize() -> Callable[..., Any]:
    def forward(values: Any, scale: Any, zero: Any, grid: _Grid) -> Array:
        arrays = grid.parts(values, scale, zero)
        result = np.empty_like(arrays[0])
        quantize_blocks(*arrays, result)
        return result.reshape(np.shape(values))

    def gradients(above: Any, result: Array, values: Any, scale: Any, zero: Any, grid: _Grid) -> tuple[Array, ...]:
        arrays = grid.parts(values, scale, zero)
        slopes = [np.empty_like(one) for one in arrays[:3]]
        outside = np.ascontiguousarray(above, result.dtype).reshape(grid.blocks)
        gradients_of_blocks(*arrays, grid.rule, outside, *slopes)
        given = [np.asarray(one) for one in (values, scale, zero)]
        return tuple(own.reshape(one.shape).astype(one.dtype) for own, one in zip(slopes, given, strict=True))

    return differentiable().primitive(forward, gradients)


@cache
def _through() -> Callable[..., Any]:
    def forward(values: Any, function: Callable[[Array], Array]) -> Array:
        return function(values)

    return differentiable().primitive(forward, lambda above, _result, _values, _function: (above,))
