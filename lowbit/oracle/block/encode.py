"""A whole tensor into a block format: the coarser scales, the finest ones, then the elements.

Tensors are flat lists in C order with a shape whose last axis is that of the blocks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from itertools import product, repeat
from typing import Any, TypeVar

from lowbit.errors import InputError
from lowbit.exact import NAN, NOT_A_NUMBER, ZERO, Exact, finite, from_fraction
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.arithmetic.exact import is_negative, is_zero, negated
from lowbit.oracle.block import ggml
from lowbit.oracle.block.affine import quantize_block
from lowbit.oracle.block.decode import field_value
from lowbit.oracle.block.exponents import lowered
from lowbit.oracle.block.linear import factor_of
from lowbit.oracle.block.nested import nested
from lowbit.oracle.block.scale import (
    Coarse,
    coarse_scale,
    compared,
    cut_sum,
    intermediate,
    largest,
    least_error,
    middle_of_bin,
    quotient,
    rule_value,
    scale_code,
    statistic,
    steps_of,
)
from lowbit.oracle.block.vectors import coordinate, nearest_code
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy, spelled

Item = TypeVar("Item")


@dataclass(frozen=True)
class Quantized:
    """Codes in C order, of vectors one each, and the codes of each field's scales in the C order of its grid."""

    codes: list[int]
    scales: dict[str, list[int]]


@dataclass(frozen=True)
class Task:
    """What all steps need to know."""

    shape: Shape
    fmt: BlockFormat
    policy: BlockPolicy


@dataclass(frozen=True)
class Scales:
    """One field over a tensor: the field, and what each block has.

    ``maxima``: the largest magnitudes. ``unrounded``: the scales before they are rounded into their format. ``codes``:
    the scales. ``used``: what values are divided by. ``compared``: what the rule of the finest scales looks at.
    ``factors``: the largest element over what the rule looks at, of the finest scales.
    """

    field: ScaleField
    maxima: list[Exact]
    unrounded: list[Exact]
    codes: list[int]
    used: list[Any]
    compared: list[Exact]
    factors: list[Exact]


def quantize(
    values: Sequence[Exact],
    shape: Shape,
    fmt: BlockFormat,
    policy: BlockPolicy,
    random: Sequence[int] | None = None,
    importance: Sequence[Exact] | None = None,
) -> Quantized:
    """Bring a tensor into a block format.

    Parameters
    ----------
    values : sequence of Exact
        In C order.
    shape : tuple of int
        The axis of the blocks last.
    fmt : BlockFormat
    policy : BlockPolicy
    random : sequence of int, optional
        R of the stochastic modes, one for each element; not for formats with a zero point.
    importance : sequence of Exact, optional
        Of the columns, for the searches of ggml.

    Raises
    ------
    InputError
        The blocks do not divide the axes, or a policy refuses a value.
    """
    fmt.check_shape(shape, short=policy.tail == "short")
    if policy.of_ggml:
        return Quantized(*ggml.quantize(values, shape, fmt, policy, importance))
    if fmt.nested:
        return Quantized(*nested(values, shape, fmt, policy, partial(parts, random=random)))
    if is_affine(fmt):
        return _affine(values, shape, fmt, policy)
    whole, fmt = fmt, fmt.without_sums
    task = Task(shape, fmt, policy)
    entered = [steps_of(policy).enter(value) for value in values]
    fine, above = scales_of(entered, task)
    exponents, quotients = exponents_of(quotients_of(entered, fine, above, task), task)
    if fmt.element.dimension > 1:
        codes = [nearest_code(numbers, fmt.element) for numbers in vectors_of(entered, quotients, fine, above, task)]
    else:
        draws = random or repeat(0)
        codes = [element_code(result, fmt, policy, draw) for result, draw in zip(quotients, draws, strict=False)]
    scales = {scales.field.name: scales.codes for scales in (*fine, *above)} | exponents
    return Quantized(codes, scales | {field.name: sums_of(codes, field, fine, task) for field in whole.sums})


def sums_of(codes: Sequence[int], field: ScaleField, fine: list[Scales], task: Task) -> list[int]:
    """The sums of the codes of each block, times the scale that values are divided by where the field says so."""
    totals = [finite(sum(block)) for block in blocks_of(codes, task.shape, field)]
    rounding = spelled(field.format.default_policy, field.format)
    if field.of:
        (scales,) = (part for part in fine if part.field.name == field.of)
        steps, rounding = steps_of(task.policy), task.policy.policy("scale", field.format)
        totals = [steps.multiply(total, used) for total, used in zip(totals, scales.used, strict=True)]
    return [encode(total, field.format, rounding).code for total in totals]


def parts(
    values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy, random: Sequence[int] | None = None
) -> tuple[list[int], dict[str, list[int]]]:
    """Codes and scales as two results."""
    result = quantize(values, shape, fmt, policy, random)
    return result.codes, result.scales


def scales_of(entered: Sequence[Exact], task: Task) -> tuple[list[Scales], list[Scales]]:
    """The finest scales of a tensor, and those above them."""
    require_plain(task.fmt)
    require_searchable(task.fmt, task.shape, task.policy)
    task.policy.require_held(task.fmt)
    finest, coarser = levels(task.fmt)
    above = [_coarse(entered, field, task) for field in coarser]
    return [_fine(entered, field, above, task) for field in finest], above


def is_affine(fmt: BlockFormat) -> bool:
    """Whether a block of integers has a scale, and a zero point or an offset."""
    roles = [field.role for field in fmt.scales]
    same = len({field.block for field in fmt.scales}) == 1
    return roles in (["multiply", "zero_point"], ["multiply", "offset"]) and same and fmt.number.wraps


def _affine(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy) -> Quantized:
    """Each block by itself, its codes back to their places."""
    field, other = fmt.scales
    answers = [quantize_block(block, fmt, policy) for block in blocks_of(values, shape, field)]
    remaining = [iter(codes) for codes, _, _ in answers]
    codes = [next(remaining[place_of(index, shape, field)]) for index in indices(shape)]
    scales = [scale for _, scale, _ in answers]
    return Quantized(codes, {field.name: scales, other.name: [zero for *_, zero in answers]})


def levels(fmt: BlockFormat) -> tuple[tuple[ScaleField, ...], tuple[ScaleField, ...]]:
    """The finest scales, and the one above them if there is one."""
    roles = ("multiply", "by_sign", "divide") if fmt.lower_exponents else ("multiply", "exponent", "by_sign", "divide")
    factors = fmt.of_role(*roles)
    count = 2 if fmt.by_sign else 1
    return factors[:count], factors[count:]


def require_plain(fmt: BlockFormat) -> None:
    """Refuse a format whose scales the rules here do not make."""
    finest, coarser = levels(fmt)
    if len(finest) + len(coarser) + len(fmt.lower_exponents) < len(fmt.scales) or len(coarser) > 1 or not finest:
        roles = ", ".join(field.role for field in fmt.scales)
        raise InputError(f"{fmt.id}: values are not brought into a format with scales of the roles {roles}")


def require_searchable(fmt: BlockFormat, shape: Shape, policy: BlockPolicy) -> None:
    """Refuse a search in a format that has no scale above, or whose blocks are not whole ones along one axis."""
    finest, coarser = levels(fmt)
    usual = len(finest) == 1 and len(fmt.block) == 1 and coarser and coarser[0].role == "multiply"
    if policy.search != "none" and not (usual and shape[-1] % finest[0].extents(shape)[-1] == 0):
        what = f"search = {policy.search!r} is for whole blocks along one axis with a scale above"
        raise InputError(f"{what}, not for {fmt.id}", hint="nvfp4, for example")


def blocks_of(values: Sequence[Item], shape: Shape, field: ScaleField) -> list[list[Item]]:
    """What belongs to the elements of a tensor, for each block of a field."""
    blocks: dict[int, list[Item]] = {}
    for value, index in zip(values, indices(shape), strict=True):
        blocks.setdefault(place_of(index, shape, field), []).append(value)
    count = 1
    for length in field.grid(shape):
        count *= length
    return [blocks.get(place, []) for place in range(count)]


def indices(shape: Shape) -> Iterator[Shape]:
    """The places of a tensor in C order."""
    return product(*map(range, shape))


def place_of(index: Shape, shape: Shape, field: ScaleField) -> int:
    """Where in the field's list of scales that of an element is."""
    place = 0
    for position, extent, length in zip(index, field.extents(shape), field.grid(shape) or shape, strict=True):
        place = place * (length if field.block else 1) + position // extent
    return place


def _coarse(values: Sequence[Exact], field: ScaleField, task: Task) -> Scales:
    policy, fmt = task.policy, task.fmt
    reach = finite(policy.scale_maximum) if policy.scale_maximum else levels(fmt)[0][0].format.max
    maximum = exact.multiply(exact.multiply(fmt.number.max, reach), finite(1, fmt.headroom))
    scales = Scales(field, [], [], [], [], [], [])
    for block in blocks_of(values, task.shape, field):
        amax = largest(block, policy)
        scale, reciprocal = coarse_scale(amax, maximum, policy)
        divides = field.role == "divide"
        scales.maxima.append(amax)
        scales.unrounded.append(reciprocal if divides else scale)
        scales.codes.append(scale_code(scales.unrounded[-1], amax, field, policy, "tensor"))
        stored = field_value(scales.codes[-1], field)
        scales.used.append(Coarse.of(stored, reciprocal, policy, divides=divides, amax=amax, maximum=maximum))
    return scales


def _fine(values: Sequence[Exact], field: ScaleField, above: list[Scales], task: Task) -> Scales:
    policy, element = task.policy, task.fmt.number
    by_sign = {"positive": (False,), "negative": (True,)}
    signs = by_sign[field.name] if field.role == "by_sign" else (False, True)
    maximum = negated(element.min) if signs == (True,) else element.max
    if policy.scale_rule in {"amax", "mean", "signed_amax"}:
        maximum = element.min if policy.scale_rule == "signed_amax" else finite(1)
    if policy.scale_rule == "amax_over_half_range":
        maximum = from_fraction((element.max.fraction() - element.min.fraction()) / 2)
    maximum = exact.multiply(maximum, finite(1, task.fmt.headroom))
    scales = Scales(field, [], [], [], [], [], [])
    blocks, uppers = blocks_of(values, task.shape, field), _above(field, above, task.shape)
    for block, upper in zip(blocks, uppers, strict=True):
        chosen = [value for value in block if value.kind == NAN or is_negative(value) in signs]
        amax = statistic(chosen, largest(chosen, policy), policy)
        scales.compared.append(compared(amax, maximum, upper, policy))
        value = rule_value(scales.compared[-1], element, policy, task.fmt.headroom)
        if policy.search != "none":
            assert upper is not None
            value = searched(value, block, amax, field, upper, task)
        scales.maxima.append(amax)
        scales.unrounded.append(value)
        scales.codes.append(scale_code(value, amax, field, policy, "scale"))
        stored = field_value(scales.codes[-1], field)
        unrounded = policy.quotient_scale == "unrounded" and not is_zero(amax)
        scales.used.append(steps_of(policy).enter(value) if unrounded else stored)
        below = NOT_A_NUMBER if amax.kind == NAN else amax  # a magnitude has no sign
        scales.factors.append(ZERO if is_zero(amax) else steps_of(policy).divide(maximum, below))
    return scales


def searched(value: Exact, block: Sequence[Exact], amax: Exact, field: ScaleField, upper: Coarse, task: Task) -> Exact:
    """The scale or 3/2 of it, whichever has the smaller error; a tie takes the scale itself."""
    larger = steps_of(task.policy).multiply(value, finite(3, -1))
    errors = []
    for candidate in (value, larger):
        stored = field_value(scale_code(candidate, amax, field, task.policy, "scale"), field)
        errors.append(_error(block, stored, upper, task))
    return larger if rounded.is_less(errors[1], errors[0]) else value


def _error(block: Sequence[Exact], scale: Exact, upper: Coarse, task: Task) -> Exact:
    """The errors of a block's elements added one after the other."""
    steps, total = steps_of(task.policy), ZERO
    for value in block:
        code = element_code(_quotient(value, scale, upper, task.policy), task.fmt, task.policy)
        element = decode(code, task.fmt.number)
        worth = steps.divide(steps.multiply(steps.multiply(element, scale), upper.amax), upper.maximum)
        difference = rounded.add(worth, exact.negated(value), steps.fmt)
        squared = task.policy.search == "four_over_six_squared"
        part = steps.multiply(difference, difference) if squared else rounded.absolute(difference)
        total = rounded.add(total, part, steps.fmt)
    return total


def _above(field: ScaleField, above: list[Scales], shape: Shape) -> list[Coarse | None]:
    """For each block of a field the coarser scale that its first element has."""
    extents = field.extents(shape)
    firsts = product(*map(range, field.grid(shape))) if field.block else [(0,) * len(shape)]
    starts = [tuple(place * extent for place, extent in zip(first, extents, strict=True)) for first in firsts]
    return [_used(above[0], start, shape) if above else None for start in starts]


def _used(scales: Scales, index: Shape, shape: Shape) -> Any:
    return scales.used[place_of(index, shape, scales.field)]


def quotients_of(entered: Sequence[Exact], fine: list[Scales], above: list[Scales], task: Task) -> list[Exact]:
    """Each value over its scales."""
    results = []
    for value, index in zip(entered, indices(task.shape), strict=True):
        scale, upper = _scales_at(value, index, fine, above, task)
        total = steps_of(task.policy).multiply(scale, upper.scale) if upper else scale
        if task.policy.rounding_steps == "least_error":
            results.append(least_error(value, total, task.fmt.number, task.policy))
        elif task.policy.quotient_steps == "maximum_over_amax" and not steps_of(task.policy).exact:
            factor = fine[0].factors[place_of(index, task.shape, fine[0].field)]
            result = _refined(value, steps_of(task.policy).multiply(value, factor), task.policy)
            results.append(_integer(result, value, factor, task))
        else:
            result = _quotient(value, scale, upper, task.policy)
            results.append(_integer(result, value, factor_of(total, task.policy), task))
    return results


def _integer(result: Exact, value: Exact, factor: Exact | None, task: Task) -> Exact:
    """A quotient, or the integer that it becomes by the steps of the policy."""
    if task.policy.rounding_steps == "none":
        return result
    return cut_sum(result, None if factor is None else (value, factor), task.fmt.number.min, task.policy)


def vectors_of(
    entered: Sequence[Exact], quotients: Sequence[Exact], fine: list[Scales], above: list[Scales], task: Task
) -> list[list[Fraction]]:
    """What values over their scales are, neighbours along the axis of the blocks together, as many as a vector has."""
    numbers = []
    for value, result, index in zip(entered, quotients, indices(task.shape), strict=True):
        scale, upper = _scales_at(value, index, fine, above, task)
        numbers.append(coordinate(value, result, scale, upper, task.fmt, task.policy))
    size = task.fmt.element.dimension
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]


def _scales_at(
    value: Exact, index: Shape, fine: list[Scales], above: list[Scales], task: Task
) -> tuple[Exact, Coarse | None]:
    """The finest scale of an element, by its sign where they differ, and the one above it."""
    scales = fine[is_negative(value) if task.fmt.by_sign else 0]
    return _used(scales, index, task.shape), _used(above[0], index, task.shape) if above else None


def _quotient(value: Exact, scale: Exact, upper: Coarse | None, policy: BlockPolicy) -> Exact:
    return _refined(value, quotient(value, scale, upper, policy), policy)


def _refined(value: Exact, result: Exact, policy: BlockPolicy) -> Exact:
    """A quotient after the steps between it and the element; of the NaNs only a value's own has a sign."""
    result = intermediate(middle_of_bin(result, policy), policy)
    return Exact(NAN, 0, 0, value.kind == NAN and value.negative) if result.kind == NAN else result


def exponents_of(quotients: list[Exact], task: Task) -> tuple[dict[str, list[int]], list[Exact]]:
    """The exponents of smaller blocks below the scales, and what they leave of the quotients."""
    shape = task.shape
    return lowered(
        quotients,
        task.fmt,
        lambda values, field: blocks_of(values, shape, field),
        lambda field: [place_of(index, shape, field) for index in indices(shape)],
    )


def element_code(result: Exact, fmt: BlockFormat, policy: BlockPolicy, random: int = 0) -> int:
    """The code of one element: its quotient, projected; a rounded one comes from binary32, as defects ask."""
    source = None if policy.arithmetic == "exact" else scalar_format("float32")
    return encode(result, fmt.number, policy.policy("element", fmt.number), random=random, source=source).code
