"""Arguments at the public edge: arrays, codes and the format that they are codes of, and what is wrong with them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeGuard

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError, UnknownFormatError
from lowbit.format.protocol import Element, Scalar
from lowbit.format.registry import scalar_format
from lowbit.ops.types import Array, Codes, FormatLike

__all__ = [
    "Array",
    "Codes",
    "FormatLike",
    "all_codes",
    "as_array",
    "check_out",
    "check_range",
    "checked_codes",
    "checked_threads",
    "first_place",
    "format_of_dtype",
    "from_patterns",
    "integer_array",
    "is_infinite",
    "is_nan",
    "is_negative",
    "is_whole",
    "is_zero",
    "magnitudes",
    "scalar_format",
    "values_to_codes",
    "view_codes",
]


def as_array(values: Any, what: str) -> Array:
    """An array of whatever NumPy takes.

    Raises InputError: NumPy does not take it (nested sequences of different lengths, say), or it is a masked array.
    """
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(f"{what}: a masked array, but numbers have no mask", hint="pass values.filled(0), say")
    try:
        return np.asarray(values)
    except ValueError as error:
        reason = "the lists in it differ in length" if "inhomogeneous" in str(error) else str(error)
        raise InputError(f"{what}: not an array: {reason}") from error


def integer_array(numbers: npt.ArrayLike, what: str, empty: str = "int64") -> Array:
    """An array of what is given, of integers if they are integers; ``empty`` is the dtype of an empty list.

    NumPy makes floats or objects of a list that mixes Python integers below and from 2**63; such a list is read as
    uint64 here.

    Raises InputError: as for :func:`as_array`.
    """
    array = as_array(numbers, what)
    if isinstance(numbers, np.ndarray):
        return array
    if array.size == 0:
        return array.astype(empty)
    if array.dtype.kind in "fO":
        exact = np.asarray(numbers, dtype=object)
        elements = exact.reshape(-1).tolist()
        if all(type(number) is int and 0 <= number < 1 << 64 for number in elements):
            return exact.astype(np.uint64)
    return array


class CodeSpace(NamedTuple):
    """Which codes a format has, and the dtype that they come in."""

    dtype: np.dtype[Any]
    low: int
    high: int
    whole: bool
    """Whether every value of the dtype is a code."""


@lru_cache(maxsize=256)
def code_space(fmt: Element) -> CodeSpace:
    """What codes of a format may be; asked for at every call, hence kept."""
    dtype, low, high = np.dtype(fmt.code_dtype), fmt.codes[0], fmt.codes[-1]
    limits = np.iinfo(dtype)
    return CodeSpace(dtype, low, high, (low, high) == (limits.min, limits.max))


def checked_codes(codes: Any, fmt: Element) -> Array:
    """An array of the format's code dtype whose elements are codes of the format.

    Raises InputError: the array does not hold integers, or an element is not a code of the format; the message says
    which and where.
    """
    space = code_space(fmt)
    if type(codes) is np.ndarray and codes.dtype == space.dtype and space.whole:
        return codes
    array = integer_array(codes, "codes", fmt.code_dtype)
    if array.dtype.kind not in "iu":
        own = format_of_dtype(array.dtype)
        if own is None or own.id != fmt.id:
            raise InputError(
                f"codes of {fmt.id} are integers, not {array.dtype}",
                hint="encode(values, fmt) makes codes of values; array.view(numpy.uint8) reads those of another dtype",
            )
        array = view_codes(array, fmt)
    if array.dtype != space.dtype or not space.whole:
        check_range(array, space.low, space.high, fmt.id)
    return array.astype(space.dtype, copy=False)


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
    place, where = first_place(outside)
    raise InputError(f"{int(array[place]):#x}{where} is not a code of {what}: the codes are {low:#x} to {high:#x}")


def first_place(mask: Any) -> tuple[tuple[int, ...], str]:
    """The first place that a mask marks, in C order, and the words that name it in a message."""
    place = tuple(np.argwhere(mask)[0].tolist())
    return place, f" at index {place[0] if len(place) == 1 else place}" if place else ""


_UNSIGNED = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def values_to_codes(values: Any) -> tuple[Array, Scalar]:
    """Raw codes and format of an array of values: NumPy floats and integers, ml_dtypes arrays, Python numbers.

    Raises InputError: the dtype holds no numbers that can be converted exactly (object, complex, longdouble, strings).
    """
    if type(values) is np.ndarray:
        plain = _plain(values.dtype)
        if plain is not None:
            return values.view(plain[1]), plain[0]
    array = as_array(values, "values")
    if array.dtype == object:
        raise InputError(
            f"values of dtype object cannot be converted ({_first_culprit(array)})",
            hint="pass a NumPy array of floats or of integers that fit int64 or uint64",
        )
    if array.dtype.kind == "b":
        return array.view(np.uint8), scalar_format("uint8")
    if array.dtype == np.longdouble and array.dtype.itemsize > 8:
        raise InputError("values of dtype longdouble are wider than binary64", hint="convert them with astype(float)")
    fmt = format_of_dtype(array.dtype)
    if fmt is None:
        raise InputError(
            f"values of dtype {array.dtype} are not numbers of a format that lowbit knows",
            hint="pass floats, integers or an ml_dtypes array; raw codes go to convert(codes, source, target)",
        )
    codes = view_codes(array, fmt)
    if not fmt.wraps and fmt.bits < fmt.container_bits:
        check_range(codes, fmt.codes[0], fmt.codes[-1], fmt.id)  # ml_dtypes keeps a small float in a byte
    return codes.astype(code_space(fmt).dtype, copy=False), fmt


@lru_cache(maxsize=64)
def _plain(dtype: np.dtype[Any]) -> tuple[Scalar, np.dtype[Any]] | None:
    """Format and code dtype of NumPy's own floats and integers in native byte order, of which every element counts."""
    if dtype.isbuiltin != 1 or dtype.kind not in "fiu" or dtype.itemsize > 8:
        return None
    fmt = scalar_format(dtype)
    return fmt, np.dtype(fmt.code_dtype)


def check_out(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Raise an InputError unless ``out`` is None or an array that results of this shape and dtype can be written to."""
    if out is None:
        return
    if not isinstance(out, np.ndarray) or out.dtype != dtype or out.shape != shape:
        found = f"{out.dtype} of shape {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
        article = "an" if dtype.name.startswith("int") else "a"
        raise InputError(f"out must be {article} {dtype} array of shape {shape}, not {found}")
    if not out.flags.writeable:
        raise InputError("out is read-only")


def is_whole(value: object) -> TypeGuard[int | np.integer[Any]]:
    """Whether a value is an integer, Python's or NumPy's; True and False are none."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def checked_threads(threads: object) -> int:
    """A positive number of threads."""
    if not is_whole(threads) or threads < 1:
        hint = "1 for the thread that calls, more for as many at a time; results are the same"
        raise InputError(f"threads = {threads!r} is not a positive whole number", hint=hint)
    return int(threads)


def _first_culprit(array: Array) -> str:
    for index, item in np.ndenumerate(array):
        if not isinstance(item, int | float) or isinstance(item, int):
            where = f" at {index}" if index else ""
            return f"{type(item).__name__} {str(item)[:40]}{where}"
    return "mixed Python objects"


def view_codes(array: Array, fmt: Element) -> Array:
    """The codes of a typed array, without a copy where its layout allows."""
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if fmt.wraps:
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


def format_of_dtype(dtype: np.dtype[Any]) -> Scalar | None:
    """The format whose values or codes arrays of a dtype hold, where there is one."""
    try:
        return scalar_format(dtype)
    except UnknownFormatError:
        return None


def all_codes(fmt: Scalar) -> Array:
    """Every bit pattern of a format of at most 16 bits, in order of the bits, as codes."""
    return from_patterns(np.arange(1 << fmt.bits, dtype=np.int64), fmt)


def from_patterns(patterns: Array, fmt: Element) -> Array:
    """Bit patterns as codes: those of signed codes are two's complement."""
    if not fmt.signed_codes:
        return patterns.astype(fmt.code_dtype)
    wide = patterns.astype(fmt.code_dtype)
    unused = 8 * wide.itemsize - fmt.bits
    return wide if unused == 0 else wide << unused >> unused


def magnitudes(codes: Array, fmt: Scalar) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.bool_]]:
    """Magnitude and sign of each code, be it a signed number or a sign beside a magnitude."""
    wide = codes.astype(np.uint64)
    if fmt.signed_codes:
        negative = np.asarray(codes < 0)  # two's complement by hand: the magnitude of INT64_MIN fits uint64 only
        return np.where(negative, ~wide + np.uint64(1), wide), negative
    sign = np.uint64(fmt.sign_bit)
    return wide & ~sign, np.asarray((wide & sign) != 0)


def is_negative(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    """Which codes have a minus sign, -0 and NaNs with one included."""
    return _listed_signs(fmt)[codes] if fmt.listed else magnitudes(codes, fmt)[1]


@lru_cache(maxsize=64)
def _listed_signs(fmt: Scalar) -> npt.NDArray[np.bool_]:
    return np.array([fmt.decode(code).negative for code in fmt.codes])


def is_nan(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    """Which codes are NaNs."""
    found = np.zeros(codes.shape, dtype=np.bool_)
    for low, high in fmt.nan_ranges:
        found |= (codes >= low) & (codes <= high)
    return found


def is_infinite(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    """Which codes are infinities."""
    return _is_one_of(codes, fmt.infinities)


def is_zero(codes: Array, fmt: Scalar) -> npt.NDArray[np.bool_]:
    """Which codes are zeros."""
    return _is_one_of(codes, (fmt.zero_code(), fmt.zero_code(negative=True)) if fmt.zero else ())


def _is_one_of(codes: Array, some: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    found = np.zeros(codes.shape, dtype=np.bool_)
    for code in some:  # numpy.isin would make floats of codes below and from 2**63
        found |= codes == code
    return found
