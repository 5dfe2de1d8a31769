"""dequantize: what the codes and scales of a block tensor are worth."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.block import BlockFormat
from lowbit.ops.arithmetic.exact_rounding import add_to_odd, divide_to_odd
from lowbit.ops.arrays import Array, is_negative
from lowbit.ops.block.blocks import spread
from lowbit.ops.block.scales import field_values
from lowbit.ops.block.tensor import BlockTensor
from lowbit.ops.cast.cast import decode

EXACT_BITS = 53


def dequantize(tensor: BlockTensor, *, dtype: npt.DTypeLike = np.float32) -> Array:
    """The values of a tensor in a block format: the exact value of each element, rounded once into the dtype.

    Parameters
    ----------
    tensor : BlockTensor
    dtype : dtype
        float16, float32, float64 or ml_dtypes' bfloat16; to nearest even, what is beyond it becomes infinite.

    Returns
    -------
    values : ndarray, of the shape of the tensor
        NaNs have no sign and no payload.

    Raises
    ------
    InputError
        It is not a block tensor, or the dtype is another.

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
    wanted = np.dtype(dtype)
    if wanted.name not in ("float16", "float32", "float64", "bfloat16"):
        raise InputError(f"dtype {wanted} is not a float of 16, 32 or 64 bits", hint="dtype=numpy.float32")
    with np.errstate(all="ignore"):
        values = _values(tensor, to_nearest=wanted == np.float64)
        values[np.isnan(values)] = np.nan
        if wanted == np.float64:
            return values
        narrow = values.astype(np.float32)
        return narrow if wanted.itemsize == 4 else np.asarray(_through_odd(values, narrow).astype(wanted))


def _values(tensor: BlockTensor, *, to_nearest: bool) -> Array:
    """The values in binary64, rounded to nearest or to odd where they are inexact there."""
    fmt = tensor.format
    element = np.asarray(decode(np.moveaxis(tensor.codes, tensor.axis, -1), fmt.element, dtype=np.float64))
    numbers = {field.name: field_values(tensor.scale_codes(field.name), field) for field in fmt.scales}
    wide = {
        field.name: spread(_axis_last(numbers[field.name], tensor.axis), field, element.shape) for field in fmt.scales
    }
    for field in fmt.of_role("super"):
        wide[field.of] = wide[field.of] * wide[field.name]
    negative = np.moveaxis(is_negative(tensor.codes, fmt.element), tensor.axis, -1) if fmt.by_sign else None
    result = element
    for field in fmt.of_role("zero_point"):
        result = result - wide[field.name]
    for field in fmt.of_role("multiply", "exponent"):
        result = result * wide[field.name]
    for field in fmt.of_role("divide"):
        pair = np.broadcast_arrays(result, wide[field.name])
        result = np.divide(*pair) if to_nearest else divide_to_odd(*pair)
    if negative is not None:
        result = result * np.where(negative & ~np.isnan(element), wide["negative"], wide["positive"])
    for field in fmt.of_role("offset"):
        pair = np.broadcast_arrays(result, wide[field.name])
        result = np.add(*pair) if to_nearest else add_to_odd(*pair)
    _require_exact(fmt)
    return np.ascontiguousarray(np.moveaxis(result, -1, tensor.axis))


def _require_exact(fmt: BlockFormat) -> None:
    """Refuse a format of more bits than a product in binary64 holds."""
    factors = fmt.of_role("multiply", "exponent", "super")
    signs = fmt.of_role("by_sign")[:1]
    bits = fmt.element.precision + sum(
        field.format.precision for field in (*factors, *signs) if field.role != "exponent"
    )
    if bits > EXACT_BITS:
        raise InputError(f"values of {fmt.id} have up to {bits} bits, more than binary64", hint="narrower scales")


def _axis_last(array: Array, axis: int) -> Array:
    return np.moveaxis(array, axis, -1) if array.ndim else array


def _through_odd(values: Array, narrow: Array) -> Array:
    """binary32 to odd: so that rounding on into 16 bits rounds once."""
    beside = np.nextafter(narrow, np.where(values > narrow, np.float32(np.inf), np.float32(-np.inf)))
    even = (narrow.view(np.int32) & 1) == 0
    inexact = np.isfinite(narrow) & (narrow.astype(np.float64) != values)
    return np.asarray(np.where(inexact & even, beside, narrow))
