"""What a caller's array is: raw codes and the format they are codes of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, UnknownFormatError
from lowbit.registry import get_format
from lowbit.spec import FixedFormat, FloatFormat, Format, Scalar

Array = npt.NDArray[Any]
_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def scalar_format(fmt: Any, role: str = "fmt") -> Scalar:
    """The scalar format that an argument names.

    Raises
    ------
    InputError
        It is a format, but not a scalar one.
    """
    found = get_format(fmt)
    if not isinstance(found, FloatFormat | FixedFormat):
        raise InputError(f"{role} = {found.id!r} is a {found.kind} format; this operation takes scalar formats")
    return found


def values_to_codes(values: Any) -> tuple[Array, Scalar]:
    """Raw codes and format of an array of values: NumPy floats and integers, ml_dtypes arrays, Python numbers.

    Raises
    ------
    InputError
        The dtype holds no numbers that can be converted exactly (object, complex, longdouble, strings).
    """
    array = np.asarray(values)
    if array.dtype == object:
        raise InputError(
            f"values of dtype object cannot be converted ({_first_culprit(array)})",
            hint="pass a NumPy array of floats or of integers that fit int64 or uint64",
        )
    if array.dtype.kind == "b":
        return array.view(np.uint8), scalar_format("uint8")
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        raise InputError("values of dtype longdouble are wider than binary64", hint="convert them with astype(float)")
    try:
        fmt = scalar_format(array.dtype)
    except UnknownFormatError as error:
        raise InputError(
            f"values of dtype {array.dtype} are no numbers of a format that lowbit knows",
            hint="pass floats, integers or an ml_dtypes array; raw codes go to convert(codes, source, target)",
        ) from error
    return view_codes(array, fmt), fmt


def _first_culprit(array: Array) -> str:
    for index, item in np.ndenumerate(array):
        if not isinstance(item, int | float) or isinstance(item, int):
            where = f" at {index}" if index else ""
            return f"{type(item).__name__} {str(item)[:40]}{where}"
    return "mixed Python objects"


def view_codes(array: Array, fmt: Format) -> Array:
    """The codes of a typed array, without a copy where its layout allows."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if fmt.kind != "float":
        kind = np.dtype(f"{'i' if fmt.signed else 'u'}{array.dtype.itemsize}")
        if array.dtype == kind:
            return array
        codes = array.view(kind)
        # ml_dtypes' small integers keep one element a byte and ignore the upper bits
        unused = array.dtype.itemsize * 8 - fmt.bits
        return (codes << unused) >> unused if unused else codes
    if not array.flags.c_contiguous and array.ndim == 0:
        array = array.copy()
    return array.view(_UNSIGNED[array.dtype.itemsize])


def checked_codes(codes: Any, fmt: Scalar, role: str = "codes") -> Array:
    """An integer array whose elements are codes of the format.

    Raises
    ------
    InputError
        The array is not of integers, or an element is not a code of the format.
    """
    array = np.asarray(codes)
    if array.dtype.kind not in "iu":
        named = _same_format(array.dtype, fmt)
        if named is not None:
            return view_codes(array, fmt)
        if array.size == 0 and array.dtype == np.float64:
            return array.astype(fmt.code_dtype)
        raise InputError(
            f"{role} must be an integer array of {fmt.id} codes, not {array.dtype}",
            hint="encode(values, fmt) makes codes of values",
        )
    lowest, highest = code_range(fmt)
    if (array.size and array.dtype != np.dtype(fmt.code_dtype)) or fmt.bits < fmt.container_bits or _narrow(fmt):
        _require_range(array, lowest, highest, fmt, role)
    return array


def _same_format(dtype: Any, fmt: Scalar) -> Scalar | None:
    try:
        return fmt if scalar_format(dtype).id == fmt.id else None
    except UnknownFormatError:
        return None


def _narrow(fmt: Scalar) -> bool:
    return isinstance(fmt, FixedFormat) and fmt.narrow


def code_range(fmt: Scalar) -> tuple[int, int]:
    """Lowest and highest code."""
    if isinstance(fmt, FixedFormat):
        return fmt.min_code, fmt.max_code
    return 0, (1 << fmt.bits) - 1


def _require_range(array: Array, lowest: int, highest: int, fmt: Scalar, role: str) -> None:
    if array.size == 0:
        return
    small, large = int(array.min()), int(array.max())
    if lowest <= small and large <= highest:
        return
    wrong = small if small < lowest else large
    where = np.unravel_index(int(np.flatnonzero(array.reshape(-1) == wrong)[0]), array.shape)
    place = f" at index {tuple(int(i) for i in where)}" if where else ""
    raise InputError(
        f"{role}: {wrong}{place} is not a code of {fmt.id}, whose codes are {lowest} to {highest}",
        hint="mask or unpack the codes first; values are made into codes by encode(values, fmt)",
    )
