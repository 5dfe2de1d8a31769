"""Scales that are quantised themselves: less their mean where there is an offset, in blocks of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from lowbit.errors import InputError
from lowbit.exact import FINITE, INFINITY, NAN, NOT_A_NUMBER, ZERO, Exact
from lowbit.format.block import BlockFormat, ScaleField, Shape
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.block.scale import steps_of
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy, get_block_policy

Quantize = Callable[[Sequence[Exact], Shape, BlockFormat, BlockPolicy], tuple[list[int], dict[str, list[int]]]]
"""Codes and scales of a tensor in a format without scales of scales."""


@dataclass(frozen=True)
class Within:
    """The scales of a tensor as a tensor that is brought into blocks of their own.

    ``codes``: of the elements. ``first``: the scales as they are before. ``mean``: theirs, before it is rounded to what
    ``offset`` has; both are None where there is no offset. ``values``: ``first`` less the offset, which are quantised.
    """

    codes: list[int]
    first: list[Exact]
    mean: Exact | None
    offset: int | None
    values: list[Exact]
    shape: Shape
    fmt: BlockFormat
    policy: BlockPolicy


def nested(
    values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy, quantize: Quantize
) -> tuple[list[int], dict[str, list[int]]]:
    """Codes and scales of a tensor in a format whose scales have scales."""
    field, _, offset = fields_of(fmt)
    inner = within(values, shape, fmt, policy, quantize)
    codes, upper = quantize(inner.values, inner.shape, inner.fmt, inner.policy)
    added = {} if offset is None or inner.offset is None else {offset.name: [inner.offset]}
    return inner.codes, {**added, field.name: codes, **upper}


def within(values: Sequence[Exact], shape: Shape, fmt: BlockFormat, policy: BlockPolicy, quantize: Quantize) -> Within:
    """The scales of a tensor, and how they are to be quantised."""
    field, above, offset = fields_of(fmt)
    if policy.quotient_scale != "unrounded":
        raise InputError(f"{fmt.id}: elements are divided by scales as they are before these are quantised themselves")
    plain = first_format(fmt)
    codes, scales = quantize(values, shape, plain, policy)
    first, steps = [decode(code, plain.scales[0].format) for code in scales[field.name]], steps_of(policy)
    less, mean, code = first, None, None
    if offset is not None:
        mean = steps.enter(_mean(first))
        code = encode(mean, offset.format, policy.policy("tensor", offset.format)).code
        stored = exact.negated(decode(code, offset.format))
        less = [rounded.add(scale, stored, steps.fmt) for scale in first]
    group = (above.block[0] // field.block[0],)
    inner = replace(above, block=group, role="multiply", of="")
    blocks = replace(fmt, element=field.format, block=group, scales=(inner,))
    own = get_block_policy(policy.nested or "nearest").choose(tail="short")
    return Within(codes, first, mean, code, less, field.grid(shape), blocks, own)


def first_format(fmt: BlockFormat) -> BlockFormat:
    """The format with scales as they are before they are quantised themselves."""
    return replace(fmt, scales=(replace(fmt.scales[0], format=scalar_format("float32")),))


def fields_of(fmt: BlockFormat) -> tuple[ScaleField, ScaleField, ScaleField | None]:
    """The finest scale, the one above it, and what is added."""
    field, others = fmt.scales[0], fmt.scales[1:]
    above = [other for other in others if other.role == "super" and other.of == field.name]
    offsets = [other for other in others if other.role == "offset" and other.of == field.name and not other.block]
    whole = len(above) == 1 and len(above[0].block) == len(field.block) == 1 and field.block[0] > 0
    if field.role != "multiply" or not whole or len(others) > 1 + len(offsets) or above[0].block[0] % field.block[0]:
        roles = ", ".join(part.role for part in fmt.scales)
        raise InputError(f"{fmt.id}: values are not brought into a format with scales of the roles {roles}")
    return field, above[0], offsets[0] if offsets else None


def _mean(scales: Sequence[Exact]) -> Exact:
    """The mean of numbers that are not negative; 0 of none."""
    kinds = {scale.kind for scale in scales}
    if kinds - {FINITE}:
        return NOT_A_NUMBER if NAN in kinds else INFINITY
    total = sum((scale.fraction() for scale in scales), Fraction(0))
    return exact.to_odd(total / len(scales)) if scales else ZERO
