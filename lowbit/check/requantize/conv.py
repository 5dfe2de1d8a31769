"""``lowbit check conv``: a convolution, a bias and a requantisation as one kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from lowbit.check.comparison import Comparison
from lowbit.check.gemm.problem import Matrix
from lowbit.check.gemm.rules import GemmRule
from lowbit.check.requantize.code_bugs import RequantizeBug
from lowbit.check.requantize.linear import LinearOperation, layer_prototype
from lowbit.check.requantize.linear_rules import EXACT, LinearBug, LinearRule, columns_of, with_bias
from lowbit.dut.prototype import Prototype
from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat
from lowbit.policy.requantize import RequantizeScheme
from lowbit.vectors.case import Array, Case, Number
from lowbit.vectors.gemm.values import Operands
from lowbit.vectors.requantize.conv import (
    GROUPS,
    SCALARS,
    SIZES,
    Geometry,
    channels_seen,
    directed_convolutions,
    geometry_of,
    groups_of,
    random_convolutions,
    unrolled,
    unrolled_image,
)
from lowbit.vectors.requantize.layer_sets import read_conv


def conv_prototype(operands: Operands, scheme: RequantizeScheme, result: FixedFormat, groups: str = "") -> Prototype:
    """The prototype: ``f(a, b, bias, multiplier, shift, c, height, width, ..., groups, a_zero_point, zero_point)``."""
    scalars = (*SCALARS, *(["groups"] if groups == "any" else []))
    return layer_prototype(operands, scheme, result, SIZES, scalars)


@dataclass(frozen=True)
class ConvBug(LinearBug):
    """A bug of the geometry: the linear layers that the kernel computes instead, one a group."""

    unroll: Callable[[Case], Case] = unrolled
    seen: Callable[[Geometry], Array] = channels_seen
    moved: bool = False  # whether results are written as (outputs, out_height, out_width)


@dataclass(frozen=True)
class ConvRule(LinearRule):
    """The rule of the linear layers that a convolution is."""

    def run(self, case: Case) -> Array:
        """The results of a case."""
        results = super().run(case).reshape(case.shape)
        moved = isinstance(self.bug, ConvBug) and self.bug.moved
        return np.moveaxis(results, -1, 0).reshape(case.shape) if moved else results

    def sums(self, case: Case) -> Matrix:
        """The sums of products, a row for each place of the result and a column for each output."""
        bug = self.bug if isinstance(self.bug, ConvBug) else _NO_BUG
        product = self.bug.product if isinstance(self.bug, LinearBug) else EXACT
        return _sums(case, bug, product)

    def exact_columns(self, case: Case) -> list[Case]:
        """The outputs of a case with exact sums, which all schemes ask for in turn."""
        return _exact_outputs(case)


_NO_BUG = ConvBug("", "")


@lru_cache(maxsize=512)
def _exact_outputs(case: Case) -> list[Case]:
    return columns_of(case, with_bias(case, _sums(case, _NO_BUG, EXACT)))


def _sums(case: Case, bug: ConvBug, product: GemmRule) -> Matrix:
    sums = np.empty((int(np.prod(case.shape[:-1])), case.shape[-1]), np.int64)
    for outputs, part in groups_of(case, bug.seen):
        sums[:, outputs] = product.run(bug.unroll(part))
    return sums


class ConvOperation(LinearOperation):
    """A convolution of one image, compared under one scheme; ``groups`` is empty or one of ``GROUPS``."""

    name = "conv"
    _sizes = SIZES
    _axes = ("rows", "columns", "outputs")

    def __init__(self, operands: Operands, scheme: RequantizeScheme, result: FixedFormat, groups: str = "") -> None:
        if groups not in ("", *GROUPS):
            raise InputError(f"groups = {groups!r} is unknown", hint=" or ".join(GROUPS))
        self.grouping = groups
        super().__init__(operands, scheme, result)
        self.prototype = conv_prototype(operands, scheme, result, groups)

    def _rule(self, scheme: RequantizeScheme, bug: LinearBug | RequantizeBug | None = None) -> ConvRule:
        return ConvRule(scheme, self.scheme, self.result, bug)

    def _bugs(self, comparison: Comparison) -> Iterator[LinearBug | RequantizeBug]:
        yield from conv_bugs(self.grouping)
        for bug in super()._bugs(comparison):
            yield replace(bug, words=bug.words.replace("column", "output"))

    def _directed(self) -> list[Case]:
        return directed_convolutions(self.operands, self.scheme, self.result, self.grouping)

    def _random(self, count: int, seed: int) -> list[Case]:
        return random_convolutions(self.operands, self.scheme, self.result, count, seed, self.grouping)

    def _read(self, path: str) -> list[Case]:
        return read_conv(path, self.operands, self.scheme, self.grouping)

    @property
    def _flags(self) -> tuple[str, ...]:
        return (*super()._flags, *(("--groups", self.grouping) if self.grouping else ()))


def conv_bugs(groups: str = "") -> Iterator[ConvBug]:
    """Every bug of the geometry, the likeliest first."""
    if groups:
        yield from _group_bugs()
    outside = "what lies outside of an image"
    yield ConvBug(
        "outside_zero", f"takes {outside} for the code 0, not for the zero point of a", unroll=_padded_with_zero
    )
    yield ConvBug("a_zero_ignored", "ignores the zero point of a", unroll=_with_zero_point(0))
    yield ConvBug("a_zero_added", "adds the zero point of a instead of subtracting it", unroll=_with_zero_point(-1))
    yield ConvBug("outside_edge", f"takes the codes at the edge for {outside}", unroll=_padded_with_edge)
    turned = _rewritten(lambda a, b: (a, b[:, ::-1, ::-1]))
    yield ConvBug("turned", "turns each window of b around (a convolution, not a correlation)", turned)
    orders = {"rows, columns, channels, outputs": (3, 0, 1, 2), "outputs, channels, rows, columns": (0, 2, 3, 1)}
    for order, axes in orders.items():
        taken = _rewritten(lambda a, b, axes=axes: (a, _as_if(b, axes)))  # type: ignore[misc]
        words = order.replace("channels", "channels of a group") if groups else order
        yield ConvBug(f"b_{order[:3]}", f"takes b for ({words})", taken)
    planes = _rewritten(lambda a, b: (_as_if(a, (1, 2, 0)), b))
    yield ConvBug("planes", "takes a for (channels, height, width)", planes)
    yield ConvBug("c_planes", "writes c as (outputs, height, width)", moved=True)
    yield ConvBug("strides_swapped", "swaps the strides", _swapped("stride_height", "stride_width"))
    strideless = _told(lambda scalars: {**scalars, "stride_height": 1, "stride_width": 1})
    yield ConvBug("stride_1", "steps by 1 whatever the strides are", strideless)
    yield ConvBug("padding_swapped", "swaps above and left", _swapped("above", "left"))
    none = _told(lambda scalars: {**scalars, "above": 0, "left": 0})
    yield ConvBug("no_padding", "ignores above and left", none)


def _group_bugs() -> Iterator[ConvBug]:
    """Which channels an output sees."""

    def turns(geometry: Geometry) -> Array:
        ours = channels_seen(geometry)
        each = geometry.outputs // geometry.groups
        return ours[np.arange(geometry.outputs) % geometry.groups * each]

    def strided(geometry: Geometry) -> Array:
        depth = geometry.channels // geometry.groups
        return (channels_seen(geometry)[:, :1] // depth) + np.arange(depth) * geometry.groups

    yield ConvBug("outputs_in_turn", "takes outputs for those of each group in turn: output % groups", seen=turns)
    yield ConvBug("channels_in_turn", "takes channels for those of each group in turn: channel % groups", seen=strided)
    words = "lets each output see the channels of the first group"
    yield ConvBug("first_group", words, seen=lambda size: np.repeat(channels_seen(size)[:1], size.outputs, axis=0))


def _padded_with_zero(case: Case) -> Case:
    return _with_rows(case, unrolled_image(case.arrays["a"], geometry_of(case), 0))


def _with_zero_point(factor: int) -> Callable[[Case], Case]:
    """Another zero point, and nothing from outside of an image."""

    def unroll(case: Case) -> Case:
        zero = factor * int(case.scalars["a_zero_point"])
        whole = _with_rows(case, unrolled_image(case.arrays["a"].astype(np.int16), geometry_of(case), zero))
        return replace(whole, scalars={**whole.scalars, "a_zero_point": zero})

    return unroll


def _padded_with_edge(case: Case) -> Case:
    geometry, image = geometry_of(case), case.arrays["a"]
    places = np.arange(image.shape[0] * image.shape[1]).reshape(*image.shape[:2], 1)
    more = max(geometry.rows, geometry.columns)
    padded = np.pad(places, ((geometry.above, more), (geometry.left, more), (0, 0)), mode="edge")
    inside = unrolled_image(padded, geometry._replace(above=0, left=0), 0)
    return _with_rows(case, image.reshape(-1, image.shape[2])[inside].reshape(len(inside), -1))


def _with_rows(case: Case, rows: Array) -> Case:
    whole = unrolled(case)
    return replace(whole, arrays={**whole.arrays, "a": rows})


def _rewritten(change: Callable[[Array, Array], tuple[Array, Array]]) -> Callable[[Case], Case]:
    def rewrite(case: Case) -> Case:
        a, b = change(case.arrays["a"], case.arrays["b"])
        return replace(case, arrays={**case.arrays, "a": a, "b": b})

    return rewrite


def _told(change: Callable[[Mapping[str, Number]], Mapping[str, Number]]) -> Callable[[Case], Case]:
    return lambda case: replace(case, scalars=change(case.scalars))


def _swapped(one: str, other: str) -> Callable[[Case], Case]:
    return _told(lambda scalars: {**scalars, one: scalars[other], other: scalars[one]})


def _as_if(array: Array, axes: tuple[int, ...]) -> Array:
    """The array that lies in memory in another order of its axes: ``axes`` are the places of ours in that order."""
    order = [axes.index(place) for place in range(len(axes))]
    shape = [array.shape[place] for place in order]
    return np.ascontiguousarray(array).reshape(shape).transpose(axes)
