"""What a caller of requantize gave: checked, in words where it is wrong."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import (
    Array,
    FormatLike,
    as_array,
    first_place,
    format_of_dtype,
    integer_array,
    is_whole,
    scalar_format,
    view_codes,
)
from lowbit.ops.requantize.lowering import Range
from lowbit.ops.requantize.run import LARGEST_SUM, Multipliers
from lowbit.policy.multiplier import binary32_scale, derive_multiplier, positive_scale
from lowbit.policy.requantize import LONGEST_SHIFT, RequantizeScheme

WIDEST_RESULT = 32


def checked_multipliers(scheme: RequantizeScheme, multiplier: Any, shift: Any, scale: Any) -> Multipliers:
    """One entry a channel, from multiplier and shift or from the scale."""
    if scale is not None and (multiplier is not None or shift is not None):
        raise InputError("both a scale and a multiplier with shift are given", hint="give one of them")
    if scale is not None:
        return _from_scales(scheme, _channels(as_array(scale, "scale"), "scale"))
    if scheme.takes_scale:
        raise InputError(
            f"scheme {scheme.name!r} multiplies by the scale itself, and no scale is given", hint="scale=0.0123, say"
        )
    if multiplier is None or shift is None:
        missing = "multiplier" if multiplier is None else "shift"
        raise InputError(f"{missing} is missing", hint="give multiplier and shift, or scale")
    low, high = scheme.multiplier_range
    multipliers = _integers(multiplier, "multiplier", low, high, scheme)
    shifts = _integers(shift, "shift", *scheme.shift_range, scheme)
    if 1 not in (multipliers.size, shifts.size) and multipliers.size != shifts.size:
        raise InputError(f"{multipliers.size} multipliers and {shifts.size} shifts", hint="one of each a channel")
    both = np.broadcast_arrays(multipliers, shifts)
    return Multipliers(both[0].copy(), both[1].copy(), None)


def _from_scales(scheme: RequantizeScheme, scales: Array) -> Multipliers:
    if scales.dtype.kind not in "fiu":
        raise InputError(f"scale has dtype {scales.dtype}, not a floating-point one")
    pairs = derived_pairs(scheme, scales)
    columns = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    if not scheme.takes_scale:
        return Multipliers(columns[0].copy(), columns[1].copy(), None)
    narrow = scheme.product == "binary32"
    used = [binary32_scale(scale) if narrow else scale for scale in scales.tolist()]
    return Multipliers(columns[0].copy(), columns[1].copy(), np.array(used, dtype=np.float64))


def derived_pairs(scheme: RequantizeScheme | str, scales: Array) -> list[tuple[int, int]]:
    """Multiplier and shift of each of the scales, in C order."""
    for index, scale in np.ndenumerate(scales):
        place = index[0] if len(index) == 1 else index
        positive_scale(scale, f"scale at index {place}" if scales.size > 1 else "scale")
    return [derive_multiplier(scale, scheme) for scale in scales.reshape(-1).tolist()]


def _channels(array: Array, what: str) -> Array:
    if array.ndim > 1:
        raise InputError(f"{what} has {array.ndim} dimensions", hint="one number, or one a channel along `axis`")
    if array.size == 0:
        raise InputError(f"{what} is empty")
    return array.reshape(-1)


def _integers(values: Any, what: str, low: int, high: int, scheme: RequantizeScheme) -> Array:
    array = _channels(integer_array(values, what), what)
    if array.dtype.kind not in "iu":
        raise InputError(f"{what} has dtype {array.dtype}, not an integer one", hint="scale= takes a real number")
    for index, value in enumerate(array.tolist()):
        if not low <= value <= high:
            where = f" of channel {index}" if array.size > 1 else ""
            longest = f"; none is longer than {LONGEST_SHIFT}" if what == "shift" and value > LONGEST_SHIFT else ""
            raise InputError(
                f"{what} {value}{where} is out of range: scheme {scheme.name!r} takes {low} to {high}{longest}",
                hint=scheme.meaning("shift", scheme.shift) if what == "shift" else "",
            )
    return array.astype(np.int64)


def checked_range(scheme: RequantizeScheme, target: Scalar, zero_point: Any, minimum: Any, maximum: Any) -> Range:
    """The zero point and the ends of the range, all codes of the result."""
    lowest, highest = target.codes[0], target.codes[-1]
    low = whole(minimum, "minimum", lowest, highest) if minimum is not None else lowest
    high = whole(maximum, "maximum", lowest, highest) if maximum is not None else highest
    if low > high:
        raise InputError(f"minimum = {low} is above maximum = {high}")
    if scheme.overflow == "wrap" and high - low + 1 != 1 << target.bits:
        raise InputError(
            f"scheme {scheme.name!r} wraps modulo 2^{target.bits}, and the range {low} to {high} is narrower",
            hint="leave minimum and maximum out, and give a result format that uses all its codes",
        )
    if scheme.zero_point == "before_product":
        zero = whole(zero_point, "zero_point", -(1 << 31), (1 << 31) - 1)
    else:
        zero = whole(zero_point, "zero_point", lowest, highest)
    return Range(zero, low, high)


def whole(value: Any, what: str, low: int, high: int, of: str = "") -> int:
    """One integer within limits, which are ``of`` something."""
    if not is_whole(value):
        raise InputError(f"{what} = {value!r} is not one integer")
    if not low <= value <= high:
        raise InputError(f"{what} = {value} is outside {low} to {high}{of}")
    return int(value)


def checked_result(result: FormatLike) -> Scalar:
    """The format of the result: an integer or fixed-point one of at most 32 bits."""
    target = scalar_format(result)
    if not target.wraps or target.bits > WIDEST_RESULT:
        raise InputError(f"result = {target.id} is not an integer format of at most {WIDEST_RESULT} bits")
    return target


def checked_accumulators(accumulators: Any) -> Array:
    """Integers as a C-contiguous int32 array, or int64 where they need it."""
    array = integer_array(accumulators, "accumulators", "int32")
    fmt = format_of_dtype(array.dtype) if array.dtype.kind == "V" else None  # ml_dtypes' integers, say
    if fmt is not None and fmt.kind == "integer":
        array = view_codes(array, fmt)
    if array.dtype.kind not in "iu":
        raise InputError(f"accumulators have dtype {array.dtype}, not an integer one", hint="lowbit.gemm gives int32")
    if array.dtype.kind == "u" and array.dtype.itemsize == 8 and array.size and int(array.max()) >= 1 << 63:
        raise InputError(f"accumulators reach {int(array.max())}, beyond 64 bits")
    narrow = array.dtype.itemsize < 4 or array.dtype == np.int32
    return np.ascontiguousarray(array, dtype=np.int32 if narrow else np.int64)


def within_domain(array: Array, scheme: RequantizeScheme, multipliers: Multipliers, within: Range, axis: int) -> Array:
    """The accumulators, each of which has a defined result; as int32 where 32 bits are enough."""
    limits = [scheme.accumulator_range(shift) for shift in multipliers.shift.tolist()]
    lowest, highest = max(limit[0] for limit in limits), min(limit[1] for limit in limits)
    held = np.iinfo(array.dtype)
    if held.min < lowest or held.max > highest:
        _require_defined(array, scheme, limits, axis)
    if scheme.zero_point == "before_rounding" and multipliers.scale is not None:
        largest = float(multipliers.scale.max()) * (1 << 31) + abs(within.zero_point)
        if scheme.overflow == "wrap" and largest >= LARGEST_SUM:
            raise InputError(
                f"scale = {float(multipliers.scale.max())!r} takes results beyond 2^51, and scheme {scheme.name!r} "
                "wraps: their low bits are lost in binary64",
            )
    return array.astype(np.int32) if scheme.accumulator_bits == 32 and array.dtype != np.int32 else array


def _require_defined(array: Array, scheme: RequantizeScheme, limits: list[tuple[int, int]], axis: int) -> None:
    """Raise an InputError for the first accumulator outside its channel's limits."""
    lows, highs = (np.array(column, dtype=np.int64) for column in zip(*limits, strict=True))
    if len(limits) > 1:
        shape = [1] * array.ndim
        shape[axis] = len(limits)
        lows, highs = lows.reshape(shape), highs.reshape(shape)
    outside = (array < lows) | (array > highs)
    if not outside.any():
        return
    place, where = first_place(outside)
    low, high = (int(np.broadcast_to(limit, array.shape)[place]) for limit in (lows, highs))
    why = "with this shift" if scheme.bounded else f"in {scheme.accumulator_bits} bits"
    raise InputError(
        f"accumulator {int(array[place])}{where} is outside {low} to {high}: scheme {scheme.name!r} defines no "
        f"result for it {why}",
    )
