"""dequantize: what the codes and scales of a block tensor are worth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.exact import floor_log2
from lowbit.format.block import BlockFormat, ScaleField
from lowbit.format.protocol import Scalar
from lowbit.ops.arithmetic.exact_rounding import BINARY32_BITS, add_to_odd, binary32_to_odd, divide_to_odd
from lowbit.ops.arrays import Array, checked_threads, is_negative
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.nested import nested_formats, product_with_sum
from lowbit.ops.block.products import binary32_sums, binary32_values
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.struct_values import values_of_structs
from lowbit.ops.block.tensor import BlockTensor, moved_back, moved_last
from lowbit.ops.block.vectors import of_components
from lowbit.ops.cast.cast import decode, numpy_dtype

EXACT_BITS = 53
EXACT_EXPONENT = 1000
"""Numbers of binary64 that are neither subnormal nor beyond it, with some room."""


def dequantize(tensor: BlockTensor, *, dtype: npt.DTypeLike = np.float32, threads: int = 1) -> Array:
    """The values of a tensor in a block format: the exact value of each element, rounded once into the dtype.

    Parameters
    ----------
    tensor : BlockTensor
    dtype : dtype
        float16, float32, float64 or ml_dtypes' bfloat16; to nearest even, what is beyond it becomes infinite.
    threads : int
        How many threads share the work into float32; the bits are the same for any number.

    Returns
    -------
    values : ndarray, of the shape of the tensor
        NaNs have no sign and no payload.

    Raises
    ------
    InputError
        It is not a block tensor, or the dtype is another; or float64, where scales have an offset.

    Examples
    --------
    >>> import lowbit
    >>> dequantize(lowbit.quantize([0.3, -2.0, 3.1, 6.0] * 8, "mxfp4"))[:4].tolist()
    [0.5, -2.0, 3.0, 6.0]
    """
    if not isinstance(tensor, BlockTensor):
        raise InputError(
            f"dequantize takes a BlockTensor, not {type(tensor).__name__}", hint="lowbit.quantize makes one"
        )
    wanted = numpy_dtype(dtype)
    checked_threads(threads)
    if wanted == np.float32 and (straight := values_of_structs(tensor, threads)) is not None:
        return straight
    if wanted.name not in ("float16", "float32", "float64", "bfloat16"):
        raise InputError(f"dtype {wanted} is not a float of 16, 32 or 64 bits", hint="dtype=numpy.float32")
    _require_exact(tensor.format, wanted)
    tensor = of_components(tensor)
    with np.errstate(all="ignore"):
        if wanted == np.float32:
            for kernel in (binary32_values, binary32_sums):
                fast = kernel(tensor, threads)
                if fast is not None:
                    return fast
        values = _values(tensor, nearest=wanted == np.float64)
        values[np.isnan(values)] = np.nan
        if wanted == np.float64:
            return values
        return values.astype(np.float32) if wanted.itemsize == 4 else np.asarray(binary32_to_odd(values).astype(wanted))


def _values(tensor: BlockTensor, *, nearest: bool) -> Array:
    """The values in binary64, to nearest even or, where more rounding follows, to odd: one step at most is inexact."""
    fmt = tensor.format
    element = np.asarray(decode(moved_last(tensor.codes, tensor.axis), fmt.number, dtype=np.float64))
    fields = [field for field in fmt.scales if field not in fmt.sums]
    numbers = {field.name: field_values(tensor.scale_codes(field.name), field) for field in fields}
    wide = {field.name: spread(moved_last(numbers[field.name], tensor.axis), field, element.shape) for field in fields}
    addends = {}
    for field in fields:
        for other in fmt.on_scales(field.name):
            if other.role == "super":
                wide[field.name] = wide[field.name] * wide[other.name]
            else:
                addends[field.name] = wide[other.name]
    negative = moved_last(is_negative(tensor.codes, fmt.number), tensor.axis) if fmt.by_sign else None
    result = element
    if _product_with_sum(fmt):
        scale, zero = (wide[field.name] for field in fmt.scales)
        result = product_with_sum(*np.broadcast_arrays(scale, result, -zero))
        return moved_back(result, tensor.axis)
    for field in fmt.of_role("zero_point"):
        result = result - wide[field.name]
    for field in fmt.of_role("multiply", "exponent"):
        if field.name in addends:
            result = product_with_sum(*np.broadcast_arrays(result, wide[field.name], addends[field.name]))
        else:
            result = result * wide[field.name]
    if negative is not None:
        result = result * np.where(negative & ~np.isnan(element), wide["negative"], wide["positive"])
    for field in fmt.of_role("divide"):
        divisor = wide[field.name]
        result = result / divisor if nearest else divide_to_odd(result, divisor)
    for field in fmt.of_role("offset", "subtract"):
        signed = -wide[field.name] if field.role == "subtract" else wide[field.name]
        addend = np.broadcast_to(signed, result.shape)
        result = result + addend if nearest else add_to_odd(result, addend)
    return moved_back(result, tensor.axis)


def _require_exact(fmt: BlockFormat, wanted: np.dtype[np.generic]) -> None:
    """Refuse a format whose differences and products binary64 does not hold, or with two steps that are inexact."""
    product = _Range.of(fmt.number)
    on_scales = any(field.role == "offset" and field.of for field in fmt.scales)
    if on_scales:
        nested_formats(fmt)
    if on_scales or _product_with_sum(fmt):
        if wanted == np.float64 or product.bits > BINARY32_BITS:
            raise InputError(f"values of {fmt.id} are not rounded to binary64", hint="dtype=numpy.float32")
        product = _Range(0, 0, 0)  # a sum that is rounded is multiplied, for which product_with_sum makes up
    if _product_with_sum(fmt):
        return

    def term(field: ScaleField) -> _Range:
        own = _Range.of_exponent(field.format) if field.role == "exponent" else _Range.of(field.format)
        for other in fmt.on_scales(field.name):
            own = own.times(_Range.of(other.format)) if other.role == "super" else own
        return own

    for field in fmt.of_role("zero_point"):
        product = product.minus(term(field))
    for field in fmt.of_role("multiply", "exponent"):
        product = product.times(term(field))
    inexact = fmt.of_role("divide", "offset", "subtract")
    products = [product.times(term(field)) for field in fmt.of_role("by_sign")] or [product]
    parts = [_Range(*map(max, zip(*products, strict=True))), *map(term, inexact)]
    bits = max(part.bits for part in parts)
    if bits > EXACT_BITS:
        raise InputError(f"values of {fmt.id} have up to {bits} bits, more than binary64", hint="narrower scales")
    if sum(max(abs(part.low), abs(part.high)) for part in parts) > EXACT_EXPONENT:
        raise InputError(f"values of {fmt.id} reach beyond 2^±{EXACT_EXPONENT}", hint="scales of a shorter range")
    if len(inexact) > 1:
        roles = " and ".join(field.role for field in inexact)
        raise InputError(f"values of {fmt.id} are rounded once, which roles {roles} together do not allow")


def _product_with_sum(fmt: BlockFormat) -> bool:
    """Whether an element less a zero point that is not an integer, which binary64 may not hold, is multiplied."""
    if [field.role for field in fmt.scales] != ["multiply", "zero_point"] or fmt.nested:
        return False
    scale, zero = (_Range.of(field.format) for field in fmt.scales)
    wide = scale.times(_Range.of(fmt.number).minus(zero)).bits > EXACT_BITS
    return wide and max(scale.bits, zero.bits) <= BINARY32_BITS


class _Range(NamedTuple):
    """Of numbers: how many significant bits they have, multiples of two to which power, and below which."""

    bits: int
    low: int
    high: int

    @classmethod
    def of(cls, fmt: Scalar) -> _Range:
        ends = max(fmt.max_exponent, floor_log2(fmt.min) if fmt.signed else 0) + 1
        return cls(max(fmt.precision, 1), fmt.smallest_exponent, ends)

    @classmethod
    def of_exponent(cls, fmt: Scalar) -> _Range:
        return cls(0, int(fmt.min.fraction()), int(fmt.max.fraction()))

    def times(self, other: _Range) -> _Range:
        return _Range(self.bits + other.bits, self.low + other.low, self.high + other.high)

    def minus(self, other: _Range) -> _Range:
        low, high = min(self.low, other.low), max(self.high, other.high) + 1
        return _Range(high - low, low, high)


def lost_blocks(tensor: BlockTensor, values: Array) -> int:
    """How many of a tensor's smallest blocks are zero although the values that they stand for are not.

    Parameters
    ----------
    tensor : BlockTensor
        The blocks along the last axis.
    values : ndarray
        What it was made of.
    """
    fmt = tensor.format
    factors = fmt.of_role("multiply", "by_sign")
    if not any(_has_small(field_values(tensor.scale_codes(field.name), field), field) for field in factors):
        return 0
    extents = fmt.scales[0].extents(tensor.shape)
    worth = dequantize(tensor, dtype=np.float32 if fmt.nested else np.float64)
    there, left = (_any_in_blocks(part != 0, extents) for part in (values, worth))
    return int(np.count_nonzero(there & ~left))


def _has_small(scales: Array, field: ScaleField) -> bool:
    """Whether a scale is zero or at most the smallest normal number of its format, below which digits are lost."""
    smallest = getattr(field.format, "min_normal", None)
    limit = 1.0 if smallest is None else float(smallest.fraction())
    return bool((np.abs(scales) <= limit).any())


def _any_in_blocks(places: Array, extents: Sequence[int]) -> Array:
    for axis, extent in enumerate(extents):
        places = np.logical_or.reduceat(places, np.arange(0, places.shape[axis], extent), axis=axis)
    return places
