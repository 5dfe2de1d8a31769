"""Directed inputs of a convolution of one image: the sums of linear layers with windows of 1 x 1, and every geometry.

``a`` is an image (height, width, channels), ``b`` the weights (outputs, rows, columns, channels / groups), the result
has shape (out_height, out_width, outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Array, Case, Number, numbered
from lowbit.vectors.flags import gemm as g
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.patterns import random_codes
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
    groups: int = 1


SIZES, SCALARS = Geometry._fields[:6], Geometry._fields[6:-1]
"""Sizes are those of the operands; the rest is a number that a Python function takes, too."""
GROUPS = ("any", "depthwise")
"""The kernel takes a number of groups; or each output sees one channel, its own."""

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
GROUPED = (
    Geometry(5, 7, 4, 6, 3, 3, 3, 5, groups=2),
    Geometry(5, 7, 6, 3, 3, 3, 5, 7, above=1, left=1, groups=3),
    Geometry(8, 6, 6, 6, 3, 3, 4, 3, 2, 2, above=1, left=1, groups=2),
    Geometry(6, 5, 3, 6, 2, 3, 5, 3, groups=3),
    Geometry(4, 4, 17, 34, 1, 1, 4, 4, groups=17),
)
DEPTHWISE = tuple(
    Geometry(*size[:2], channels, channels, *size[4:12], groups=channels)
    for size, channels in zip(GEOMETRIES, (3, 5, 2, 3, 4, 8, 1, 2, 3, 16, 2, 5, 4, 17, 4, 6), strict=True)
)


def directed_convolutions(
    operands: Operands, scheme: RequantizeScheme, result: FixedFormat, groups: str = ""
) -> list[Case]:
    """All directed cases, numbered within each flag; ``groups`` is empty or one of ``GROUPS``."""
    depthwise = groups == "depthwise"
    shapes = DEPTHWISE if depthwise else GEOMETRIES + GROUPED * (groups == "any")
    linear = [_of_linear(case, depthwise) for case in directed_linear(operands, scheme, result)]
    drawn = [
        drawn_convolution(flag, geometry, operands, scheme, result, 120_000 + 64 * index + 32 * (flag == g.ZERO_POINT))
        for index, geometry in enumerate(shapes)
        for flag in (g.SHAPE, g.ZERO_POINT)
    ]
    return numbered(told(case, groups) for case in (*linear, *drawn))


def random_convolutions(
    operands: Operands, scheme: RequantizeScheme, result: FixedFormat, count: int, seed: int, groups: str = ""
) -> list[Case]:
    """Random images and windows, strides and paddings."""
    numbers = (splitmix64(seed, 10 * count) % np.uint64(1 << 20)).astype(np.int64).reshape(count, 10).tolist()
    places = enumerate(map(_GROUPED_AS[groups], _geometries(numbers)))
    drawn = (drawn_convolution(RANDOM, size, operands, scheme, result, (seed << 20) + 64 * at) for at, size in places)
    return numbered(told(case, groups) for case in drawn)


def told(case: Case, groups: str) -> Case:
    """A case whose scalars have the number of groups, for kernels that are told it."""
    return replace(case, scalars={**case.scalars, "groups": geometry_of(case).groups}) if groups else case


def _in_groups(size: Geometry) -> Geometry:
    """Of as many channels and outputs, or a few more, in one to four groups."""
    groups = 1 + (size.channels + size.outputs) % 4
    each = -(-size.channels // groups), -(-size.outputs // groups)
    return size._replace(channels=each[0] * groups, outputs=each[1] * groups, groups=groups)


_GROUPED_AS: Mapping[str, Callable[[Geometry], Geometry]] = {
    "": lambda size: size,
    "any": _in_groups,
    "depthwise": lambda size: size._replace(outputs=size.channels, groups=size.channels),
}


def _geometries(numbers: list[list[int]]) -> Iterator[Geometry]:
    for height, width, channels, outputs, rows, columns, down, across, above, left in numbers:
        window = 1 + rows % 4, 1 + columns % 4
        image = window[0] + height % 9, window[1] + width % 9
        stride, before = (1 + down % 3, 1 + across % 3), (above % window[0], left % window[1])
        # As much padding after an image as before it.
        out = [(image[i] + 2 * before[i] - window[i]) // stride[i] + 1 for i in (0, 1)]
        yield Geometry(*image, 1 + channels % 18, 1 + outputs % 18, *window, out[0], out[1], *stride, *before)


def _of_linear(case: Case, depthwise: bool) -> Case:
    """The rows of a linear layer as the pixels of an image, one below the other; or each as a row of all channels."""
    (m, k), n = case.arrays["a"].shape, case.sizes["n"]
    columns = np.ascontiguousarray(case.arrays["b"].T)
    if depthwise:
        image, window = np.repeat(case.arrays["a"][..., None], n, axis=-1), columns.reshape(n, 1, k, 1)
        geometry = Geometry(m, k, n, n, 1, k, m, 1, groups=n)
    else:
        image, window = case.arrays["a"].reshape(m, 1, k), columns.reshape(n, 1, 1, k)
        geometry = Geometry(m, 1, k, n, 1, 1, m, 1)
    return with_geometry(replace(case, arrays={**case.arrays, "a": image, "b": window}), geometry)


def with_geometry(case: Case, geometry: Geometry) -> Case:
    """Sizes of arrays, then what a Python function is told, too, and the zero points."""
    parts = geometry._asdict()
    sizes, scalars = ({name: parts[name] for name in names} for names in (SIZES, SCALARS))
    shape = geometry.out_height, geometry.out_width, geometry.outputs
    if geometry.groups > 1:
        scalars["groups"] = geometry.groups
    return replace(case, sizes=sizes, scalars={**scalars, **case.scalars}, shape=shape)


def geometry_of(case: Case) -> Geometry:
    """The geometry of a case."""
    numbers = {name: int(case.scalars[name]) for name in SCALARS}
    return Geometry(**case.sizes, **numbers, groups=int(case.scalars.get("groups", 1)))


def drawn_convolution(
    flag: int, geometry: Geometry, operands: Operands, scheme: RequantizeScheme, result: FixedFormat, seed: int
) -> Case:
    """Random codes, with the scales that a linear layer of the same sums has."""
    image = random_codes(operands.a, (geometry.height, geometry.width, geometry.channels), seed)
    shape = (geometry.outputs, geometry.rows, geometry.columns, geometry.channels // geometry.groups)
    size = geometry.out_height * geometry.out_width, geometry.outputs, int(np.prod(shape[1:]))
    same = drawn_linear(flag, size, operands, scheme, result, seed + 1)
    arrays = {**same.arrays, "a": image, "b": random_codes(operands.b, shape, seed + 9)}
    return with_geometry(replace(same, arrays=arrays), geometry)


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


def channels_seen(geometry: Geometry) -> Array:
    """The channels that each output sees, shape (outputs, channels / groups)."""
    depth = geometry.channels // geometry.groups
    group = np.arange(geometry.outputs) // (geometry.outputs // geometry.groups)
    return np.asarray(group[:, None] * depth + np.arange(depth))


@lru_cache(maxsize=512)
def groups_of(case: Case, seen: Callable[[Geometry], Array] = channels_seen) -> list[tuple[Array, Case]]:
    """The outputs that see the same channels, and the convolution of one group that makes them."""
    geometry = geometry_of(case)
    if geometry.groups == 1:
        return [(np.arange(geometry.outputs), case)]
    every, members = np.unique(seen(geometry), axis=0, return_inverse=True)
    parts = []
    for place, channels in enumerate(every):
        outputs = np.flatnonzero(members.ravel() == place)
        arrays = {name: values[outputs] for name, values in case.arrays.items() if name != "a"}
        arrays["a"] = np.ascontiguousarray(case.arrays["a"][..., channels])
        part = geometry._replace(channels=len(channels), outputs=len(outputs), groups=1)
        parts.append((outputs, with_geometry(replace(case, arrays=arrays, scalars=_zero_points(case)), part)))
    return parts


def _zero_points(case: Case) -> dict[str, Number]:
    return {name: value for name, value in case.scalars.items() if name.endswith("zero_point")}


@lru_cache(maxsize=512)
def unrolled(case: Case) -> Case:
    """The linear layer that a convolution of one group is: a row for each place of the result."""
    geometry = geometry_of(case)
    rows = unrolled_image(case.arrays["a"], geometry, int(case.scalars["a_zero_point"]))
    columns = np.ascontiguousarray(case.arrays["b"].reshape(geometry.outputs, -1).T)
    sizes = {"m": len(rows), "n": geometry.outputs, "k": len(columns)}
    arrays = {**case.arrays, "a": rows, "b": columns}
    return replace(case, arrays=arrays, sizes=sizes, scalars=_zero_points(case), shape=(len(rows), geometry.outputs))
