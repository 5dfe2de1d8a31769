"""Bugs of kernels of formats with more than one scale a block: of the tensor, of each sign, a zero point, of tiles."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from lowbit.check.block.bug import BlockBug, affine_codes, after, by_scales_of, codes_by, finest, scales_of
from lowbit.format.block import SIGNS, BlockFormat, ScaleField
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.scales import field_values
from lowbit.ops.cast.cast import encode
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts


def bugs_of_fields(fmt: BlockFormat) -> list[BlockBug]:
    """The bugs that the scales of a format beside the first one, or the rows of its blocks, make possible."""
    bugs = list(_OF_ROWS if len(fmt.block) == 1 else _OF_TILES)
    if is_affine(fmt):
        return [*bugs, *(_OF_OFFSETS if fmt.of_role("offset") else _OF_ZERO_POINTS)]
    if len(fmt.of_role("multiply", "divide")) > 1 and not fmt.scales[-1].block:
        bugs += _BESIDE_TENSOR
    return [*bugs, *(_OF_SIGNS if fmt.by_sign else ())]


def _tensor_field(rule: BlockRule) -> ScaleField:
    return rule.format.scales[-1]


def _reciprocal_stored(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    del values
    field = _tensor_field(rule)
    with np.errstate(all="ignore"):
        inverse = np.float32(1) / field_values(parts[field.name], field).astype(np.float32)
    return {field.name: np.asarray(encode(inverse, field.format))}


def _codes_without_tensor(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    return {"codes": codes_by(values, parts, rule, without=(_tensor_field(rule).name,))}


def _scales_without_tensor(values: Array, rule: BlockRule) -> Parts:
    tensor = _tensor_field(rule)
    alone = replace(rule, format=replace(rule.format, scales=finest(rule)))
    parts = alone.parts(values) | {tensor.name: rule.parts(values)[tensor.name]}
    return parts | {"codes": codes_by(values, parts, rule)}


def _tensor_of_first_row(values: Array, rule: BlockRule) -> Parts:
    parts = scales_of(values, values[:1], rule)
    return parts | {"codes": codes_by(values, parts, rule)}


_BESIDE_TENSOR = (
    BlockBug("tensor_reciprocal", "stores the reciprocal of the tensor's scale", after(_reciprocal_stored)),
    BlockBug("codes_without_tensor", "does not divide values by the tensor's scale", after(_codes_without_tensor)),
    BlockBug("scales_without_tensor", "makes the blocks' scales without the tensor's", _scales_without_tensor),
    BlockBug("tensor_of_first_row", "makes the tensor's scale from the first row only", _tensor_of_first_row),
)


def _other_sign(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    positive, negative = (parts[name] for name in SIGNS)
    return {"codes": codes_by(values, parts | {"positive": negative, "negative": positive}, rule)}


def _positive_alone(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    return {"codes": codes_by(values, parts | {"negative": parts["positive"]}, rule)}


def _one_maximum(values: Array, rule: BlockRule) -> Parts:
    sizes = np.abs(values)
    parts = {name: rule.parts(side)[name] for name, side in zip(SIGNS, (sizes, -sizes), strict=True)}
    return parts | {"codes": codes_by(values, parts, rule)}


_OF_SIGNS = (
    BlockBug("other_sign", "divides values by the scale of the other sign", after(_other_sign)),
    BlockBug("positive_alone", "divides values of both signs by the positive ones' scale", after(_positive_alone)),
    BlockBug("one_maximum", "makes the scales of both signs from the largest magnitude of either", _one_maximum),
)


def _added_times(factor: int, words: str) -> BlockBug:
    """The bug of a zero point or an offset that counts ``factor`` times."""
    return BlockBug(
        f"zero_point_times_{factor}",
        words,
        after(lambda parts, values, rule: {"codes": affine_codes(values, parts, rule, factor)}),
    )


_OF_ZERO_POINTS = (
    _added_times(0, "does not add the zero point"),
    _added_times(-1, "subtracts the zero point instead of adding it"),
)
_OF_OFFSETS = (
    _added_times(0, "does not subtract the offset from values"),
    _added_times(-1, "adds the offset to values instead of subtracting it"),
)


def _first_rows(values: Array, rule: BlockRule) -> Array:
    rows = np.arange(values.shape[-2])[:, None] % finest(rule)[0].extents(values.shape)[-2]
    return np.where(rows == 0, values, 0)


_OF_TILES = (BlockBug("first_row", "takes the maximum of the first row of a block only", by_scales_of(_first_rows)),)


def _other_axis(values: Array, rule: BlockRule, *, turned: bool) -> Parts:
    """Blocks down the columns; their scales, of each row of blocks or of each column, as far as there is room."""
    parts = rule.parts(values, axis=0, tail="short")
    grids = {field.name: field.grid(values.shape) for field in rule.format.scales}
    scales = {name: np.resize(parts[name].T if turned else parts[name], grid) for name, grid in grids.items()}
    return parts | scales


_OTHER_AXIS = "has its blocks along the other axis (down the columns)"
_OF_ROWS = (
    BlockBug("other_axis", _OTHER_AXIS, partial(_other_axis, turned=False)),
    BlockBug("other_axis_turned", _OTHER_AXIS, partial(_other_axis, turned=True)),
)
