"""A whole tensor into a block format: the coarser scales, the finest ones, then the elements.

Tensors are flat lists in C order with a shape whose last axis is that of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

from lowbit.errors import InputError
from lowbit.exact import NAN, Exact, finite
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.oracle.arithmetic import exact
from lowbit.oracle.arithmetic.exact import is_negative, is_zero, negated
from lowbit.oracle.block.decode import field_value
from lowbit.oracle.block.scale import Coarse, coarse_scale, largest, quotient, rule_value, scale_code, steps_of
from lowbit.oracle.cast.cast import encode
from lowbit.policy.block import BlockPolicy


@dataclass(frozen=True)
class Quantized:
    """Codes in C order, and the codes of each field's scales in the C order of its grid."""

    codes: list[int]
    scales: dict[str, list[int]]


@dataclass(frozen=True)
class _Task:
    """What all steps need to know."""

    shape: Shape
    fmt: BlockFormat
    policy: BlockPolicy


@dataclass(frozen=True)
class _Scales:
    """One field over a tensor: the field, and for each block the code and what follows from it."""

    field: ScaleField
    codes: list[int]
    used: list[Any]


def quantize(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy) -> Quantized:
    """Bring a tensor into a block format.

    Parameters
    ----------
    values : sequence of Exact
        In C order.
    shape : tuple of int
        The axis of the blocks last.
    fmt : BlockFormat
    policy : BlockPolicy

    Raises
    ------
    InputError
        The blocks do not divide the axes, or a policy refuses a value.
    """
    fmt.check_shape(shape, short=policy.tail == "short")
    require_plain(fmt)
    task = _Task(shape, fmt, policy)
    entered = [steps_of(policy).enter(value) for value in values]
    finest, coarser = levels(fmt)
    above = [_coarse(entered, field, task) for field in coarser]
    fine = [_fine(entered, field, above, task) for field in finest]
    codes = [_element(value, index, fine, above, task) for value, index in zip(entered, _indices(shape), strict=True)]
    return Quantized(codes, {scales.field.name: scales.codes for scales in (*fine, *above)})


def levels(fmt: BlockFormat) -> tuple[tuple[ScaleField, ...], tuple[ScaleField, ...]]:
    """The finest scales, and the one above them if there is one."""
    factors = fmt.of_role("multiply", "exponent", "by_sign", "divide")
    count = 2 if fmt.by_sign else 1
    return factors[:count], factors[count:]


def require_plain(fmt: BlockFormat) -> None:
    """Refuse a format whose scales the rules here do not make."""
    finest, coarser = levels(fmt)
    if len(finest) + len(coarser) < len(fmt.scales) or len(coarser) > 1 or not finest:
        roles = ", ".join(field.role for field in fmt.scales)
        raise InputError(f"{fmt.id}: values are not brought into a format with scales of the roles {roles}")


def _blocks(values: Sequence[Exact], shape: Shape, field: ScaleField) -> list[list[Exact]]:
    """The values of each block of a field."""
    blocks: dict[int, list[Exact]] = {}
    for value, index in zip(values, _indices(shape), strict=True):
        blocks.setdefault(_place(index, shape, field), []).append(value)
    count = 1
    for length in field.grid(shape):
        count *= length
    return [blocks.get(place, []) for place in range(count)]


def _indices(shape: Shape) -> Iterator[Shape]:
    return product(*map(range, shape))


def _place(index: Shape, shape: Shape, field: ScaleField) -> int:
    """Where in the field's list of scales that of an element is."""
    place = 0
    for position, extent, length in zip(index, field.extents(shape), field.grid(shape) or shape, strict=True):
        place = place * (length if field.block else 1) + position // extent
    return place


def _coarse(values: Sequence[Exact], field: ScaleField, task: _Task) -> _Scales:
    policy, fmt = task.policy, task.fmt
    reach = finite(policy.scale_maximum) if policy.scale_maximum else levels(fmt)[0][0].format.max
    maximum = exact.multiply(fmt.element.max, reach)
    codes, used = [], []
    for block in _blocks(values, task.shape, field):
        amax = largest(block, policy)
        scale, reciprocal = coarse_scale(amax, maximum, policy)
        divides = field.role == "divide"
        codes.append(scale_code(reciprocal if divides else scale, amax, field, policy, "tensor"))
        used.append(Coarse.of(field_value(codes[-1], field), reciprocal, policy, divides=divides))
    return _Scales(field, codes, used)


def _fine(values: Sequence[Exact], field: ScaleField, above: list[_Scales], task: _Task) -> _Scales:
    policy, element = task.policy, task.fmt.element
    by_sign = {"positive": (False,), "negative": (True,)}
    signs = by_sign[field.name] if field.role == "by_sign" else (False, True)
    maximum = negated(element.min) if signs == (True,) else element.max
    codes, used = [], []
    blocks, uppers = _blocks(values, task.shape, field), _above(field, above, task.shape)
    for block, upper in zip(blocks, uppers, strict=True):
        amax = largest((value for value in block if value.kind == NAN or is_negative(value) in signs), policy)
        value = rule_value(amax, maximum, element, upper, policy)
        codes.append(scale_code(value, amax, field, policy, "scale"))
        stored = field_value(codes[-1], field)
        used.append(value if policy.quotient_scale == "unrounded" and not is_zero(amax) else stored)
    return _Scales(field, codes, used)


def _above(field: ScaleField, above: list[_Scales], shape: Shape) -> list[Coarse | None]:
    """For each block of a field the coarser scale that its first element has."""
    extents = field.extents(shape)
    firsts = product(*map(range, field.grid(shape))) if field.block else [(0,) * len(shape)]
    starts = [tuple(place * extent for place, extent in zip(first, extents, strict=True)) for first in firsts]
    return [_used(above[0], start, shape) if above else None for start in starts]


def _used(scales: _Scales, index: Shape, shape: Shape) -> Any:
    return scales.used[_place(index, shape, scales.field)]


def _element(value: Exact, index: Shape, fine: list[_Scales], above: list[_Scales], task: _Task) -> int:
    """The code of one element: its quotient, projected."""
    scales = fine[is_negative(value) if task.fmt.by_sign else 0]
    upper = _used(above[0], index, task.shape) if above else None
    result = quotient(value, _used(scales, index, task.shape), upper, task.policy)
    if result.kind == NAN:
        result = Exact(NAN, 0, 0, value.kind == NAN and value.negative)
    return encode(result, task.fmt.element, task.policy.policy("element", task.fmt.element)).code
