"""Blocks with a zero point or an offset: the range of a block becomes the range of the codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lowbit.errors import InputError, PolicyError
from lowbit.exact import FINITE, ZERO, Exact, finite
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import exact, rounded
from lowbit.oracle.block.linear import quantize_linear
from lowbit.oracle.block.scale import ONE, Steps, scale_code, steps_of
from lowbit.oracle.cast.cast import encode
from lowbit.oracle.cast.decode import decode
from lowbit.policy.block import BlockPolicy, spelled
from lowbit.policy.cast import Policy


@dataclass(frozen=True)
class Parameters:
    """What the range of a block becomes: scale and zero point before they are stored, their codes, and what is used.

    ``offset``: what is subtracted from the values first.
    """

    ratio: Exact
    place: Exact
    scale: int
    zero: int
    used: Exact
    shift: int | Exact
    factor: Exact | None
    offset: Exact | None = None


def quantize_block(values: Sequence[Exact], fmt: BlockFormat, policy: BlockPolicy) -> tuple[list[int], int, int]:
    """Codes of one block, and the codes of its scale and of its zero point or offset."""
    require_places(fmt, policy)
    entered = [steps_of(policy).enter(value) for value in values]
    found = parameters(value_range(entered, policy), fmt, policy)
    codes = [
        quantize_linear(value, found.used, found.shift, fmt.number, policy, factor=found.factor)
        for value in centred(entered, found, policy)
    ]
    return codes, found.scale, found.zero


def centred(entered: Sequence[Exact], found: Parameters, policy: BlockPolicy) -> Sequence[Exact]:
    """Values without the offset of their block."""
    if found.offset is None:
        return entered
    return [_add(steps_of(policy), value, exact.negated(found.offset)) for value in entered]


def parameters(ends: tuple[Exact, Exact], fmt: BlockFormat, policy: BlockPolicy) -> Parameters:
    """Scale and zero point of a block with these ends, the lowest and the highest value."""
    (field, of_zero), (low, high) = fmt.scales, ends
    steps, first = steps_of(policy), fmt.number.codes[0]
    width, span = _add(steps, high, exact.negated(low)), finite(fmt.number.codes[-1] - first)
    reciprocal = policy.range_steps == "reciprocal" and not steps.exact
    factor = steps.divide(span, width) if reciprocal else None
    ratio = steps.divide(width, span) if factor is None else steps.divide(ONE, factor)
    scale = scale_code(ratio, width, field, policy, "scale")
    unrounded = policy.quotient_scale == "unrounded"
    used = ratio if unrounded and not exact.is_zero(width) else decode(scale, field.format)
    if of_zero.role == "offset":
        place = low  # where the first code is 0, which is not multiplied: the scale may be infinite
        if first:
            place = _add(steps, low, exact.negated(steps.multiply(finite(first), used)))
        code = encode(place, of_zero.format, policy_of_place(of_zero, policy)).code
        offset = place if unrounded else decode(code, of_zero.format)
        return Parameters(ratio, place, scale, code, used, 0, factor, offset)
    lowest = steps.divide(low, used) if factor is None else steps.multiply(low, factor)
    integers = of_zero.format.wraps
    rounding = policy_of_place(of_zero, policy)
    if integers and policy.zero_point_steps == "quotient":
        place = finite(first - encode(lowest, scalar_format("int32"), rounding).code)
    else:
        place = _add(steps, finite(first), exact.negated(lowest))
    zero = encode(place, of_zero.format, rounding).code
    shift = zero if integers else place if unrounded else decode(zero, of_zero.format)
    return Parameters(ratio, place, scale, zero, used, shift, factor)


def policy_of_place(field: ScaleField, policy: BlockPolicy) -> Policy:
    """How a zero point or an offset is rounded into its format."""
    integers = field.role == "zero_point" and field.format.wraps
    return policy.zero_point_policy(field.format) if integers else spelled("ieee")


def require_places(fmt: BlockFormat, policy: BlockPolicy) -> None:
    """Refuse a zero point between the codes that is added to codes."""
    between = fmt.scales[1].role == "zero_point" and not fmt.scales[1].format.wraps
    if between and policy.zero_point_place == "after_rounding":
        raise PolicyError(f"{fmt.id}: zero points that are not integers are added before rounding")


def value_range(values: Sequence[Exact], policy: BlockPolicy) -> tuple[Exact, Exact]:
    """The lowest and the highest value; 0 is between them or at an end where the policy says so."""
    if any(value.kind != FINITE for value in values):
        raise InputError("a block has NaN or infinity, and no range")
    every = [*values, ZERO] if policy.value_range == "with_zero" else list(values)
    fractions = [value.fraction() for value in every]
    return every[fractions.index(min(fractions))], every[fractions.index(max(fractions))]


def _add(steps: Steps, left: Exact, right: Exact) -> Exact:
    total = exact.add(left, right)
    return total if steps.exact else rounded.round_exact(total, steps.fmt)
