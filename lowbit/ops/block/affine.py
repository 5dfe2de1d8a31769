"""Blocks with a zero point or an offset, over whole arrays: the range of a block becomes the range of the codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lowbit.errors import InputError, PolicyError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arithmetic.exact_rounding import add_to_odd
from lowbit.ops.arrays import Array, first_place
from lowbit.ops.block import fused, quotients
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.linear import linear_codes
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.scales import Coarse, Fine, Steps, field_values, scale_codes
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy, spelled


def is_affine(fmt: BlockFormat) -> bool:
    """Whether the scales of a format of integers are a factor, and a zero point or an offset."""
    roles = [field.role for field in fmt.scales]
    same = len({field.block for field in fmt.scales}) == 1
    return roles in (["multiply", "zero_point"], ["multiply", "offset"]) and same and fmt.number.wraps


def quantize(
    values: Array, fmt: BlockFormat, policy: BlockPolicy, threads: int, random: Array | None
) -> tuple[Sequence[Fine | Coarse], Array]:
    """Scales and codes, the axis of the blocks last; random bits for elements that are rounded stochastically.

    Raises
    ------
    InputError
        A value is NaN or infinite.
    PolicyError
        Zero points are not integers, and are added after rounding.
    """
    by_offset = fmt.scales[1].role == "offset"
    if not fmt.scales[1].format.wraps and not by_offset and policy.zero_point_place == "after_rounding":
        what = f"{fmt.id}: zero points that are not integers are added before rounding"
        raise PolicyError(what, hint="zero_point_place='before_rounding'")
    in_one_pass = None if random is not None else fused.faster(values, fmt, policy, threads)
    if in_one_pass is not None:
        return in_one_pass
    usual = (policy.zero_point_place, policy.range_steps) == ("after_rounding", "divide")
    way = quotients.lanes(fmt, policy) if usual and not by_offset else None
    fast = way is not None and values.dtype == np.float32 and values.size and divides(fmt.scales[0], values.shape)
    runs = Runs(values, fmt.scales[0], threads) if fast else None
    steps = Steps(policy)
    low, high = _ends(values, fmt.scales[0], steps) if runs is None else (steps.enter(end) for end in runs.ends())
    if by_offset and (low == 0).any():
        low = _signed_zeros(low, values, fmt.scales[0])
    if not (np.isfinite(low) & np.isfinite(high)).all():
        place, _ = first_place(~np.isfinite(steps.enter(values)))
        raise InputError(f"the value at {place} is {values[place]}: its block has no range", hint="clip or replace it")
    fine, zero, factors = _scales(low, high, fmt, policy)
    if runs is not None and way is not None and quotients.is_usual(fine.used).all():
        codes = quotients.encode(way, runs, [fine], None, policy, zero.codes)
        if codes is not None:
            return [fine, zero], codes.reshape(values.shape)
    scale, shift = (spread(part, fine.field, values.shape) for part in (steps.enter(fine.used), zero.used))
    wide = None if factors is None else spread(factors, fine.field, values.shape)
    entered = steps.enter(values)
    if by_offset:
        entered, shift = _add(steps, entered, -shift).astype(steps.dtype), np.zeros((), np.int64)
    codes = linear_codes(entered, scale, shift, fmt.number, policy, random, factors=wide)
    return [fine, zero], np.asarray(codes)


def _ends(values: Array, field: ScaleField, steps: Steps) -> tuple[Array, Array]:
    entered = steps.enter(values)
    return reduced(entered, field, np.minimum), reduced(entered, field)


def _signed_zeros(low: Array, values: Array, field: ScaleField) -> Array:
    """The lowest values, those that are 0 with the sign of the first zero of their block."""
    places = np.where(values == 0, np.arange(values.size).reshape(values.shape), values.size)
    signs = np.append(np.signbit(values).reshape(-1), False)
    negative = signs[reduced(places, field, np.minimum)]
    return np.where(low == 0, np.where(negative, low.dtype.type(-0.0), low.dtype.type(0)), low)


def _scales(low: Array, high: Array, fmt: BlockFormat, policy: BlockPolicy) -> tuple[Fine, Fine, Array | None]:
    """The scales and zero points of blocks with these ends; and what values are multiplied by, if they are."""
    field, of_zero = fmt.scales
    steps, first, last = Steps(policy), fmt.number.codes[0], fmt.number.codes[-1]
    if policy.value_range == "with_zero":
        low, high = np.where(low > 0, low.dtype.type(0), low), np.maximum(high, 0)
    width, span = _add(steps, high, -low) + steps.dtype(0), steps.dtype(last - first)  # a width of 0 has no sign
    reciprocal = policy.range_steps == "reciprocal" and not steps.exact
    factors = steps.divide(span, width) if reciprocal else None
    if factors is None:
        ratio = steps.divide(width, span, precision=field.format.precision)
    else:
        ratio = steps.divide(steps.dtype(1), factors)
    codes = scale_codes(ratio, width, field, policy, "scale")
    used = field_values(codes, field).astype(steps.dtype)
    if policy.quotient_scale == "unrounded":
        used = np.where(width == 0, used, ratio)
    if of_zero.role == "offset":
        place = _add(steps, low, -steps.multiply(steps.dtype(first), used)) if first else low  # infinity times 0
        return Fine(field, codes, used), _stored(place, of_zero, policy), factors
    bits = fmt.number.bits + 2 + field.format.precision
    lowest = steps.divide(low, used, bits) if factors is None else steps.multiply(low, factors)
    return Fine(field, codes, used), _zero_points(lowest.astype(steps.dtype), of_zero, fmt, policy), factors


def _zero_points(lowest: Array, field: ScaleField, fmt: BlockFormat, policy: BlockPolicy) -> Fine:
    """Zero points, from the lowest value of each block over its scale."""
    steps, target, first = Steps(policy), field.format, fmt.number.codes[0]
    rounding = policy.zero_point_policy(target) if target.wraps else spelled("ieee")
    if target.wraps and policy.zero_point_steps == "quotient":
        whole = np.asarray(encode(lowest, "int32", policy=rounding)).astype(np.int64)
        codes = np.clip(first - whole, target.codes[0], target.codes[-1]).astype(target.code_dtype)
        return Fine(field, codes, codes.astype(np.int64))
    places = _add(steps, steps.dtype(first), -lowest).astype(steps.dtype)
    if target.wraps:
        codes = np.asarray(encode(places, target, policy=rounding))
        return Fine(field, codes, codes.astype(np.int64))
    return _stored(places, field, policy)


def _stored(numbers: Array, field: ScaleField, policy: BlockPolicy) -> Fine:
    """Zero points between the codes, or offsets, in their format."""
    exact = numbers.astype(Steps(policy).dtype)
    codes = np.asarray(encode(exact, field.format, policy=spelled("ieee")))
    return Fine(field, codes, exact if policy.quotient_scale == "unrounded" else field_values(codes, field))


def _add(steps: Steps, left: Any, right: Any) -> Array:
    pair = np.broadcast_arrays(left, right)
    return add_to_odd(*pair) if steps.exact else steps.rounded(np.add(*pair, dtype=steps.dtype))
