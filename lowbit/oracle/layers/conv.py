"""Convolutions and pooling of one image, a window at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction

from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.layers.linear import linear
from lowbit.oracle.layers.requantize import Rescaling
from lowbit.oracle.requantize.requantize import to_integer

Image = Sequence[Sequence[Sequence[int]]]
"""Rows of columns of channels."""

Padding = tuple[tuple[int, int], tuple[int, int]]


def windows(
    image: Image, size: tuple[int, int], stride: tuple[int, int], padding: Padding
) -> Iterator[Iterator[list[list[int] | None]]]:
    """For each row and column of the result the window's places in order; None outside of the image."""
    (above, below), (left, right) = padding
    height, width = len(image), len(image[0])
    for top in range(-above, height + below - size[0] + 1, stride[0]):
        yield (
            [
                list(image[y][x]) if 0 <= y < height and 0 <= x < width else None
                for y in range(top, top + size[0])
                for x in range(start, start + size[1])
            ]
            for start in range(-left, width + right - size[1] + 1, stride[1])
        )


def conv(  # noqa: PLR0913 (the layer's parameters)
    image: Image,
    weight: Sequence[Image],
    output: Rescaling | None,
    *,
    bias: Sequence[int] | None = None,
    zero_point: int = 0,
    stride: tuple[int, int] = (1, 1),
    padding: Padding = ((0, 0), (0, 0)),
    groups: int = 1,
    weight_zero_point: int = 0,
) -> list[list[list[int]]]:
    """The results of an image; each output sees the channels of its group."""
    size, depth = (len(weight[0]), len(weight[0][0])), len(weight[0][0][0])
    each = len(weight) // groups

    def at(window: list[list[int] | None]) -> list[int]:
        sums = []
        for place, taps in enumerate(weight):
            first = place // each * depth
            codes = [
                code for pixel in window for code in (pixel or [zero_point] * depth * groups)[first : first + depth]
            ]
            flat = [tap for row in taps for column in row for tap in column]
            start = None if bias is None else bias[place : place + 1]
            zeros = [weight_zero_point]
            sums += linear(codes, [flat], None, bias=start, input_zero_point=zero_point, weight_zero_points=zeros)
        return sums if output is None else [output(total, channel) for channel, total in enumerate(sums)]

    return [[at(window) for window in row] for row in windows(image, size, stride, padding)]


def pool(
    image: Image,
    size: tuple[int, int],
    stride: tuple[int, int],
    padding: Padding,
    reduce: Callable[[list[int]], int],
) -> list[list[list[int]]]:
    """Each channel of each window reduced, places outside of the image left out."""
    return [
        [[reduce(list(codes)) for codes in zip(*(pixel for pixel in window if pixel), strict=True)] for window in row]
        for row in windows(image, size, stride, padding)
    ]


def average(codes: list[int], rounding: str) -> int:
    """The average of codes, rounded."""
    exact = Fraction(sum(codes), len(codes))
    if rounding == "zero":
        return int(exact)
    return to_integer(exact, "down" if rounding == "floor" else rounding)


def rescaled_sum(codes: list[int], zero_point: int, output: Rescaling) -> int:
    """The sum of codes less their zero point, requantised."""
    return output(wrap(sum(code - zero_point for code in codes), 32))
