"""TOSA's integer elementwise arithmetic: rounding shifts, products with a shift, division, and the pooling divisor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.arrays import first_place
from lowbit.ops.nonlinear.dispatch import integer_codes, require_whole
from lowbit.ops.types import Array, Codes, Results

INT32 = np.iinfo(np.int32)
LONGEST_SHIFT = 62
LONGEST_POOL = 1 << 31


def arithmetic_right_shift(values: Codes, shift: Codes, *, round_half_up: bool = False) -> Results:
    """Shift integers right as TOSA's ARITHMETIC_RIGHT_SHIFT: rounding down, or to nearest with ties upward.

    Parameters
    ----------
    values : array_like of int
        int8, int16 or int32.
    shift : array_like of int
        From 0 to one less than the width of ``values``; broadcast with them.
    round_half_up : bool
        TOSA's attribute ``round``.

    Returns
    -------
    ndarray or scalar
        Of the dtype of ``values``.

    Raises
    ------
    InputError
        A shift is out of range, or the dtype is not one of TOSA's.

    Notes
    -----
    Source: TOSA specification 1.0, operator ARITHMETIC_RIGHT_SHIFT.

    Examples
    --------
    >>> arithmetic_right_shift([-5, 5], 1, round_half_up=True).tolist()
    [-2, 3]
    """
    from lowbit.kernels.fixed_point.tosa import arithmetic_right_shift_each

    array = _signed(values, "values")
    bits = array.dtype.itemsize * 8
    left, right = _broadcast(array, integer_codes(shift))
    outside = (right < 0) | (right >= bits)
    if outside.any():
        raise InputError(f"shift = {int(right[outside][0])} is not from 0 to {bits - 1}, as int{bits} needs")
    return _run(left, right, lambda a, b, out: arithmetic_right_shift_each(a, b, int(round_half_up), out), array.dtype)


def multiply_shifted(a: Codes, b: Codes, *, shift: int = 0) -> Results:
    """Multiply int32 numbers and shift the product right, as TOSA's MUL: to nearest, ties upward.

    Parameters
    ----------
    a, b : array_like of int
        int32, broadcast together.
    shift : int
        0 to 62. Without a shift the result is the low 32 bits of the product.

    Returns
    -------
    int32 ndarray or scalar

    Raises
    ------
    InputError
        An operand is beyond int32, or a shifted product is: the specification leaves that undefined.

    Notes
    -----
    Source: TOSA specification 1.0, operator MUL.

    Examples
    --------
    >>> multiply_shifted([3, -3], 1 << 30, shift=31).tolist()
    [2, -1]
    """
    from lowbit.kernels.fixed_point.tosa import multiply_each

    count = require_whole("shift", shift, 0, LONGEST_SHIFT)
    left, right = _broadcast(_int32(a, "a"), _int32(b, "b"))
    products = np.asarray(_run(left, right, lambda x, y, out: multiply_each(x, y, count, out), np.dtype(np.int64)))
    outside = (products < INT32.min) | (products > INT32.max)
    if outside.any():
        place, _ = first_place(outside)
        product = f"{int(left[place]):,} * {int(right[place]):,} >> {count}"
        raise InputError(
            f"{product} does not fit int32, and TOSA leaves that undefined",
            hint="a larger shift",
        )
    return products.astype(np.int32)[()]


def integer_divide(a: Codes, b: Codes) -> Results:
    """Divide int32 numbers toward zero, as TOSA's INTDIV.

    Parameters
    ----------
    a, b : array_like of int
        int32, broadcast together.

    Returns
    -------
    int32 ndarray or scalar

    Raises
    ------
    InputError
        A divisor is 0, or -2**31 is divided by -1: the specification leaves both undefined.

    Notes
    -----
    Source: TOSA specification 1.0, operator INTDIV.

    Examples
    --------
    >>> integer_divide([7, -7], 2).tolist()
    [3, -3]
    """
    from lowbit.kernels.fixed_point.tosa import integer_divide_each

    left, right = _broadcast(_int32(a, "a"), _int32(b, "b"))
    if (right == 0).any():
        raise InputError("a divisor is 0, and TOSA leaves the quotient undefined")
    if ((left == INT32.min) & (right == -1)).any():
        raise InputError("-2**31 over -1 does not fit int32, and TOSA leaves the quotient undefined")
    return _run(left, right, integer_divide_each, np.dtype(np.int32))


def pooling_divisor(count: int) -> tuple[int, int]:
    """The multiplier and right shift by which TOSA's AVG_POOL2D divides a sum of that many elements.

    Parameters
    ----------
    count : int
        1 to 2**31.

    Returns
    -------
    multiplier, shift : int
        For ``requantize(sum, scheme="tosa_single", multiplier=multiplier, shift=shift)``.

    Raises
    ------
    InputError
        The count is out of range.

    Notes
    -----
    Source: TOSA specification 1.0, operator AVG_POOL2D (reciprocal_scale).

    Examples
    --------
    >>> pooling_divisor(9)
    (1908874355, 34)
    """
    number = require_whole("count", count, 1, LONGEST_POOL)
    bits = (number - 1).bit_length()
    return (((1 << 30) + 1) << bits) // number, 30 + bits


def _broadcast(left: Array, right: Array) -> tuple[Array, Array]:
    try:
        first, second = np.broadcast_arrays(left, right)
    except ValueError as error:
        raise InputError(f"operands of shapes {left.shape} and {right.shape} do not broadcast") from error
    return first, second


def _signed(values: Any, what: str) -> Array:
    """Signed integers of 8, 16 or 32 bits; Python integers become int32."""
    array = integer_codes(values)
    if not isinstance(values, np.ndarray | np.generic):
        return _int32(array, what)
    if array.dtype.kind != "i" or array.dtype.itemsize > 4:
        raise InputError(f"{what} are {array.dtype}: TOSA has int8, int16 and int32")
    return array


def _int32(values: Any, what: str) -> Array:
    """Integers that fit int32, as int32."""
    array = integer_codes(values)
    if array.size and not (int(array.min()) >= INT32.min and int(array.max()) <= INT32.max):
        outside = array[(array < INT32.min) | (array > INT32.max)]
        raise InputError(f"{what} holds {int(outside[0]):,}, which does not fit int32")
    return array.astype(np.int32)


def _run(left: Array, right: Array, kernel: Callable[[Array, Array, Array], None], dtype: np.dtype[Any]) -> Any:
    a, b = (np.ascontiguousarray(operand, dtype=np.int64).reshape(-1) for operand in (left, right))
    out = np.empty(a.size, dtype=np.int64)
    kernel(a, b, out)
    return out.astype(dtype).reshape(left.shape)[()]
