"""gemmlowp's elementary functions of fixed-point numbers: exp, reciprocals and the inverse square root.

Numbers are raw integers of 32 or 16 bits in Q(i): i integer bits beside the sign. ``logistic`` and ``tanh`` with
``scheme="gemmlowp"`` are the others of the family.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.nonlinear.scheme import unknown
from lowbit.ops.arrays import first_place
from lowbit.ops.chunks import in_chunks
from lowbit.ops.nonlinear.dispatch import integer_codes, require_whole
from lowbit.ops.types import Array, Codes, Results

WIDTHS: dict[int, np.dtype[Any]] = {32: np.dtype(np.int32), 16: np.dtype(np.int16)}
CHUNK = 1 << 14


def checked_format(integer_bits: Any, bits: Any, doubled: int = 0) -> int:
    """The integer bits, if gemmlowp's exp takes such a number: two bits after the point must remain.

    Raises InputError: ``bits`` is not 32 or 16, or ``integer_bits`` leaves too few bits after the point.
    """
    if not isinstance(bits, int | np.integer) or bits not in WIDTHS:
        raise unknown("bits", bits, WIDTHS)
    return require_whole("integer_bits", integer_bits, 0, bits - 3 - doubled)


def exp_on_negative_values(raw: Codes, *, integer_bits: int, bits: int = 32, threads: int = 1) -> Results:
    """Exponential of numbers at most 0, by gemmlowp: a Taylor series in [-1/4, 0) and a barrel of constants.

    Parameters
    ----------
    raw : array_like of int
        Raw numbers in Q(integer_bits), at most 0.
    integer_bits : int
        0 to 29 (0 to 13 for 16 bits).
    bits : {32, 16}
    threads : int

    Returns
    -------
    int32 or int16 ndarray, or scalar
        In Q0: one unit is 2**-31 or 2**-15; exp(0) is the largest, not 1.

    Raises
    ------
    InputError
        A number is above 0 or beyond the width, or the format is not one of gemmlowp's.

    Notes
    -----
    Source: gemmlowp, ``fixedpoint/fixedpoint.h``, ``exp_on_negative_values``. Largest error 2.3e-7 (32 bits, Q5).

    Examples
    --------
    >>> exp_on_negative_values([-(1 << 26), 0], integer_bits=5).tolist()
    [790015308, 2147483647]
    """
    from lowbit.kernels.fixed_point.gemmlowp import exp_each

    places = checked_format(integer_bits, bits)
    values = _numbers(raw, -(1 << (bits - 1)), 0, "exp_on_negative_values takes numbers")
    return _each(values, bits, threads, lambda part, out: exp_each(part, places, bits, out))


def one_over_one_plus_x(raw: Codes, *, bits: int = 32, threads: int = 1) -> Results:
    """1 / (1 + x) of numbers in [0, 1), by gemmlowp: three steps of Newton's division.

    Parameters
    ----------
    raw : array_like of int
        Raw numbers in Q0, at least 0.
    bits : {32, 16}
    threads : int

    Returns
    -------
    int32 or int16 ndarray, or scalar
        In Q0.

    Raises
    ------
    InputError
        A number is negative or beyond the width.

    Notes
    -----
    Source: gemmlowp, ``fixedpoint/fixedpoint.h``, ``one_over_one_plus_x_for_x_in_0_1``.

    Examples
    --------
    >>> one_over_one_plus_x([0, 1 << 30]).tolist()
    [2147483647, 1431655762]
    """
    from lowbit.kernels.fixed_point.gemmlowp import one_over_one_plus_x_each

    checked_format(0, bits)
    values = _numbers(raw, 0, (1 << (bits - 1)) - 1, "one_over_one_plus_x takes numbers")
    return _each(values, bits, threads, lambda part, out: one_over_one_plus_x_each(part, bits, out))


def reciprocal(raw: Codes, *, integer_bits: int) -> tuple[Results, Results]:
    """1 / x of numbers above 0, normalised, by TFLite: GetReciprocal.

    Parameters
    ----------
    raw : array_like of int
        Raw numbers of 32 bits in Q(integer_bits), at least 1.
    integer_bits : int

    Returns
    -------
    values : int32 ndarray or scalar
        In Q0.
    bits_over_unit : int32 ndarray or scalar
        1 / x is values / 2**31 / 2**bits_over_unit.

    Raises
    ------
    InputError
        A number is below 1 or beyond int32.

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/common.h``, ``GetReciprocal``.

    Examples
    --------
    >>> reciprocal(5 << 17, integer_bits=12)  # 1.25 in Q12.19
    (np.int32(1717986914), np.int32(0))
    """
    from lowbit.kernels.fixed_point.gemmlowp import reciprocal_each

    places = require_whole("integer_bits", integer_bits, 0, 31)
    values = _numbers(raw, 1, (1 << 31) - 1, "reciprocal takes numbers")
    return _pair(values, lambda part, out, other: reciprocal_each(part, places, out, other))


def inverse_square_root(values: Codes) -> tuple[Results, Results]:
    """1 / sqrt(n) of whole numbers, as a multiplier and a right shift, by TFLite: GetInvSqrtQuantizedMultiplierExp.

    Parameters
    ----------
    values : array_like of int
        0 to 2**31 - 1; 0 counts as 1.

    Returns
    -------
    multipliers : int32 ndarray or scalar
    shifts : int32 ndarray or scalar
        1 / sqrt(n) is multipliers / 2**(31 + shifts).

    Raises
    ------
    InputError
        A number is negative or beyond int32.

    Notes
    -----
    Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/common.h``. Largest relative error 1.3e-6.

    Examples
    --------
    >>> inverse_square_root(4)
    (np.int32(1073741828), np.int32(0))
    """
    from lowbit.kernels.fixed_point.gemmlowp import inverse_square_root_each

    return _pair(_numbers(values, 0, (1 << 31) - 1, "inverse_square_root takes numbers"), inverse_square_root_each)


def _numbers(raw: Any, low: int, high: int, what: str) -> Array:
    """Integers within limits, as int64."""
    array = integer_codes(raw)
    if array.size and not (int(array.min()) >= low and int(array.max()) <= high):
        place, where = first_place((array < low) | (array > high))
        raise InputError(f"{what} from {low:,} to {high:,}, not {int(array[place]):,}{where}")
    return array.astype(np.int64, order="C")


def _each(values: Array, bits: int, threads: int, kernel: Callable[[Array, Array], None]) -> Any:
    require_whole("threads", threads, 1, 1 << 16)
    flat = values.reshape(-1)
    out = np.empty(flat.size, dtype=np.int64)
    in_chunks(lambda i, j: kernel(flat[i:j], out[i:j]), flat.size, threads, CHUNK)
    return out.astype(WIDTHS[bits]).reshape(values.shape)[()]


def _pair(values: Array, kernel: Callable[[Array, Array, Array], None]) -> tuple[Any, Any]:
    flat = values.reshape(-1)
    first, second = np.empty_like(flat), np.empty_like(flat)
    kernel(flat, first, second)
    return tuple(array.astype(np.int32).reshape(values.shape)[()] for array in (first, second))  # type: ignore[return-value]
