"""Blocks with a zero point, over whole arrays: the range of a block becomes the range of the codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.ops.arithmetic.exact_rounding import add_to_odd
from lowbit.ops.arrays import Array
from lowbit.ops.block.blocks import reduced, spread
from lowbit.ops.block.linear import linear_codes
from lowbit.ops.block.scales import Fine, Steps, field_values, scale_codes
from lowbit.ops.cast.cast import encode
from lowbit.policy.block import BlockPolicy


def is_affine(fmt: BlockFormat) -> bool:
    """Whether the scales of a format are a factor and a zero point of the element's own format."""
    roles = [field.role for field in fmt.scales]
    same = len({field.block for field in fmt.scales}) == 1
    return roles == ["multiply", "zero_point"] and same and fmt.element.wraps and fmt.element == fmt.scales[1].format


def quantize(values: Array, fmt: BlockFormat, policy: BlockPolicy) -> tuple[list[Fine], Array]:
    """Scales and codes, the axis of the blocks last.

    Raises InputError: a value is NaN or infinite.
    """
    field, of_zero = fmt.scales
    steps, first, last = Steps(policy), fmt.element.codes[0], fmt.element.codes[-1]
    entered = steps.enter(values)
    if not np.isfinite(entered).all():
        place = tuple(int(index) for index in np.argwhere(~np.isfinite(entered))[0])
        raise InputError(f"the value at {place} is {values[place]}: its block has no range", hint="clip or replace it")
    low, high = reduced(entered, field, np.minimum), reduced(entered, field)
    if policy.value_range == "with_zero":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    width = _add(steps, high, -low)
    codes = scale_codes(steps.divide(width, steps.dtype(last - first)), width, field, policy, "scale")
    stored = field_values(codes, field).astype(steps.dtype)
    places = _add(steps, steps.dtype(first), -steps.divide(low, stored))
    zeros = np.asarray(
        encode(places.astype(steps.dtype), of_zero.format, policy=policy.policy("element", of_zero.format))
    )
    wide, shifts = (spread(array, field, values.shape) for array in (steps.enter(stored), zeros.astype(np.int64)))
    result = linear_codes(entered, wide, shifts, fmt.element, policy)
    return [Fine(field, codes, stored), Fine(of_zero, zeros, zeros)], np.asarray(result)


def _add(steps: Steps, left: Any, right: Any) -> Array:
    pair = np.broadcast_arrays(left, right)
    return add_to_odd(*pair) if steps.exact else steps.rounded(np.add(*pair, dtype=steps.dtype))
