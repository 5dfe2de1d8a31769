"""What any layer may do otherwise: zero points, biases, tables, windows, operands of sums, the order of its codes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import permutations
from typing import Any

import numpy as np

from lowbit.check.model.hypothesis import LayerBug, Path, altered, of_inputs, of_result, parts, with_value
from lowbit.check.model.rescale_bugs import factors_of
from lowbit.layers import AveragePool, Conv, Embedding, Layer, MaxPool, Positions, Quantity, Rescale, Select, Step, Sum
from lowbit.layers.pool import ROUNDINGS
from lowbit.layers.shape import Reshape
from lowbit.ops.types import Array

WIDE = {8: "int16", 16: "int32"}
INPUTS = ("input", "left", "right", "query", "key", "value", "entries")


def field_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Every hypothesis on the fields of a layer, the likely ones first."""
    for path, value in parts(layer):
        if isinstance(value, Quantity) and path[-1] in INPUTS and value.zero_point:
            yield from _zero_point_bugs(layer, path, value)
        elif isinstance(value, bool):
            yield with_value(layer, path, not value, f"takes {path[-1]} for {not value}")
        elif path == ("bias",) and value is not None:
            yield from _bias_bugs(layer)
        elif path == ("weight_zero_point",) and np.any(value):
            yield with_value(layer, path, 0, "ignores the zero point of its weight")
        elif path == ("table",):
            yield from _table_bugs(layer)
        elif path == ("padding",):
            yield from _window_bugs(layer, value)
        elif isinstance(value, Sum):
            yield from _sum_bugs(layer)
    if isinstance(layer, AveragePool):
        yield from _average_bugs(layer)
    elif isinstance(layer, Select):
        for index, words in ((0, "first"), (-1, "last"), (layer.index + 1, "next"), (layer.index - 1, "one before")):
            yield with_value(layer, ("index",), index, f"takes the {words} position")
    yield from _order_bugs(layer)


def _zero_point_bugs(layer: Layer, path: Path, value: Quantity) -> Iterator[LayerBug]:
    wide, what, zero = WIDE.get(value.scalar.container_bits, "int32"), path[-1], value.zero_point
    kinds = {
        f"ignores the zero point of its {what}": 0,
        f"adds the zero point of its {what} instead of subtracting it": -zero,
        f"subtracts the zero point of its {what} twice": 2 * zero,
    }
    for words, point in kinds.items():
        fmt = value.format if point in value.scalar.codes else wide
        yield with_value(layer, path, replace(value, zero_point=point, format=fmt), words)


def _bias_bugs(layer: Layer) -> Iterator[LayerBug]:
    changes: dict[str, Any] = {
        "ignores the bias": lambda _: None,
        "subtracts the bias instead of adding it": lambda bias: -bias,
        "adds the bias twice": lambda bias: 2 * bias,
        "adds the next channel's bias": lambda bias: np.roll(bias, -1),
        "adds the bias of the channel before": lambda bias: np.roll(bias, 1),
        "wraps the bias to 16 bits": lambda bias: bias.astype(np.int16).astype(np.int32),
    }
    for words, change in changes.items():
        yield altered(layer, ("bias",), change, words)


def _table_bugs(layer: Layer) -> Iterator[LayerBug]:
    what = "row of its table" if isinstance(layer, Embedding | Positions) else "entry of its table"
    for step, words in ((-1, f"takes the next {what}"), (1, f"takes the {what} before")):
        yield altered(layer, ("table",), lambda table, step=step: np.roll(table, step, axis=0), words)  # type: ignore[misc]
    half = "takes its input for signed where it is unsigned, or the reverse: the table half a turn off"
    yield altered(layer, ("table",), lambda table: np.roll(table, len(table) // 2, axis=0), half)


def _window_bugs(layer: Layer, padding: Any) -> Iterator[LayerBug]:
    """Windows that begin elsewhere, as where one framework pads on one side what another pads on both."""
    for step in (-1, 1):
        moved = tuple((before + step, after - step) for before, after in padding)
        for axes in ((0, 1), (0,), (1,)):
            new = tuple(moved[axis] if axis in axes else padding[axis] for axis in (0, 1))
            words = f"begins windows {'earlier' if step > 0 else 'later'}: padding {new}, not {tuple(padding)}"
            yield with_value(layer, ("padding",), new, words)
    if not isinstance(layer, Conv):
        turned = "takes the strides for those of the other axis"
        yield altered(layer, ("stride",), lambda stride: stride[::-1], turned)
    if isinstance(layer, MaxPool) and any(map(any, padding)):
        edges = ((0, 0), *padding, (0, 0))
        words = "takes what lies outside of an image for the code 0"
        yield of_inputs(replace(layer, padding=((0, 0), (0, 0))), lambda codes: (np.pad(codes, edges),), words)


def _average_bugs(layer: AveragePool) -> Iterator[LayerBug]:
    for rounding, words in ROUNDINGS.items():
        yield with_value(layer, ("division",), rounding, f"divides, rounding {words}")
    if isinstance(layer.division, Rescale):
        terms = layer.size[0] * layer.size[1]
        for count in (terms - 1, terms + 1):

            def other(division: Rescale, count: int = count) -> Rescale:
                factors = factors_of(division) * terms / max(count, 1)
                return Rescale.from_scale(factors, division.scheme, division.result)

            yield altered(layer, ("division",), other, f"divides by {count}, not by {terms}")


def _sum_bugs(layer: Any) -> Iterator[LayerBug]:
    def swapped(one: Sum) -> Sum:
        return replace(one, left=one.right, right=one.left)

    yield altered(layer, ("sum",), swapped, "takes the multiplier of each operand for the other one")
    for side in ("left", "right"):
        words = f"takes the multiplier of its {side} operand for both"
        yield altered(layer, ("sum",), lambda one, side=side: _both(one, side), words)  # type: ignore[misc]
    if isinstance(layer, Positions):
        yield from _position_bugs(layer)
        return
    zeros = layer.left.zero_point, layer.right.zero_point
    for place, side in enumerate(("left", "right")):

        def without(*codes: Array, place: int = place) -> tuple[Array, ...]:
            return tuple(np.full_like(one, zeros[at]) if at == place else one for at, one in enumerate(codes))

        yield of_inputs(layer, without, f"does not add its {side} operand")

    def together(left: Array, right: Array) -> tuple[Array, Array]:
        both = left.astype(np.int32) + right.astype(np.int32) - zeros[1]
        return both, np.full_like(both, zeros[1])

    def rectified(*codes: Array) -> tuple[Array, ...]:
        return tuple(np.maximum(one, zero) for one, zero in zip(codes, zeros, strict=True))

    yield of_inputs(layer, together, "adds the codes before it rescales them, by the multiplier of the left operand")
    yield of_inputs(
        layer,
        lambda left, right: together(right, left)[::-1] if zeros[0] == zeros[1] else (left, right),
        "adds the codes before it rescales them, by the multiplier of the right operand",
    )
    yield of_inputs(layer, rectified, "takes negative operands for 0 before it adds them")
    negative = "subtracts its right operand"
    yield of_inputs(layer, lambda left, right: (left, 2 * zeros[1] - right.astype(np.int32)), negative)


def _both(one: Sum, side: str) -> Sum:
    return replace(one, left=getattr(one, side), right=getattr(one, side))


def _position_bugs(layer: Positions) -> Iterator[LayerBug]:
    zero = layer.entries.zero_point
    yield altered(layer, ("table",), lambda table: np.full_like(table, zero), "does not add its table")
    words = "adds the first row of its table at every position"
    yield altered(layer, ("table",), lambda table: np.repeat(table[:1], len(table), axis=0), words)


def _order_bugs(layer: Layer) -> Iterator[LayerBug]:
    """Inputs and results in another order."""
    count = len(layer.inputs)
    for order in list(permutations(range(count)))[1:]:
        words = "takes its inputs in the other order" + (f": {order}" if count > 2 else "")
        dtypes = [quantity.scalar.code_dtype for quantity in layer.inputs]

        def moved(*codes: Array, order: tuple[int, ...] = order, dtypes: Any = dtypes) -> tuple[Array, ...]:
            return tuple(codes[place].astype(dtype) for place, dtype in zip(order, dtypes, strict=True))

        yield of_inputs(layer, moved, words)
    if count == 1 and not isinstance(layer, Reshape):
        yield LayerBug("does nothing: it returns its input", lambda codes: layer_step(layer, codes))
    if isinstance(layer, Reshape):
        last = "takes the last two axes of its input in the other order"
        yield of_inputs(layer, lambda codes: (np.swapaxes(codes, -1, -2).reshape(codes.shape),), last, by_item=False)
    for axes in ((-2, -1), (-3, -1), (-3, -2)):
        words = f"writes its result with axes {axes[0]} and {axes[1]} in the other order"
        yield of_result(layer, partial(_moved_axes, axes=axes), words, by_item=False)


def _moved_axes(codes: Array, axes: tuple[int, int]) -> Array:
    return np.swapaxes(codes, *axes).reshape(codes.shape)


def layer_step(layer: Layer, codes: Array) -> Iterator[Step]:
    """Codes as the only step of a layer."""
    fmt = layer.result.scalar
    yield Step("result", codes, fmt.bits, fmt.signed)
