"""Bugs of kernels that quantise into blocks and that no block policy expresses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.check.operation import Bug
from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import scalar_format
from lowbit.ops.arrays import from_patterns
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.scales import Steps, coarse_scales, field_values, fine_scales, magnitudes
from lowbit.ops.cast.cast import encode
from lowbit.ops.pack.pack import pack
from lowbit.ops.pack.placement import SCALE_COLUMNS, SCALE_ROWS
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts

Compute = Callable[[Array, "BlockRule"], "Parts"]
ELEMENTS = (
    ("float4_e2m1fn", "float4_e1m2", "float4_e3m0", "int4"),
    ("float6_e2m3fn", "float6_e3m2fn"),
    ("float8_e4m3fn", "float8_e5m2", "float8_e4m3", "float8_e4m3fnuz", "float8_e5m2fnuz"),
)
"""Element formats of one width, which are taken for each other."""


@dataclass(frozen=True)
class BlockBug(Bug):
    """A bug: what a kernel makes of a tensor."""

    compute: Compute


def block_bugs(fmt: BlockFormat) -> list[BlockBug]:
    """The bugs that a kernel of a format can have."""
    bugs = [*_ALWAYS, *(_BESIDE_TENSOR if len(fmt.scales) > 1 and not fmt.scales[-1].block else ())]
    return [*bugs, *_other_elements(fmt)]


def codes_by(values: Array, scales: Parts, rule: BlockRule, *, without: tuple[str, ...] = ()) -> Array:
    """The codes of values divided by scales that are there, without some of them."""
    dtype = np.float64 if rule.policy.arithmetic == "exact" else np.float32
    scale: Any = dtype(1)
    with np.errstate(all="ignore"):
        for field in rule.format.of_role("multiply", "exponent", "divide"):
            if field.name not in without:
                worth = spread(field_values(scales[field.name], field), field, values.shape).astype(dtype)
                scale = scale / worth if field.role == "divide" else scale * worth
        reciprocal = rule.policy.quotient_steps == "reciprocal" and dtype == np.float32
        quotients: Any = values.astype(dtype)
        quotients = quotients * (dtype(1) / scale) if reciprocal else quotients / scale
        if rule.policy.zero_scale == "zero":
            quotients = np.where(np.broadcast_to(scale == 0, values.shape), dtype(0) * values, quotients)
    return np.asarray(encode(quotients, rule.format.element, policy=rule.policy.policy("element", rule.format.element)))


def _by_scales_of(change: Callable[[Array, BlockRule], Array]) -> Compute:
    """The scales of a tensor that is changed first, and the codes by them."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(change(values, rule))
        return parts | {"codes": codes_by(values, parts, rule)}

    return compute


def _after(change: Callable[[Parts, Array, BlockRule], Parts]) -> Compute:
    """What is right, with some results changed afterwards."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(values)
        return parts | change(parts, values, rule)

    return compute


def _fine(rule: BlockRule) -> tuple[ScaleField, ...]:
    """The finest scales."""
    return tuple(field for field in rule.format.scales if field.block) or rule.format.scales[:1]


def _length(values: Array, rule: BlockRule) -> int:
    return _fine(rule)[0].extents(values.shape)[-1]


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
        parts |= {field.name: _times(parts[field.name], field, factor(rule)) for field in _fine(rule)}
        return parts if stored_only else parts | {"codes": codes_by(values, parts, rule)}

    return compute


def _scaled_before(factor: Callable[[BlockRule], float]) -> Compute:
    """Scales of larger or smaller maxima, so that those of zeros are right, and none is beyond its format."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(values.astype(np.float64) * factor(rule))
        return parts | {"codes": codes_by(values, parts, rule)}

    return compute


def _top_power(rule: BlockRule) -> float:
    return 2.0**rule.format.element.max_exponent


def _positive(values: Array, rule: BlockRule) -> Array:
    del rule
    return np.where(values > 0, values, 0)


def _without_place(place: int) -> Callable[[Array, BlockRule], Array]:
    """The values with one of each block left out, the first or the last."""

    def change(values: Array, rule: BlockRule) -> Array:
        length, columns = _length(values, rule), values.shape[-1]
        kept = values.copy()
        starts = np.arange(0, columns, length)
        ends = np.minimum(starts + length, columns) - 1
        kept[..., starts if place == 0 else ends] = 0
        return kept

    return change


def _first_halves(values: Array, rule: BlockRule) -> Array:
    length = _length(values, rule)
    return np.where(np.arange(values.shape[-1]) % length < (length + 1) // 2, values, 0)


def _whole_rows(values: Array, rule: BlockRule) -> Array:
    del rule
    return np.broadcast_to(np.abs(values).max(axis=-1, keepdims=True), values.shape)


def _next_row(values: Array, rule: BlockRule) -> Array:
    """The last block of a row reads on into the next row."""
    length, columns = _length(values, rule), values.shape[-1]
    rest = columns % length
    if not rest:
        return values
    tail, flat = np.zeros((len(values), rest), values.dtype), np.abs(values).reshape(-1)
    for row in range(len(values)):
        start = (row + 1) * columns - rest
        tail[row] = flat[start : start + length].max()
    return np.concatenate([values[:, : columns - rest], tail], axis=1)


def _other_scale(place: Callable[[Array, int, int], Array]) -> Compute:
    """Values are divided by the scale of another block: ``place(columns, length, blocks)`` says which."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        if not all(field.block for field in _fine(rule)):
            raise InputError(f"{rule.format.id} has one scale: no block has another's")
        parts, length = rule.parts(values), _length(values, rule)
        columns = np.arange(values.shape[-1])
        blocks = int(columns[-1]) // length + 1
        chosen = place(columns, length, blocks)
        moved = dict(parts)
        one = {field.name: replace(field, block=(*field.block[:-1], 1)) for field in _fine(rule)}
        for field in _fine(rule):
            moved[field.name] = parts[field.name][..., chosen]
        fields = tuple(one.get(field.name, field) for field in rule.format.scales)
        wide = replace(rule, format=replace(rule.format, scales=fields))
        return parts | {"codes": codes_by(values, moved, wide)}

    return compute


def _columns_first(values: Array, rule: BlockRule) -> Parts:
    return rule.parts(np.ascontiguousarray(values.reshape(values.shape[::-1]).T))


def _codes_columns_first(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    del values, rule
    return {"codes": np.ascontiguousarray(parts["codes"].T).reshape(parts["codes"].shape)}


def _transposed(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    del values
    return {f.name: np.ascontiguousarray(parts[f.name].T).reshape(parts[f.name].shape) for f in _fine(rule)}


def tiled(scales: Array) -> bool:
    """Whether scales are whole tiles of cuBLAS's layout."""
    return scales.ndim == 2 and not scales.shape[0] % SCALE_ROWS and not scales.shape[1] % SCALE_COLUMNS


def _swizzled(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    del values
    field = rule.format.scales[0]
    scales = parts[field.name]
    if field.format.bits != 8 or not tiled(scales):
        return {}
    return {field.name: pack(scales, 8, layout="scales_128x4").reshape(scales.shape)}


def swapped(codes: Array) -> Array:
    """Codes of which each pair is in the other order."""
    flat = codes.reshape(-1).copy()
    even = flat.size // 2 * 2
    flat[:even] = flat[:even].reshape(-1, 2)[:, ::-1].reshape(-1)
    return flat.reshape(codes.shape)


def _nibbles(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    del values, rule
    return {"codes": swapped(parts["codes"])}


def _unsigned(parts: Parts, values: Array, rule: BlockRule) -> Parts:
    return {"codes": codes_by(np.abs(values), parts, rule)}


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
    alone = replace(rule, format=replace(rule.format, scales=_fine(rule)))
    parts = alone.parts(values) | {tensor.name: rule.parts(values)[tensor.name]}
    return parts | {"codes": codes_by(values, parts, rule)}


def _tensor_of_first_row(values: Array, rule: BlockRule) -> Parts:
    steps, (finest, *_), tensor = Steps(rule.policy), _fine(rule), _tensor_field(rule)
    sizes = magnitudes(steps.enter(values), rule.policy)
    with np.errstate(all="ignore"):
        above = coarse_scales(reduced(sizes[:1], tensor), tensor, rule.format, finest, rule.policy)
        amax = reduced(sizes, finest)
        fine = fine_scales(amax, finest, rule.format, above, rule.policy, values.shape)
    parts = {finest.name: fine.codes, tensor.name: above.codes}
    return parts | {"codes": codes_by(values, parts, rule)}


_ALWAYS = (
    BlockBug("signed_maximum", "takes the largest value for the largest magnitude", _by_scales_of(_positive)),
    BlockBug("not_first", "leaves the first value of a block out of its maximum", _by_scales_of(_without_place(0))),
    BlockBug("not_last", "leaves the last value of a block out of its maximum", _by_scales_of(_without_place(-1))),
    BlockBug("first_half", "takes the maximum of the first half of a block only", _by_scales_of(_first_halves)),
    BlockBug("whole_rows", "takes the maximum of the whole row for each block", _by_scales_of(_whole_rows)),
    BlockBug("next_row", "reads past the end of a row in the last block of it", _by_scales_of(_next_row)),
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
        _scaled_before(_top_power),
    ),
    BlockBug(
        "shifted_group",
        "divides the last value of a block by the scale of the next one (blocks off by one)",
        _other_scale(lambda columns, length, blocks: np.minimum((columns + 1) // length, blocks - 1)),
    ),
    BlockBug(
        "previous_group",
        "divides a block by the scale of the one before it",
        _other_scale(lambda columns, length, _: np.maximum(columns // length - 1, 0)),
    ),
    BlockBug(
        "first_group",
        "divides a row by the scale of its first block",
        _other_scale(lambda columns, *_: 0 * columns),
    ),
    BlockBug("columns_first", "reads the values column by column (rows and columns swapped)", _columns_first),
    BlockBug("codes_columns_first", "writes the codes column by column", _after(_codes_columns_first)),
    BlockBug("scales_transposed", "writes the scales column by column (transposed)", _after(_transposed)),
    BlockBug(
        "scales_128x4",
        "writes the scales in cuBLAS's tiles of 128 x 4 (swizzled)",
        _after(_swizzled),
    ),
    BlockBug(
        "swapped_nibbles", "has the two codes of each pair in the other order (swapped nibbles)", _after(_nibbles)
    ),
    BlockBug("sign_dropped", "drops the sign of the values", _after(_unsigned)),
)
_BESIDE_TENSOR = (
    BlockBug("tensor_reciprocal", "stores the reciprocal of the tensor's scale", _after(_reciprocal_stored)),
    BlockBug("codes_without_tensor", "does not divide values by the tensor's scale", _after(_codes_without_tensor)),
    BlockBug("scales_without_tensor", "makes the blocks' scales without the tensor's", _scales_without_tensor),
    BlockBug("tensor_of_first_row", "makes the tensor's scale from the first row only", _tensor_of_first_row),
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
