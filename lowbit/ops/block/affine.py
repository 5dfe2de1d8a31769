"""Blocks with a zero point, over whole arrays: the range of a block becomes the range of the codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.ops.arithmetic.exact_rounding import add_to_odd
from lowbit.ops.arrays import Array
from lowbit.ops.block import quotients
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.linear import linear_codes
from lowbit.ops.block.runs import Runs, divides
from lowbit.ops.block.scales import Fine, Steps, field_values, scale_codes
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy


def is_affine(fmt: BlockFormat) -> bool:
    """Whether the scales of a format are a factor and a zero point of the element's own format."""
    roles = [field.role for field in fmt.scales]
    same = len({field.block for field in fmt.scales}) == 1
    return roles == ["multiply", "zero_point"] and same and fmt.element.wraps and fmt.element == fmt.scales[1].format


def quantize(
    values: Array, fmt: BlockFormat, policy: BlockPolicy, threads: int, random: Array | None
) -> tuple[list[Fine], Array]:
    """Scales and codes, the axis of the blocks last; random bits for elements that are rounded stochastically.

    Raises InputError: a value is NaN or infinite.
    """
    way = quotients.lanes(fmt, policy) if policy.zero_point_place == "after_rounding" else None
    fast = way is not None and values.dtype == np.float32 and values.size and divides(fmt.scales[0], values.shape)
    runs = Runs(values, fmt.scales[0], threads) if fast else None
    steps = Steps(policy)
    low, high = _ends(values, fmt.scales[0], steps) if runs is None else (steps.enter(end) for end in runs.ends())
    if not (np.isfinite(low) & np.isfinite(high)).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(steps.enter(values)))[0])
        raise InputError(f"the value at {place} is {values[place]}: its block has no range", hint="clip or replace it")
    fine, zero = _scales(low, high, fmt, policy)
    if runs is not None and way is not None and quotients.is_usual(fine.used).all():
        codes = quotients.encode(way, runs, fine, None, policy, zero.codes)
        if codes is not None:
            return [fine, zero], codes.reshape(values.shape)
    pair = steps.enter(fine.used), zero.codes.astype(np.int64)
    scale, shift = (spread(array, fine.field, values.shape) for array in pair)
    return [fine, zero], np.asarray(linear_codes(steps.enter(values), scale, shift, fmt.element, policy, random))


def _ends(values: Array, field: ScaleField, steps: Steps) -> tuple[Array, Array]:
    entered = steps.enter(values)
    return reduced(entered, field, np.minimum), reduced(entered, field)


def _scales(low: Array, high: Array, fmt: BlockFormat, policy: BlockPolicy) -> tuple[Fine, Fine]:
    """The scales and zero points of blocks with these ends."""
    field, of_zero = fmt.scales
    steps, first, last = Steps(policy), fmt.element.codes[0], fmt.element.codes[-1]
    if policy.value_range == "with_zero":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    width = _add(steps, high, -low)
    ratio = steps.divide(width, steps.dtype(last - first), precision=field.format.precision)
    codes = scale_codes(ratio, width, field, policy, "scale")
    stored = field_values(codes, field).astype(steps.dtype)
    bits = fmt.element.bits + 2 + field.format.precision
    places = _add(steps, steps.dtype(first), -steps.divide(low, stored, bits))
    zeros = np.asarray(
        encode(places.astype(steps.dtype), of_zero.format, policy=policy.zero_point_policy(of_zero.format))
    )
    return Fine(field, codes, stored), Fine(of_zero, zeros, zeros)


def _add(steps: Steps, left: Any, right: Any) -> Array:
    pair = np.broadcast_arrays(left, right)
    return add_to_odd(*pair) if steps.exact else steps.rounded(np.add(*pair, dtype=steps.dtype))
