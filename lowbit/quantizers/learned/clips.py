"""Learned clips: the share of a block's range that its scale is made from, as OmniQuant learns it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from scipy.special import expit

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arrays import Array
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode, encode
from lowbit.quantizers.clip import block_length
from lowbit.quantizers.learned.estimators import fake_quantize, through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Arrays

START = 4.0
"""What the logistic function is taken of at first: it keeps 0.98201 of the range, not all of it."""
SMALLEST, LARGEST = 1e-5, 1e4
"""Of a scale."""
SIDES = ("upper", "lower")


class Grid(NamedTuple):
    """Scales and zero points, shape (outputs, blocks, 1); a zero point is a whole number, of the codes."""

    scale: Any
    zero: Any


@dataclass(frozen=True)
class LearnedClip:
    """Integers whose blocks keep a learned share of either side of their range.

    ``scale = (s(upper) max - s(lower) min) / levels`` with the logistic function s, or for formats without zero points
    that of the larger side; the zero point is ``rint(-s(lower) min / scale)`` above the lowest code, and has no slope.
    Weights are computed in their own precision, scales in that of the format.

    Source: Shao et al., "OmniQuant", ICLR 2024 (arXiv 2308.13137), equation 2; OpenGVLab/OmniQuant 95fae1b,
    quantize/quantizer.py, which holds scales between 1e-5 and 1e4. Its symmetric codes reach from -Q to Q + 1, here
    from -Q - 1 to Q; blocks all of one sign have 0 as the other end of their range here, for the zero point to be one.
    """

    format: BlockFormat

    def __post_init__(self) -> None:
        roles = sorted(field.role for field in self.format.scales)
        if not self.format.element.wraps or roles not in (["multiply"], ["multiply", "zero_point"]):
            what = f"clips are learned of integers with one scale, and a zero point or none, not of {self.format.id}"
            raise InputError(what, hint="int4.g128.asymmetric")

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest code."""
        codes = self.format.element.codes
        return int(codes[0]), int(codes[-1])

    @property
    def field(self) -> ScaleField:
        """That of the scales."""
        return self.format.of_role("multiply")[0]

    def start(self, weights: Array, name: str = "", *, of: float = START) -> Arrays:
        """The parameters of a matrix before anything is learned, ``name`` before their own names.

        ``of``: what the logistic function is taken of; infinity keeps the whole range.
        """
        shape = (*self._blocks(weights).shape[:2], 1)
        return {f"{name}{side}": np.full(shape, of, weights.dtype) for side in SIDES}

    def grid(self, weights: Any, learned: Mapping[str, Any], name: str = "") -> Grid:
        """The scales and zero points for weights, with slopes."""
        space = differentiable().namespace
        blocks, (low, high) = self._blocks(weights), self.ends
        largest = space.maximum(space.amax(blocks, axis=-1, keepdims=True), 0)
        smallest = space.minimum(space.amin(blocks, axis=-1, keepdims=True), 0)
        upper, lower = (_logistic()(learned[f"{name}{side}"]) for side in SIDES)
        if self.format.of_role("zero_point"):
            scale = (upper * largest - lower * smallest) / (high - low)
        else:
            scale = space.maximum(upper * largest, -lower * smallest) / high
        scale = through(space.clip(scale, SMALLEST, LARGEST), self._stored)
        if not self.format.of_role("zero_point"):
            return Grid(scale, scale * 0)
        return Grid(scale, space.clip(space.rint(-lower * smallest / scale) + low, low, high))

    def values(self, weights: Any, learned: Mapping[str, Any], name: str = "") -> Any:
        """What the codes of weights are worth, shape (outputs, inputs): bit for bit those of :meth:`tensor`."""
        scale, zero = self.grid(weights, learned, name)
        low, high = self.ends
        result = fake_quantize(self._blocks(weights), scale, zero, low=low, high=high)
        return differentiable().namespace.reshape(result, weights.shape)

    def tensor(self, weights: Array, learned: Mapping[str, Array], name: str = "") -> BlockTensor:
        """The codes of weights, and their scales and zero points."""
        scale, zero = (np.asarray(part) for part in self.grid(weights, learned, name))
        codes = np.clip(np.rint(self._blocks(weights) / scale) + zero, *self.ends)
        shape = self.field.grid(weights.shape)
        fields = {self.field.name: encode(scale.reshape(shape), self.field.format)}
        for field in self.format.of_role("zero_point"):
            fields[field.name] = zero.reshape(shape).astype(field.format.code_dtype)
        whole = codes.reshape(weights.shape).astype(self.format.element.code_dtype)
        return BlockTensor.trusted(self.format, 1, whole, fields)

    def _blocks(self, weights: Any) -> Any:
        outputs, inputs = weights.shape
        shape = (outputs, -1, block_length(self.format, inputs)) if self.format.block else (1, 1, outputs * inputs)
        return differentiable().namespace.reshape(weights, shape)

    def _stored(self, scale: Array) -> Array:
        """Scales as the format has them."""
        fmt = self.field.format
        return np.asarray(decode(encode(scale, fmt), fmt, dtype=scale.dtype))


@cache
def _logistic() -> Callable[..., Any]:
    """``1 / (1 + e^-x)``, for which nothing overflows; autograd's slope of a hyperbolic tangent does."""

    def forward(values: Any) -> Array:
        return np.asarray(expit(values))

    return differentiable().primitive(forward, lambda above, result, _values: (above * result * (1 - result),))
