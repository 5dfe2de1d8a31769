"""Bugs of kernels that quantise into blocks and that no block policy expresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.block.bug import BlockBug, Compute, after, by_scales_of, codes_by, finest, length, of_blocks
from lowbit.check.block.bugs_of_fields import bugs_of_fields
from lowbit.check.block.bugs_of_maxima import bugs_of_maxima
from lowbit.check.block.bugs_of_vectors import bugs_of_vectors
from lowbit.check.block.placement import from_tiles, swapped, to_tiles
from lowbit.check.transposed import read_transposed, written_transposed
from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import from_patterns
from lowbit.ops.block.nested import nested_formats, quantize_scales
from lowbit.ops.block.scales import field_values
from lowbit.ops.cast.cast import encode
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts

ELEMENTS = (
    ("float4_e2m1fn", "float4_e1m2", "float4_e3m0", "int4"),
    ("float6_e2m3fn", "float6_e3m2fn"),
    ("float8_e4m3fn", "float8_e5m2", "float8_e4m3", "float8_e4m3fnuz", "float8_e5m2fnuz"),
)
"""Element formats of one width, which are taken for each other."""


def block_bugs(fmt: BlockFormat) -> list[BlockBug]:
    """The bugs that a kernel of a format can have; of nested scales, before these are quantised themselves."""
    if fmt.nested:
        outer = nested_formats(fmt).outer
        return [replace(bug, compute=_before_nesting(bug.compute, outer)) for bug in block_bugs(outer)]
    return [*_ALWAYS, *bugs_of_maxima(fmt), *bugs_of_fields(fmt), *bugs_of_vectors(fmt), *_other_elements(fmt)]


def _before_nesting(compute: Compute, outer: BlockFormat) -> Compute:
    def nested(values: Array, rule: BlockRule) -> Parts:
        field = outer.scales[0]
        parts = compute(values, replace(rule, bug=None, format=outer))
        scales = field_values(parts[field.name], field).astype(np.float32)
        return {"codes": parts["codes"]} | quantize_scales(rule.format, rule.policy, scales)

    return nested


def _times(codes: Array, field: ScaleField, factor: float) -> Array:
    """Scales times a power of two."""
    if field.role == "exponent":
        moved = codes.astype(np.int64) + int(np.log2(factor))
        if moved.size and not field.format.codes[0] <= moved.min() <= moved.max() <= field.format.codes[-1]:
            raise InputError(f"{field.format.id} does not hold exponents that are {factor} times as large")
        return moved.astype(codes.dtype)
    if field.format.wraps:
        raise InputError(f"{field.format.id} has no powers of two")
    return np.asarray(encode(field_values(codes, field) * factor, field.format, policy="ocp_sat"))


def _scaled(factor: Callable[[BlockRule], float], *, stored_only: bool) -> Compute:
    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(values)
        parts |= {field.name: _times(parts[field.name], field, factor(rule)) for field in finest(rule)}
        return parts if stored_only else parts | {"codes": codes_by(values, parts, rule)}

    return compute


def _scaled_before(factor: Callable[[BlockRule], float]) -> Compute:
    """Scales of larger or smaller maxima, so that those of zeros are right, and none is beyond its format."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(values.astype(np.float64) * factor(rule))
        return parts | {"codes": codes_by(values, parts, rule)}

    return compute


def _without_place(place: int) -> Callable[[Array, BlockRule], Array]:
    """The values with one of each block left out, the first or the last."""

    def change(values: Array, rule: BlockRule) -> Array:
        size, columns = length(values, rule), values.shape[-1]
        kept = values.copy()
        starts = np.arange(0, columns, size)
        ends = np.minimum(starts + size, columns) - 1
        kept[..., starts if place == 0 else ends] = 0
        return kept

    return change


def _first_halves(values: Array, rule: BlockRule) -> Array:
    size = length(values, rule)
    return np.where(np.arange(values.shape[-1]) % size < (size + 1) // 2, values, 0)


def _whole_rows(values: Array, rule: BlockRule) -> Array:
    del rule
    return np.broadcast_to(np.abs(values).max(axis=-1, keepdims=True), values.shape)


def _next_row(values: Array, rule: BlockRule) -> Array:
    """The last block of a row reads on into the next row."""
    size, columns = length(values, rule), values.shape[-1]
    rest = columns % size
    if not rest:
        return values
    tail, flat = np.zeros((len(values), rest), values.dtype), np.abs(values).reshape(-1)
    for row in range(len(values)):
        start = (row + 1) * columns - rest
        tail[row] = flat[start : start + size].max()
    return np.concatenate([values[:, : columns - rest], tail], axis=1)


def _other_scale(place: Callable[[Array, int, int], Array]) -> Compute:
    """Values are divided by the scale of another block: ``place(columns, size, blocks)`` says which."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        if not of_blocks(rule):
            raise InputError(f"{rule.format.id} has one scale: no block has another's")
        parts, size = rule.parts(values), length(values, rule)
        columns = np.arange(values.shape[-1])
        blocks = int(columns[-1]) // size + 1
        chosen = place(columns, size, blocks)
        moved = dict(parts)
        alike = [field for field in of_blocks(rule) if field.block == finest(rule)[0].block]
        one = {field.name: replace(field, block=(*field.block[:-1], 1)) for field in alike}
        for field in alike:
            moved[field.name] = parts[field.name][..., chosen]
        fields = tuple(one.get(field.name, field) for field in rule.format.scales)
        return parts | {"codes": codes_by(values, moved, rule, fields=fields)}

    return compute


def _in_tiles(order: Callable[[Array, ScaleField], Array]) -> Compute:
    return after(lambda parts, _, rule: {field.name: order(parts[field.name], field) for field in finest(rule)})


_ALWAYS = (
    BlockBug(
        "signed_maximum",
        "takes the largest value for the largest magnitude",
        by_scales_of(lambda values, _: np.where(values > 0, values, 0)),
    ),
    BlockBug("not_first", "leaves the first value of a block out of its maximum", by_scales_of(_without_place(0))),
    BlockBug("not_last", "leaves the last value of a block out of its maximum", by_scales_of(_without_place(-1))),
    BlockBug("first_half", "takes the maximum of the first half of a block only", by_scales_of(_first_halves)),
    BlockBug("whole_rows", "takes the maximum of the whole row for each block", by_scales_of(_whole_rows)),
    BlockBug("next_row", "reads past the end of a row in the last block of it", by_scales_of(_next_row)),
    BlockBug("scale_up", "has scales a binade too large", _scaled(lambda _: 2.0, stored_only=False)),
    BlockBug("scale_down", "has scales a binade too small", _scaled(lambda _: 0.5, stored_only=False)),
    BlockBug("maximum_up", "has scales a binade too large", _scaled_before(lambda _: 2.0)),
    BlockBug("maximum_down", "has scales a binade too small", _scaled_before(lambda _: 0.5)),
    BlockBug("stored_up", "stores scales a binade above those it divides by", _scaled(lambda _: 2.0, stored_only=True)),
    BlockBug(
        "stored_down", "stores scales a binade below those it divides by", _scaled(lambda _: 0.5, stored_only=True)
    ),
    BlockBug(
        "not_subtracted",
        "does not subtract the largest element's exponent from that of a scale",
        _scaled_before(lambda rule: 2.0**rule.format.number.max_exponent),
    ),
    BlockBug(
        "shifted_group",
        "divides the last value of a block by the scale of the next one (blocks off by one)",
        _other_scale(lambda columns, size, blocks: np.minimum((columns + 1) // size, blocks - 1)),
    ),
    BlockBug(
        "previous_group",
        "divides a block by the scale of the one before it",
        _other_scale(lambda columns, size, _: np.maximum(columns // size - 1, 0)),
    ),
    BlockBug(
        "first_group",
        "divides a row by the scale of its first block",
        _other_scale(lambda columns, *_: 0 * columns),
    ),
    BlockBug(
        "columns_first",
        "reads the values column by column (rows and columns swapped)",
        lambda values, rule: rule.parts(read_transposed(values)),
    ),
    BlockBug(
        "codes_columns_first",
        "writes the codes column by column",
        after(lambda parts, *_: {"codes": written_transposed(parts["codes"])}),
    ),
    BlockBug(
        "scales_transposed",
        "writes the scales column by column (transposed)",
        after(lambda parts, _, rule: {field.name: written_transposed(parts[field.name]) for field in of_blocks(rule)}),
    ),
    BlockBug("scales_128x4", "writes the scales in cuBLAS's tiles of 128 x 4 (swizzled)", _in_tiles(to_tiles)),
    BlockBug(
        "scales_from_128x4",
        "takes the scales out of cuBLAS's tiles of 128 x 4 (the swizzle transposed)",
        _in_tiles(from_tiles),
    ),
    BlockBug(
        "swapped_nibbles",
        "has the two codes of each pair in the other order (swapped nibbles)",
        after(lambda parts, *_: {"codes": swapped(parts["codes"])}),
    ),
    BlockBug(
        "sign_dropped",
        "drops the sign of the values",
        after(lambda parts, values, rule: {"codes": codes_by(np.abs(values), parts, rule)}),
    ),
)


@cache
def _other_elements(fmt: BlockFormat) -> tuple[BlockBug, ...]:
    """The bugs of elements that are coded in another format of the same width."""
    return tuple(_elements_as(name) for name in _alike(fmt.element.id))


def _alike(name: str) -> Iterator[str]:
    for names in ELEMENTS:
        if name in names:
            yield from (other for other in names if other != name)


def _elements_as(name: str) -> BlockBug:
    other = scalar_format(name)

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = replace(rule, bug=None, format=replace(rule.format, element=other)).parts(values)
        return parts | {
            "codes": from_patterns(parts["codes"].astype(np.int64) & ((1 << other.bits) - 1), rule.format.element)
        }

    return BlockBug(f"elements_{name}", f"codes its elements as {name}", compute)
