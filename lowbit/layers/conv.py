"""Convolutions of images (batch, height, width, channels): windows as rows of a matrix product."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.layers.layer import Bound, Interval, Layer, Quantity, Step, is_integer
from lowbit.layers.linear import Linear, product_bounds
from lowbit.layers.requantize import Output, check_output, finished
from lowbit.ops.types import Array

BUFFER_BYTES = 1 << 20
"""Windows of as many images as fit are copied at a time, so that the copy stays in the cache."""

LARGEST_STEP, LARGEST_PADDING = (1 << 16) - 1, (1 << 10) - 1
"""Of a window and from one to the next; on a side of an image, which is copied with its padding."""

Pair = tuple[int, int]
Padding = tuple[Pair, Pair]


@dataclass(frozen=True, eq=False)
class Conv(Layer):
    """A convolution in two dimensions; what lies outside of an image has the value 0, the input's zero point.

    Attributes
    ----------
    input : Quantity
        Of codes of shape (..., height, width, channels): int8, uint8, int16 or narrower.
    weight : ndarray of int8, shape (out, height, width, channels / groups)
    output : Rescale or Quantity
        With one multiplier, or one for each of the outputs; a Quantity of int32 hands out the accumulators.
    bias : ndarray of int32, shape (out,), optional
    stride : (int, int)
    padding : ((int, int), (int, int))
        Rows before and after, columns before and after, at most 1,023 of each.
    groups : int
        Each part of the outputs sees its part of the channels only; as many as channels is a depthwise convolution.
    weight_format : str
        ``int8`` or narrower.

    Raises
    ------
    InputError
        A parameter has a wrong dtype, shape or value; the message begins with ``conv`` and names it.

    Notes
    -----
    The weight's layout is that of TensorFlow Lite's CONV_2D (OHWI).
    """

    operation = "conv"
    input: Quantity
    weight: npt.NDArray[np.int8]
    output: Output
    bias: npt.NDArray[np.int32] | None = None
    stride: Pair = (1, 1)
    padding: Padding = ((0, 0), (0, 0))
    groups: int = 1
    weight_format: str = "int8"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_parameter("weight", self.weight_format, (None,) * 4)
        outputs = len(self.weight)
        whole = is_integer(self.groups, 1, outputs) and outputs % self.groups == 0
        self.require(whole, f"{outputs} outputs in {self.groups} groups")
        check_pairs(self, size=self.weight.shape[1:3], stride=self.stride)
        check_padding(self, self.padding, (LARGEST_PADDING, LARGEST_PADDING))
        check_output(self.output, outputs, self.operation)
        if self.bias is not None:
            self.check_parameter("bias", "int32", (outputs,))

    @property
    def _channels(self) -> int:
        return int(self.weight.shape[3]) * self.groups

    @cached_property
    def _products(self) -> tuple[Linear, ...]:
        """The products of each group: rows are windows."""
        rows = self.weight.reshape(self.groups, len(self.weight) // self.groups, -1)
        biases = [None] * self.groups if self.bias is None else self.bias.reshape(self.groups, -1)
        accumulators = Quantity("int32", 1.0)
        return tuple(
            Linear(self.input, part, accumulators, bias, weight_format=self.weight_format)
            for part, bias in zip(rows, biases, strict=True)
        )

    def channels(self, *given: int | None) -> int:
        self.require_channels(given[0], self._channels)
        return len(self.weight)

    def steps(self, *codes: Array) -> Iterator[Step]:
        (array,) = codes
        size = self.weight.shape[1:3]
        views = windows(self, array, size, self.stride, self.padding, self.input.zero_point, self._channels)
        images = views.reshape(-1, *views.shape[-5:])
        if self.groups == self._channels > 1:
            sums = self._depthwise(images)
        else:
            sums = np.empty((*images.shape[:3], len(self.weight)), np.int32)
            self._by_products(images, sums)
        return finished(self.output, sums.reshape(*array.shape[:-3], *sums.shape[1:]))

    def _by_products(self, images: Array, sums: npt.NDArray[np.int32]) -> None:
        """Windows copied into a buffer, some images at a time, and multiplied there."""
        _, height, width, rows, columns, channels = images.shape
        outputs, inputs = len(self.weight) // self.groups, channels // self.groups
        bytes_an_image = max(height * width * rows * columns * inputs * images.itemsize, 1)
        count = max(BUFFER_BYTES // bytes_an_image, 1)
        buffer = np.empty((min(count, len(images)), height, width, rows, columns, inputs), images.dtype)
        for first in range(0, len(images), count):
            part = images[first : first + count]
            for group, product in enumerate(self._products):
                filled = buffer[: len(part)]
                filled[...] = part[..., group * inputs : (group + 1) * inputs]
                flat = product.accumulators(filled.reshape(-1, rows * columns * inputs))
                sums[first : first + count, ..., group * outputs : (group + 1) * outputs] = flat.reshape(
                    *part.shape[:3], outputs
                )

    def _depthwise(self, images: Array) -> npt.NDArray[np.int32]:
        """One product a place of the window: a matrix product of one column each would be slower. Sums modulo 2^32."""
        each = len(self.weight) // self.groups
        taps = self.weight[..., 0].reshape(self.groups, each, *self.weight.shape[1:3]).astype(np.int32)
        sums = np.zeros((*images.shape[:3], self.groups, each), np.int32)
        for row, column in np.ndindex(*self.weight.shape[1:3]):
            codes = images[:, :, :, row, column].astype(np.int32) - np.int32(self.input.zero_point)
            sums += codes[..., None] * taps[:, :, row, column]
        flat = sums.reshape(*images.shape[:3], len(self.weight))
        return flat if self.bias is None else flat + self.bias

    def bounds(self, *ranges: Interval) -> Iterator[Bound]:
        inputs = ranges[0].less(self.input.zero_point)
        if any(map(any, self.padding)):
            inputs = Interval(np.minimum(inputs.low, 0), np.maximum(inputs.high, 0))
        outputs, height, width, depth = self.weight.shape
        group = np.repeat(np.arange(self.groups), outputs // self.groups)
        channel = group[:, None] * depth + np.tile(np.arange(depth), height * width)
        each = [np.broadcast_to(end, (self._channels,))[channel] for end in inputs]
        weight = self.weight.reshape(outputs, -1).astype(np.int64)
        return product_bounds(Interval(*each), weight, self.bias, self.output)


def check_pairs(layer: Layer, **pairs: Any) -> None:
    """Raise an InputError that names it unless each is a pair of integers from 1 to ``LARGEST_STEP``."""
    for name, pair in pairs.items():
        layer.require(_is_pair(pair, 1, LARGEST_STEP), f"{name} = {pair!r}: two integers from 1 to {LARGEST_STEP:,}")


def check_padding(layer: Layer, padding: Any, largest: Pair) -> None:
    """Raise an InputError unless it is a pair of pairs of integers from 0 to ``largest`` rows and columns."""
    fits = isinstance(padding, tuple | list) and len(padding) == 2
    fits = fits and all(_is_pair(ends, 0, most) for ends, most in zip(padding, largest, strict=True))
    words = f"((before, after), (before, after)), rows from 0 to {largest[0]:,} and columns from 0 to {largest[1]:,}"
    layer.require(fits, f"padding = {padding!r}: it takes {words}")


def _is_pair(pair: Any, low: int, high: int) -> bool:
    return isinstance(pair, tuple | list) and len(pair) == 2 and all(is_integer(part, low, high) for part in pair)


def windows(
    layer: Layer, codes: Array, size: tuple[int, ...], stride: Pair, padding: Padding, outside: int, channels: int = 0
) -> Array:
    """A view of shape (..., height, width, rows of the window, its columns, channels) of images, padded.

    Raises InputError: they are not images, have another number of channels, or are smaller than the window.
    """
    layer.require(codes.ndim >= 3, f"input has shape {codes.shape}, not (..., height, width, channels)")
    found = codes.shape[-1]
    layer.require(channels in (0, found), f"input has {found} channels in shape {codes.shape}, not {channels}")
    if any(map(any, padding)):
        edges = [(0, 0)] * (codes.ndim - 3) + [*padding, (0, 0)]
        codes = np.pad(codes, edges, constant_values=outside)
    place = codes.ndim - 3
    layer.require(
        all(have >= want for have, want in zip(codes.shape[place:], size, strict=False)),
        f"images of {codes.shape[place]} x {codes.shape[place + 1]}, padded, are smaller than windows of {size}",
    )
    view = np.lib.stride_tricks.sliding_window_view(codes, size, (place, place + 1))
    every = (..., slice(None, None, stride[0]), slice(None, None, stride[1]), slice(None), slice(None), slice(None))
    return np.moveaxis(view[every], -3, -1)
