"""Pooling of images (batch, height, width, channels): the maximum, or the average with a declared rounding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lowbit.layers.conv import LARGEST_PADDING, Padding, Pair, check_padding, check_pairs, windows
from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step
from lowbit.layers.requantize import Rescale, finished, finished_bounds
from lowbit.ops.types import Array

ROUNDINGS = {
    "away": "to nearest, ties away from zero: TensorFlow Lite's AVERAGE_POOL_2D",
    "even": "to nearest, ties to even: ONNX's QuantizeLinear of the average",
    "up": "to nearest, ties up",
    "floor": "down",
    "zero": "toward zero: HAWQ-V3's QuantAveragePool2d",
}
"""How the quotient of a sum of codes and the number of its terms becomes a code."""


@dataclass(frozen=True, eq=False)
class MaxPool(Layer):
    """The largest code of each window; what lies outside of an image does not count.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., height, width, channels).
    size : (int, int)
        Height and width of a window.
    stride : (int, int)
    padding : ((int, int), (int, int))
        Rows before and after, columns before and after: fewer than the window has, so that each sees the image.
    """

    operation = "max_pool"
    input: Quantity
    size: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_window(self, self.size, self.stride, self.padding)

    @property
    def result(self) -> Quantity:
        return self.input

    def steps(self, *codes: Array) -> Iterator[Step]:
        fmt = self.input.scalar
        views = windows(self, codes[0], self.size, self.stride, self.padding, fmt.codes[0])
        yield Step.of("maximum", views.max(axis=(-3, -2)), fmt)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        yield Bound.of("maximum", ranges[0], self.input.scalar)


@dataclass(frozen=True, eq=False)
class AveragePool(Layer):
    """The average of each window.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., height, width, channels).
    division : str or Rescale
        How a sum becomes an average: a name of ``ROUNDINGS``, for the quotient of the sum of the codes and their
        number, those outside of an image not counted; or a Rescale of the sum of the codes less their zero point, with
        the number in its multiplier.
    size : (int, int)
        Height and width of a window; those of the image for a global average.
    stride : (int, int)
    padding : ((int, int), (int, int))
        Rows before and after, columns before and after: fewer than the window has, so that each sees the image.

    Raises
    ------
    InputError
        A rounding is unknown; a Rescale has more than one multiplier, or comes with padding.
    """

    operation = "average_pool"
    input: Quantity
    division: str | Rescale
    size: Pair
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_window(self, self.size, self.stride, self.padding)
        if isinstance(self.division, Rescale):
            self.require(not any(map(any, self.padding)), "padding changes the number of terms, and a Rescale has one")
            self.division.check_channels(1, self.operation)
            offset = self.input.zero_point * self.size[0] * self.size[1]
            self.require(
                abs(offset) < 1 << 31, f"size = {self.size}: the zero points add up to {offset:,}, not an int32"
            )
        else:
            known = f"one of {', '.join(ROUNDINGS)}"
            self.require(self.division in ROUNDINGS, f"division = {self.division!r} is not a rounding", known)

    @property
    def result(self) -> Quantity:
        return self.division.result if isinstance(self.division, Rescale) else self.input

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        sums = self._sums(array)
        if isinstance(self.division, Rescale):
            return finished(self.division, sums - np.int32(self.input.zero_point * self.size[0] * self.size[1]))
        counts = self._sums(np.ones((*array.shape[-3:-1], 1), np.int8))
        return self._divided(sums, counts, self.division)

    def _sums(self, array: Array) -> npt.NDArray[np.int32]:
        views = windows(self, array, self.size, self.stride, self.padding, 0)
        sums: npt.NDArray[np.int32] = views.sum(axis=(-3, -2), dtype=np.int32)
        return sums

    def _divided(self, sums: npt.NDArray[np.int32], counts: npt.NDArray[np.int32], rounding: str) -> Iterator[Step]:
        fmt = self.input.scalar
        yield Step("accumulator", sums, 32)
        yield Step.of("average", rounded_quotients(sums, counts, rounding).astype(fmt.code_dtype), fmt)

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        inputs, terms = ranges[0], self.size[0] * self.size[1]
        if isinstance(self.division, Rescale):
            centred = inputs.less(self.input.zero_point)
            return finished_bounds(self.division, Interval(centred.low * terms, centred.high * terms))
        low, high = np.minimum(inputs.low * terms, inputs.low), np.maximum(inputs.high * terms, inputs.high)
        return iter((Bound("accumulator", low, high, 32), Bound.of("average", inputs, self.input.scalar)))


def _check_window(layer: Layer, size: Pair, stride: Pair, padding: Padding) -> None:
    """Raise an InputError unless they are pairs of a possible size and every window sees the image."""
    check_pairs(layer, size=size, stride=stride)
    check_padding(layer, padding, (min(size[0] - 1, LARGEST_PADDING), min(size[1] - 1, LARGEST_PADDING)))


def rounded_quotients(
    sums: npt.NDArray[np.int32], counts: npt.NDArray[np.int32], rounding: str
) -> npt.NDArray[np.int64]:
    """Sums divided by positive counts, rounded as a name of ``ROUNDINGS`` says."""
    wide = counts.astype(np.int64)
    whole = sums.astype(np.int64) // wide
    rest = sums - whole * wide
    upward = {
        "away": (2 * rest > wide) | ((2 * rest == wide) & (sums > 0)),
        "even": (2 * rest > wide) | ((2 * rest == wide) & (whole % 2 == 1)),
        "up": 2 * rest >= wide,
        "floor": np.False_,
        "zero": (rest > 0) & (sums < 0),
    }[rounding]
    quotients: npt.NDArray[np.int64] = whole + upward
    return quotients
