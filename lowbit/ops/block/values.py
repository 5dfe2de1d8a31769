"""What values may be given as: floats, integers, ml_dtypes arrays."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, LowbitError
from lowbit.ops.arrays import Array, as_array, values_to_codes
from lowbit.ops.cast.cast import decode


def plain_values(values: npt.ArrayLike) -> Array:
    """The values in binary32 where that holds them, else in binary64.

    Raises
    ------
    InputError
    """
    array = as_array(values, "values")
    if array.dtype in (np.float32, np.float64):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype in (np.float16, ml_dtypes.bfloat16):
        return array.astype(np.float32)
    codes, source = values_to_codes(array)
    for dtype in (np.float32, np.float64):
        try:
            return np.asarray(decode(codes, source, dtype=dtype))
        except LowbitError as error:
            reason = error
    raise InputError(f"values of {source.id} do not fit binary64", hint="convert them with astype(float)") from reason
