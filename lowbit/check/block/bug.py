"""What a bug of a kernel that quantises into blocks is, and what bugs are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.check.operation import Bug
from lowbit.format.block import ScaleField
from lowbit.ops.block.affine import is_affine
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.linear import linear_codes
from lowbit.ops.block.scales import Steps, coarse_scales, field_values, fine_scales, magnitudes
from lowbit.ops.block.vectors import vector_codes
from lowbit.ops.cast.cast import encode
from lowbit.vectors.case import Array

if TYPE_CHECKING:
    from lowbit.check.block.rules import BlockRule, Parts

Compute = Callable[[Array, "BlockRule"], "Parts"]


@dataclass(frozen=True)
class BlockBug(Bug):
    """A bug: what a kernel makes of a tensor."""

    compute: Compute


def by_scales_of(change: Callable[[Array, BlockRule], Array]) -> Compute:
    """The blocks' scales of a tensor that is changed first, and the codes by them; the tensor's scale is right."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        changed = change(values, rule)
        parts = scales_of(changed, values, rule) if rule.two_levels else rule.parts(changed)
        return parts | {"codes": codes_by(values, parts, rule)}

    return compute


def scales_of(values: Array, whole: Array, rule: BlockRule) -> Parts:
    """The blocks' scales of some values, below the tensor's scale of others."""
    steps, (fine, *_), tensor = Steps(rule.policy), finest(rule), rule.format.scales[-1]
    sizes, above = (magnitudes(steps.enter(array), rule.policy) for array in (values, whole))
    with np.errstate(all="ignore"):
        upper = coarse_scales(reduced(above, tensor), tensor, rule.format, fine, rule.policy)
        codes = fine_scales(reduced(sizes, fine), fine, rule.format, upper, rule.policy, values.shape).codes
    return {fine.name: codes, tensor.name: upper.codes}


def after(change: Callable[[Parts, Array, BlockRule], Parts]) -> Compute:
    """What is right, with some results changed afterwards."""

    def compute(values: Array, rule: BlockRule) -> Parts:
        parts = rule.parts(values)
        return parts | change(parts, values, rule)

    return compute


def codes_by(
    values: Array,
    scales: Parts,
    rule: BlockRule,
    *,
    without: tuple[str, ...] = (),
    fields: tuple[ScaleField, ...] | None = None,
) -> Array:
    """The codes of values divided by scales that are there, without some of them; ``fields``: of other blocks."""
    wide = rule if fields is None else replace(rule, format=replace(rule.format.of_components, scales=fields))
    if is_affine(rule.format):
        return affine_codes(values, scales, wide)
    return element_codes(quotients_by(values, scales, wide, without=without), rule)


def element_codes(quotients: Array, rule: BlockRule) -> Array:
    """The codes of quotients as they are."""
    fmt, policy = rule.format, rule.policy
    if fmt.element.dimension > 1:
        return vector_codes(quotients, fmt, policy, lambda place: Fraction(float(quotients.flat[place])))
    return np.asarray(encode(quotients, fmt.number, policy=policy.policy("element", fmt.number)))


def quotients_by(values: Array, scales: Parts, rule: BlockRule, *, without: tuple[str, ...] = ()) -> Array:
    """Values divided by scales that are there, without some of them."""
    dtype = np.float64 if rule.policy.arithmetic == "exact" else np.float32
    with np.errstate(all="ignore"):
        scale = _scale(values, scales, rule, without, dtype)
        reciprocal = rule.policy.quotient_steps == "reciprocal" and dtype == np.float32
        quotients: Any = values.astype(dtype)
        quotients = quotients * (dtype(1) / scale) if reciprocal else quotients / scale
        if rule.policy.zero_scale == "zero":
            quotients = np.where(np.broadcast_to(scale == 0, values.shape), dtype(0) * values, quotients)
    return np.asarray(quotients)


def _scale(values: Array, scales: Parts, rule: BlockRule, without: tuple[str, ...], dtype: Any) -> Any:
    """What each value is divided by."""
    scale: Any = dtype(1)
    for field in rule.format.of_role("multiply", "exponent", "divide", "by_sign"):
        if field.name not in without:
            worth = spread(field_values(scales[field.name], field), field, values.shape).astype(dtype)
            if field.role == "by_sign":
                worth = np.where(np.signbit(values) == (field.name == "negative"), worth, dtype(1))
            scale = scale / worth if field.role == "divide" else scale * worth
    return scale


def affine_codes(values: Array, scales: Parts, rule: BlockRule, times: int = 1) -> Array:
    """The codes of values by a scale, and a multiple of a zero point, be it one its format holds or not, or offset."""
    steps, (factor, other) = Steps(rule.policy), rule.format.scales
    entered, codes = steps.enter(values), scales[other.name]
    scale = spread(steps.enter(field_values(scales[factor.name], factor)), factor, values.shape)
    added = codes.astype(np.int64) if other.format.wraps else steps.enter(field_values(codes, other))
    added = spread(added * times, other, values.shape)
    if other.role == "offset":
        entered, added = steps.rounded(np.subtract(entered, added, dtype=steps.dtype)), np.zeros((), np.int64)
    with np.errstate(all="ignore"):
        return linear_codes(entered, scale, added, rule.format.scalar_element, rule.policy)


def finest(rule: BlockRule) -> tuple[ScaleField, ...]:
    """The finest of the scales that elements are multiplied by."""
    factors = rule.format.of_role("multiply", "divide", "exponent", "by_sign")
    return tuple(field for field in factors if field.block) or tuple(factors[:1])


def of_blocks(rule: BlockRule) -> tuple[ScaleField, ...]:
    """Every field of which each block has a number of its own."""
    return tuple(field for field in rule.format.scales if field.block)


def length(values: Array, rule: BlockRule) -> int:
    """How many values of a row share a scale."""
    return finest(rule)[0].extents(values.shape)[-1]
