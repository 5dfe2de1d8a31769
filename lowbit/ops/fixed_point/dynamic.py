"""Dynamic fixed point: integers with an exponent that they share, added, multiplied, narrowed, and summed.

Das et al., "Mixed Precision Training of Convolutional Neural Networks using Integer Operations", arXiv 1802.00930. A
tensor is integers n of magnitude up to 2^(bits - 1) - 1 and one exponent e, worth n * 2^e: the codes and the scale of
``dfp16`` and ``dfp8``.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import check_range, integer_array, is_whole
from lowbit.ops.cast.cast import encode
from lowbit.ops.gemm.gemm import gemm
from lowbit.ops.types import Array, Codes
from lowbit.policy.cast import Policy

ROUNDING = "toward_negative"
"""An arithmetic shift, as the paper writes it."""

OPERAND_BITS, RESULT_BITS = 16, 32
FARTHEST = 400
"""Exponents that are told apart."""

Shared = tuple[Array, int]
"""Integers and the exponent that they share."""


def dynamic_add(
    left: Codes, left_exponent: int, right: Codes, right_exponent: int, *, rounding: str = ROUNDING
) -> Shared:
    """Add numbers in dynamic fixed point: those with the smaller exponent are shifted to the larger one.

    Parameters
    ----------
    left, right : array_like of int
        int32 or narrower; broadcast.
    left_exponent, right_exponent : int
    rounding : str
        How the shifted numbers are rounded, a mode of ``lowbit.Policy``.

    Returns
    -------
    sums : ndarray of int32
    exponent : int
        The larger one.

    Raises
    ------
    InputError
        A sum is beyond int32.

    Examples
    --------
    >>> sums, exponent = dynamic_add([100, -7], -3, [5, 5], -1)
    >>> sums.tolist(), exponent
    ([30, 3], -1)
    """
    parts = (
        (_integers(left, "left"), _exponent(left_exponent)),
        (_integers(right, "right"), _exponent(right_exponent)),
    )
    exponent = max(own for _, own in parts)
    shifted = [_shifted(numbers, exponent - own, rounding).astype(np.int64) for numbers, own in parts]
    return _in_int32(np.add(*_broadcast(*shifted)), "a sum"), exponent


def dynamic_multiply(left: Codes, left_exponent: int, right: Codes, right_exponent: int) -> Shared:
    """Multiply numbers of at most 16 bits in dynamic fixed point, exactly: the exponents add.

    Parameters
    ----------
    left, right : array_like of int
        Broadcast.
    left_exponent, right_exponent : int

    Returns
    -------
    products : ndarray of int32
    exponent : int

    Raises
    ------
    InputError
        A number has more than 16 bits.

    Examples
    --------
    >>> products, exponent = dynamic_multiply([100, -7], -3, 5, -1)
    >>> products.tolist(), exponent
    ([500, -35], -4)
    """
    factors = [_integers(left, "left", OPERAND_BITS), _integers(right, "right", OPERAND_BITS)]
    products = np.multiply(*_broadcast(*factors))
    return _in_int32(products, "a product"), _exponent(left_exponent) + _exponent(right_exponent)


def dynamic_narrow(values: Codes, exponent: int, *, bits: int = OPERAND_BITS, rounding: str = ROUNDING) -> Shared:
    """Bring numbers into fewer bits: the largest magnitude is shifted until it has no more than ``bits - 1``.

    Parameters
    ----------
    values : array_like of int
        int32 or narrower.
    exponent : int
    bits : int
        2 to 32, the sign included.
    rounding : str
        A mode of ``lowbit.Policy``. What is rounded beyond +-(2^(bits - 1) - 1) saturates.

    Returns
    -------
    codes : ndarray of int32
    exponent : int
        Larger by the shift: from int32 to 16 bits, that is 16 less the leading zeros of the largest in 31 bits.

    Raises
    ------
    InputError

    Examples
    --------
    >>> codes, exponent = dynamic_narrow([1 << 20, -3], -30, bits=8)
    >>> codes.tolist(), exponent
    ([64, -1], -16)
    """
    if not is_whole(bits) or not 2 <= bits <= RESULT_BITS:
        raise InputError(f"bits = {bits!r} is not a width", hint=f"2 to {RESULT_BITS}")
    numbers = _integers(values, "values")
    width = int(np.abs(numbers).max(initial=0)).bit_length()
    shift = max(width - (int(bits) - 1), 0)
    limit = (1 << (int(bits) - 1)) - 1
    narrow = np.clip(_shifted(numbers, shift, rounding), -limit, limit)
    return np.asarray(narrow.astype(np.int32)), _exponent(exponent) + shift


def dynamic_matmul(
    left: Codes, left_exponent: int, right: Codes, right_exponent: int, *, chain: int | None = None
) -> npt.NDArray[np.float32]:
    """The matrix product: chains of products summed in int32, each spilled into a float32 sum.

    Parameters
    ----------
    left : array_like of int, shape (m, k)
    right : array_like of int, shape (k, n)
        At most 16 bits.
    left_exponent, right_exponent : int
    chain : int, optional
        Products summed before a spill; by default as many as cannot overflow int32 for operands of this size, which
        for symmetric integers of 16, 15, 14, 13 and 12 bits are 2, 8, 32, 128 and 512.

    Returns
    -------
    sums : ndarray of float32, shape (m, n)
        Every chain is rounded to binary32, and so is every addition of one, from the first to the last.

    Raises
    ------
    InputError
        The shapes do not fit, or a chain could overflow.

    Examples
    --------
    >>> dynamic_matmul([[4096, 8192]], -14, [[16384], [8192]], -14).tolist()
    [[0.5]]
    """
    a, b = (_integers(part, name, OPERAND_BITS) for part, name in ((left, "left"), (right, "right")))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[0]:
        raise InputError(
            f"shapes {a.shape} and {b.shape} are not those of a product of matrices", hint="(m, k), (k, n)"
        )
    ends = [int(np.abs(part).max(initial=1)) or 1 for part in (a, b)]
    longest = ((1 << (RESULT_BITS - 1)) - 1) // (ends[0] * ends[1])
    length = longest if chain is None else chain
    if not is_whole(length) or not 1 <= length <= longest:
        raise InputError(f"chain = {chain!r} may overflow int32", hint=f"1 to {longest} for numbers up to {max(ends)}")
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    exponent = _exponent(left_exponent) + _exponent(right_exponent)
    exponent = min(max(exponent, -FARTHEST), FARTHEST)  # beyond, every number is zero or infinite in binary32
    for start in range(0, a.shape[1], int(length)):
        part = slice(start, start + int(length))
        sums = gemm(a[:, part].astype(np.int16), b[part].astype(np.int16))
        with np.errstate(over="ignore"):
            spilt = np.asarray(sums).astype(np.float32).astype(np.float64)
            total += np.ldexp(spilt, exponent).astype(np.float32)
    return total


def _exponent(value: int) -> int:
    """A whole number; InputError for what is not one."""
    if not is_whole(value):
        raise InputError(f"exponent {value!r} is not a whole number", hint="the unbiased power of two, an int")
    return int(value)


def _broadcast(*arrays: Array) -> tuple[Array, ...]:
    try:
        return np.broadcast_arrays(*arrays)
    except ValueError as error:
        shapes = " and ".join(str(array.shape) for array in arrays)
        raise InputError(f"shapes {shapes} do not go together", hint="equal shapes, or axes of length 1") from error


def _integers(numbers: Codes, name: str, bits: int = RESULT_BITS) -> Array:
    array = integer_array(numbers, name)
    if array.dtype.kind not in "iu":
        raise InputError(f"{name} is of dtype {array.dtype}, not of integers")
    half = 1 << (bits - 1)
    check_range(array, -half, half - 1, f"int{bits}")
    return array.astype(np.int64)


def _shifted(numbers: Array, shift: int, rounding: str) -> Array:
    """The numbers over 2^shift, rounded; exact in binary64 before."""
    if shift == 0:
        return numbers
    policy = Policy(rounding=rounding, overflow="saturate")
    shift = min(shift, FARTHEST)  # beyond, all that is left is the sign
    return np.asarray(encode(np.ldexp(numbers.astype(np.float64), -shift), "int32", policy=policy)).astype(np.int64)


def _in_int32(numbers: Array, what: str) -> Array:
    check_range(numbers, -(1 << 31), (1 << 31) - 1, f"int32, as {what} is")
    return np.asarray(numbers.astype(np.int32))
