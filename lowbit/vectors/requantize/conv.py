"""Directed inputs of a convolution of one image: the sums of linear layers with windows of 1 x 1, and every geometry.

``a`` is an image (height, width, channels), ``b`` the weights (outputs, rows, columns, channels), the result has shape
(out_height, out_width, outputs).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Array, Case, numbered
from lowbit.vectors.flags import gemm as g
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.values import Operands, random_codes
from lowbit.vectors.requantize.linear import directed_linear, drawn_linear
from lowbit.vectors.splitmix import splitmix64


class Geometry(NamedTuple):
    """Sizes of a convolution: ``above`` and ``left`` are before an image, and what the result needs is after it."""

    height: int
    width: int
    channels: int
    outputs: int
    rows: int
    columns: int
    out_height: int
    out_width: int
    stride_height: int = 1
    stride_width: int = 1
    above: int = 0
    left: int = 0


SIZES, SCALARS = Geometry._fields[:6], Geometry._fields[6:]
"""Sizes are those of the operands; the rest is a number that a Python function takes, too."""

GEOMETRIES = (
    Geometry(5, 7, 3, 4, 3, 3, 3, 5),
    Geometry(5, 7, 3, 4, 3, 3, 5, 7, above=1, left=1),
    Geometry(7, 5, 2, 3, 3, 1, 7, 5, above=1),
    Geometry(5, 7, 2, 3, 1, 3, 5, 7, left=1),
    Geometry(8, 6, 4, 2, 3, 3, 4, 3, 2, 2, above=0, left=0),
    Geometry(8, 6, 4, 2, 3, 3, 4, 3, 2, 2, above=1, left=1),
    Geometry(9, 7, 1, 5, 2, 3, 4, 3, 2, 2),
    Geometry(6, 9, 2, 3, 3, 2, 6, 3, 1, 3, above=1, left=1),
    Geometry(9, 6, 2, 3, 2, 3, 3, 6, 3, 1, above=1, left=1),
    Geometry(4, 4, 8, 8, 5, 5, 4, 4, above=2, left=2),
    Geometry(6, 5, 3, 2, 4, 4, 6, 5, above=2, left=1),
    Geometry(1, 9, 5, 3, 1, 4, 1, 6),
    Geometry(9, 1, 5, 3, 4, 1, 6, 1),
    Geometry(3, 3, 17, 17, 3, 3, 1, 1),
    Geometry(6, 6, 16, 4, 1, 1, 3, 3, 2, 2),
    Geometry(11, 11, 3, 6, 7, 7, 6, 6, 2, 2, above=3, left=3),
)


def directed_convolutions(operands: Operands, scheme: RequantizeScheme, result: FixedFormat) -> list[Case]:
    """All directed cases, numbered within each flag."""
    linear = [_pointwise(case) for case in directed_linear(operands, scheme, result)]
    drawn = [
        _drawn(flag, geometry, operands, scheme, result, 120_000 + 64 * index + 32 * (flag == g.ZERO_POINT))
        for index, geometry in enumerate(GEOMETRIES)
        for flag in (g.SHAPE, g.ZERO_POINT)
    ]
    return numbered([*linear, *drawn])


def random_convolutions(
    operands: Operands, scheme: RequantizeScheme, result: FixedFormat, count: int, seed: int
) -> list[Case]:
    """Random images and windows, strides and paddings."""
    numbers = (splitmix64(seed, 10 * count) % np.uint64(1 << 20)).astype(np.int64).reshape(count, 10).tolist()
    places = enumerate(_geometries(numbers))
    return numbered([_drawn(RANDOM, size, operands, scheme, result, (seed << 20) + 64 * at) for at, size in places])


def _geometries(numbers: list[list[int]]) -> Iterator[Geometry]:
    for height, width, channels, outputs, rows, columns, down, across, above, left in numbers:
        window = 1 + rows % 4, 1 + columns % 4
        image = window[0] + height % 9, window[1] + width % 9
        stride, before = (1 + down % 3, 1 + across % 3), (above % window[0], left % window[1])
        # As much padding after an image as before it.
        out = [(image[i] + 2 * before[i] - window[i]) // stride[i] + 1 for i in (0, 1)]
        yield Geometry(*image, 1 + channels % 18, 1 + outputs % 18, *window, out[0], out[1], *stride, *before)


def _pointwise(case: Case) -> Case:
    """The rows of a linear layer as the pixels of an image, one below the other."""
    (m, k), n = case.arrays["a"].shape, case.sizes["n"]
    arrays = {**case.arrays, "a": case.arrays["a"].reshape(m, 1, k)}
    arrays["b"] = np.ascontiguousarray(case.arrays["b"].T).reshape(n, 1, 1, k)
    return _with_geometry(replace(case, arrays=arrays), Geometry(m, 1, k, n, 1, 1, m, 1))


def _with_geometry(case: Case, geometry: Geometry) -> Case:
    """Sizes of arrays, then what a Python function is told, too, and the zero points."""
    parts = geometry._asdict()
    sizes, scalars = ({name: parts[name] for name in names} for names in (SIZES, SCALARS))
    shape = geometry.out_height, geometry.out_width, geometry.outputs
    return replace(case, sizes=sizes, scalars={**scalars, **case.scalars}, shape=shape)


def geometry_of(case: Case) -> Geometry:
    """The geometry of a case."""
    return Geometry(**case.sizes, **{name: int(case.scalars[name]) for name in SCALARS})


def _drawn(
    flag: int, geometry: Geometry, operands: Operands, scheme: RequantizeScheme, result: FixedFormat, seed: int
) -> Case:
    """Random codes, with the scales that a linear layer of the same sums has."""
    image = random_codes(operands.a, (geometry.height, geometry.width, geometry.channels), seed)
    shape = (geometry.outputs, geometry.rows, geometry.columns, geometry.channels)
    size = geometry.out_height * geometry.out_width, geometry.outputs, int(np.prod(shape[1:]))
    same = drawn_linear(flag, size, operands, scheme, result, seed + 1)
    arrays = {**same.arrays, "a": image, "b": random_codes(operands.b, shape, seed + 9)}
    return _with_geometry(replace(same, arrays=arrays), geometry)


def unrolled_image(image: Array, geometry: Geometry, outside: int) -> Array:
    """The windows of an image as rows; what lies outside of it has one code."""
    need = [
        (geometry.out_height - 1) * geometry.stride_height + geometry.rows,
        (geometry.out_width - 1) * geometry.stride_width + geometry.columns,
    ]
    after = [
        max(need[0] - geometry.above - image.shape[0], 0),
        max(need[1] - geometry.left - image.shape[1], 0),
    ]
    edges = ((geometry.above, after[0]), (geometry.left, after[1]), (0, 0))
    padded = np.pad(image, edges, constant_values=outside)
    views = np.lib.stride_tricks.sliding_window_view(padded, (geometry.rows, geometry.columns), (0, 1))
    picked = views[:: geometry.stride_height, :: geometry.stride_width][: geometry.out_height, : geometry.out_width]
    return np.ascontiguousarray(np.moveaxis(picked, 2, -1)).reshape(geometry.out_height * geometry.out_width, -1)


@lru_cache(maxsize=512)
def unrolled(case: Case) -> Case:
    """The linear layer that a convolution is: a row for each place of the result."""
    geometry = geometry_of(case)
    rows = unrolled_image(case.arrays["a"], geometry, int(case.scalars["a_zero_point"]))
    columns = np.ascontiguousarray(case.arrays["b"].reshape(geometry.outputs, -1).T)
    sizes = {"m": len(rows), "n": geometry.outputs, "k": len(columns)}
    arrays = {**case.arrays, "a": rows, "b": columns}
    scalars = {name: case.scalars[name] for name in ("a_zero_point", "zero_point")}
    return replace(case, arrays=arrays, sizes=sizes, scalars=scalars, shape=(len(rows), geometry.outputs))
