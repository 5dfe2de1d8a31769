"""Arrays of codes at the public edge: what they may be, and what is wrong with them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.registry import get_format
from lowbit.spec import FixedFormat, FloatFormat, Format, Scalar

Array = np.ndarray[Any, np.dtype[Any]]


def code_array(codes: npt.ArrayLike, fmt: Format) -> Array:
    """Codes as an integer array, each of them one of the format's.

    Raises
    ------
    InputError
        The array does not hold integers, or a code is out of range; the message says which and where.
    """
    array = integer_array(codes, f"codes of {fmt.id}", fmt.code_dtype)
    if array.dtype.kind not in "iu":
        raise InputError(
            f"codes of {fmt.id} are integers, not {array.dtype}",
            hint="array.view(numpy.uint8) reads the codes of an ml_dtypes array; lowbit.encode makes codes from values",
        )
    check_range(array, *code_range(fmt), fmt.id)
    return array


def integer_array(numbers: npt.ArrayLike, what: str, empty: str = "int64") -> Array:
    """An array of what is given, of integers if they are integers; ``empty`` is the dtype of an empty list.

    NumPy makes floats or objects of a list that mixes Python integers below and from 2**63; such a list is read as
    uint64 here.

    Raises
    ------
    InputError
        The lists are ragged, or the array is a masked one.
    """
    if isinstance(numbers, np.ma.MaskedArray):
        raise InputError(f"{what}: a masked array, but integers have no mask", hint="pass values.filled(0), say")
    if isinstance(numbers, np.ndarray):
        return numbers
    try:
        array = np.asarray(numbers)
    except ValueError as error:
        raise InputError(f"{what} are no array: the lists in them differ in length") from error
    if array.size == 0:
        return array.astype(empty)
    if array.dtype.kind in "fO":
        exact = np.asarray(numbers, dtype=object)
        elements = exact.reshape(-1).tolist()
        if all(type(number) is int and 0 <= number < 1 << 64 for number in elements):
            return exact.astype(np.uint64)
    return array


def code_range(fmt: Format) -> tuple[int, int]:
    """The lowest and the highest code."""
    if isinstance(fmt, FixedFormat):
        return fmt.min_code, fmt.max_code
    return 0, (1 << fmt.bits) - 1


class CodeSpace(NamedTuple):
    """Which codes a format has, and the dtype that they come in."""

    dtype: np.dtype[Any]
    low: int
    high: int
    whole: bool
    """Whether every value of the dtype is a code."""


@lru_cache(maxsize=256)
def code_space(fmt: Format) -> CodeSpace:
    """What codes of a format may be; asked for at every call, hence kept."""
    dtype, (low, high) = np.dtype(fmt.code_dtype), code_range(fmt)
    limits = np.iinfo(dtype)
    return CodeSpace(dtype, low, high, (low, high) == (limits.min, limits.max))


def check_range(array: Array, low: int, high: int, what: str) -> None:
    """Raise an InputError that names the first element outside ``low..high``."""
    if array.size == 0:
        return
    limits = np.iinfo(array.dtype)
    if (limits.min >= low or int(array.min()) >= low) and (limits.max <= high or int(array.max()) <= high):
        return
    outside = np.zeros(array.shape, dtype=bool)
    if limits.min < low:
        outside |= array < array.dtype.type(low)
    if limits.max > high:
        outside |= array > array.dtype.type(high)
    position = tuple(int(index) for index in np.argwhere(outside)[0])
    value = int(array[position])
    where = f" at index {position[0] if len(position) == 1 else position}" if position else ""
    raise InputError(f"{value:#x}{where} is not a code of {what}: the codes are {low:#x} to {high:#x}")


def scalar_format(name: object) -> Scalar:
    """The scalar format of a name, a dtype or itself.

    Raises
    ------
    UnknownFormatError
        No format has this name, or several are known by it.
    InputError
        It is no scalar format.
    """
    fmt = get_format(name)
    if not isinstance(fmt, FloatFormat | FixedFormat):
        raise InputError(f"{fmt.id} is not a scalar format")
    return fmt
