"""What values may be given as: floats, integers, ml_dtypes arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, LowbitError
from lowbit.ops.arrays import Array, as_array, values_to_codes
from lowbit.ops.cast.cast import decode

BINARY16_INFINITY, BINARY16_MINUS_INFINITY = 0x7C00, 0xFC00
BINARY16_UNIT = 2.0**-136
"""What the smallest number of binary16 is with the exponent's bias of binary32, a subnormal there."""
REBIASED = np.float32(2.0**112)
"""The biases are 127 and 15."""


EXACT, EXACT_BINARY32 = 1 << 53, 1 << 24
"""Magnitudes up to these are exact in binary64 and in binary32."""


def plain_values(values: npt.ArrayLike) -> Array:
    """The values in binary32 where that holds them, else in binary64.

    Raises
    ------
    InputError
    """
    array = as_array(values, "values")
    if array.dtype in (np.float32, np.float64):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype == ml_dtypes.bfloat16:
        return array.astype(np.float32)
    if array.dtype == np.float16:
        return _widened(array)
    if array.dtype.kind in "iu" and array.size and max(abs(int(array.min())), abs(int(array.max()))) <= EXACT:
        return array.astype(np.float32 if np.abs(array).max() <= EXACT_BINARY32 else np.float64)
    codes, source = values_to_codes(array)
    for dtype in (np.float32, np.float64):
        try:
            return np.asarray(decode(codes, source, dtype=dtype))
        except LowbitError as error:
            reason = error
    raise InputError(f"values of {source.id} do not fit binary64", hint="convert them with astype(float)") from reason


def _widened(array: Array) -> Array:
    """Numbers of binary16 in binary32: exponent and fraction in their new places, times the difference of the biases.

    NumPy's own conversion, six times slower, is for NaN, infinities and a thread that flushes subnormal operands.
    """
    codes = array.view(np.int16)
    beyond = array.size and (codes.max() >= BINARY16_INFINITY or array.view(np.uint16).max() >= BINARY16_MINUS_INFINITY)
    if beyond or np.float32(BINARY16_UNIT) * REBIASED == 0:
        return array.astype(np.float32)
    words = codes.astype(np.int32)  # the sign in all of the upper bits
    words <<= np.int32(13)
    words &= np.int32(~0x70000000)
    values = words.view(np.float32)
    values *= REBIASED
    return values
