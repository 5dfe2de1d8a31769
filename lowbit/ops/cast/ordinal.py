"""Codes as steps along the number line: ordinals, neighbours and distances in units in the last place.

An ordinal numbers the values of a format in their order: 0 is zero (the smallest value of a format without zero),
the next value above is 1, the next below -1. Both zeros have ordinal 0. The infinities come after the largest finite
values. A NaN has no ordinal. For integers and fixed point the ordinal is the code.

Ordinals are int64, except that those of an unsigned 64-bit integer or fixed-point format are uint64.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import (
    Array,
    Codes,
    FormatLike,
    check_range,
    checked_codes,
    first_place,
    integer_array,
    is_nan,
    is_whole,
    magnitudes,
    scalar_format,
)
from lowbit.ops.types import Results

DIRECTIONS = ("up", "down")


def ordinal(codes: Codes, fmt: FormatLike, *, nan: int | None = None) -> Results:
    """The ordinals of codes.

    Parameters
    ----------
    codes : array of int
        Raw codes of the format.
    fmt : format or its name
        Any scalar format of at most 64 bits.
    nan : int, optional
        What a NaN gets, an int64. Unless given, a NaN is an error.

    Returns
    -------
    int64 array of the same shape, or an int for an int
        In code steps; larger ordinal, larger value. uint64 for an unsigned 64-bit integer or fixed-point format.

    Raises
    ------
    InputError
        A code is out of range or is a NaN, or ``nan`` is not an int64.

    Examples
    --------
    >>> ordinal([0x00, 0x01, 0x81, 0x80], "float8_e4m3fn").tolist()
    [0, 1, -1, 0]
    """
    spec, array = _arguments(codes, fmt)
    if nan is not None:
        _check_nan(nan, -(1 << 63), (1 << 63) - 1)
    return _like(codes, ordinals_of(array, spec, nan))


def from_ordinal(ordinals: npt.ArrayLike, fmt: FormatLike) -> Results:
    """The codes of ordinals: the inverse of :func:`ordinal`, with +0 for 0.

    Parameters
    ----------
    ordinals : array of int
        In code steps from zero.
    fmt : format or its name
        Any scalar format of at most 64 bits.

    Returns
    -------
    array of the format's code dtype, or an int for an int

    Raises
    ------
    InputError
        The format has no value with that ordinal.

    Examples
    --------
    >>> from_ordinal([-1, 0, 1], "float8_e4m3fn").tolist()
    [129, 0, 1]
    """
    spec = scalar_format(fmt)
    array = integer_array(ordinals, "ordinals")
    if array.dtype.kind not in "iu":
        raise InputError(f"ordinals are integers, not {array.dtype}")
    check_range(array, spec.ordinals[0], spec.ordinals[-1], f"{spec.id} by ordinal")
    return _like(ordinals, _codes(array.astype(ordinal_dtype(spec)), spec))


def next_after(codes: Codes, fmt: FormatLike, *, direction: str = "up") -> Results:
    """The next value up or down, as IEEE 754-2019 5.3.1 nextUp and nextDown.

    A NaN stays as it is, so does the last value in that direction: an infinity, or the largest value of a format
    without infinity. The step from the smallest negative value up to zero gives -0 where the format has it.

    Parameters
    ----------
    codes : array of int
        Raw codes of the format.
    fmt : format or its name
        Any scalar format of at most 64 bits.
    direction : {"up", "down"}
        Toward plus or minus infinity.

    Returns
    -------
    array of the format's code dtype, or an int for an int

    Raises
    ------
    InputError
        A code is out of range, or the direction is unknown.

    Examples
    --------
    >>> next_after([0x38, 0x7E], "float8_e4m3fn").tolist(), next_after(0x38, "float8_e4m3fn", direction="down")
    ([57, 126], 55)
    """
    if direction not in DIRECTIONS:
        raise InputError(f"direction {direction!r} is neither 'up' nor 'down'", hint="direction='down', say")
    spec, array = _arguments(codes, fmt)
    low, high = spec.ordinals[0], spec.ordinals[-1]
    before = ordinals_of(array, spec, nan=0)
    # The last value is held before the step: one more could be beyond 64 bits.
    after = np.minimum(before, high - 1) + 1 if direction == "up" else np.maximum(before, low + 1) - 1
    result = _codes(after, spec)
    if spec.negative_zero and direction == "up":
        result = np.where(before == -1, result.dtype.type(spec.zero_code(negative=True)), result)
    result = np.where(is_nan(array, spec), array.astype(result.dtype), result)
    return _like(codes, result)


def ulp_distance(first: Codes, second: Codes, fmt: FormatLike, *, nan: int | None = None) -> Results:
    """How many code steps lie between two values of one format; 0 between -0 and +0.

    Parameters
    ----------
    first, second : arrays of int
        Raw codes of the format, broadcast against each other.
    fmt : format or its name
        Any scalar format of at most 64 bits.
    nan : int, optional
        The distance where exactly one of the two is a NaN, a uint64; two NaNs are 0 apart then. Unless given, a NaN
        is an error.

    Returns
    -------
    uint64 array of the broadcast shape, or an int for two ints
        In code steps.

    Raises
    ------
    InputError
        A code is out of range or is a NaN, the shapes do not go together, or ``nan`` is not a uint64.

    Examples
    --------
    >>> ulp_distance(0x38, 0x3A, "float8_e4m3fn")
    2
    """
    if nan is not None:
        _check_nan(nan, 0, (1 << 64) - 1)
    spec, left = _arguments(first, fmt)
    _, right = _arguments(second, fmt)
    left, right = _broadcast(left, right)
    sentinel = None if nan is None else 0
    low = ordinals_of(left, spec, sentinel)
    high = ordinals_of(right, spec, sentinel)
    # The difference of two 64-bit integers fits in 64 bits unsigned: subtract modulo 2^64, the lower from the higher.
    smaller, larger = np.atleast_1d(np.minimum(low, high), np.maximum(low, high))
    distance = (larger.view(np.uint64) - smaller.view(np.uint64)).reshape(left.shape)
    if nan is not None:
        left_nan, right_nan = is_nan(left, spec), is_nan(right, spec)
        distance = np.where(left_nan | right_nan, np.uint64(0), distance)
        distance = np.where(left_nan != right_nan, np.uint64(nan), distance)
    scalar = not isinstance(first, np.ndarray) and not isinstance(second, np.ndarray) and distance.ndim == 0
    return int(distance) if scalar else distance


def _arguments(codes: Codes, fmt: FormatLike) -> tuple[Scalar, Array]:
    spec = scalar_format(fmt)
    return spec, checked_codes(codes, spec)


def _check_nan(nan: object, low: int, high: int) -> None:
    if not is_whole(nan):
        raise InputError(f"nan = {nan!r} is not an integer")
    if not low <= nan <= high:
        raise InputError(f"nan = {nan} is outside {low} to {high}")


def _broadcast(first: Array, second: Array) -> tuple[Array, Array]:
    try:
        left, right = np.broadcast_arrays(first, second)
    except ValueError as error:
        raise InputError(
            f"arrays of the shapes {first.shape} and {second.shape} cannot be compared element by element",
            hint="NumPy's broadcasting needs equal lengths, or 1, on every axis counted from the last",
        ) from error
    return left, right


def _like(codes: npt.ArrayLike, result: Array) -> Results:
    """A Python int for a scalar, the array otherwise."""
    return int(result) if result.ndim == 0 and not isinstance(codes, np.ndarray) else result


def ordinal_dtype(spec: Scalar) -> type[np.int64 | np.uint64]:
    """int64, where that holds every ordinal of the format."""
    return np.uint64 if spec.ordinals[-1] >> 63 else np.int64


@lru_cache(maxsize=256)
def first_ordinal(spec: Scalar, limit: Fraction, *, beyond: bool = False) -> int:
    """The ordinal of the first finite value that reaches a limit, or lies beyond it; one more than the last if none."""
    low, last = (spec.ordinal(code) for code in (spec.lowest_code, spec.largest_code()))
    assert low is not None
    assert last is not None
    high = last + 1
    while low < high:
        middle = (low + high) // 2
        value = spec.value_at(middle).fraction()
        if value > limit or (value == limit and not beyond):
            high = middle
        else:
            low = middle + 1
    return low


def ordinals_of(codes: Array, spec: Scalar, nan: int | None) -> Array:
    """The ordinals of codes of the format, ``nan`` for each NaN."""
    nans = is_nan(codes, spec)
    if nan is None and nans.any():
        place, where = first_place(nans)
        hint = "nan=... gives every NaN that number instead"
        raise InputError(f"{int(codes[place]):#x}{where} is a NaN of {spec.id}: it has no ordinal", hint=hint)
    if spec.wraps:
        return np.asarray(codes.astype(ordinal_dtype(spec)))
    if spec.listed:
        ordinals = _listed(spec)[0][codes]
    else:
        magnitude, negative = magnitudes(codes, spec)
        above = magnitude.astype(np.int64)
        ordinals = np.where(negative, -above - int(not spec.zero), above)
    return ordinals if nan is None else np.where(nans, np.int64(nan), ordinals)


def _codes(ordinals: Array, spec: Scalar) -> Array:
    """Codes in the format's dtype; the ordinals are known to be in range."""
    if spec.listed:
        return np.asarray(_listed(spec)[1][ordinals - spec.ordinals[0]])
    if not spec.wraps:
        negative = ordinals < 0
        magnitude = np.where(negative, -ordinals - int(not spec.zero), ordinals).astype(np.uint64)
        ordinals = np.where(negative, magnitude | np.uint64(spec.sign_bit), magnitude)
    return np.asarray(ordinals.astype(spec.code_dtype))


@lru_cache(maxsize=64)
def _listed(spec: Scalar) -> tuple[Array, Array]:
    """The ordinal of every code, 0 for a NaN, and the code of every ordinal."""
    ordinals = np.array([spec.ordinal(code) or 0 for code in spec.codes], dtype=np.int64)
    return ordinals, np.array([spec.from_ordinal(ordinal) for ordinal in spec.ordinals], dtype=spec.code_dtype)
