"""Operands of integer matrix products: which arrays are taken, and their zero points."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import as_array, format_of_dtype, view_codes
from lowbit.ops.types import Array

_TAKEN = "int8, uint8, int16, and ml_dtypes' int4, uint4, int2, uint2"


class Operand(NamedTuple):
    """Codes of at most 16 bits with the format they are codes of."""

    codes: Array
    bits: int
    signed: bool

    @property
    def kind(self) -> str:
        """``int8`` or the like: the narrowest of the operand types of instructions that holds the format."""
        return f"{'' if self.signed else 'u'}int{8 if self.bits <= 8 else 16}"


def integer_operand(values: Any, role: str) -> Operand:
    """A matrix or stack of matrices of integer codes.

    Raises InputError: the dtype is not one that is taken, or there are fewer than two axes.
    """
    array = as_array(values, role)
    fmt = format_of_dtype(array.dtype)
    if fmt is None or fmt.kind != "integer" or fmt.bits + (not fmt.signed) > 16:
        raise InputError(
            f"{role} has dtype {array.dtype}: an operand is one of {_TAKEN}",
            hint=f"{role}.astype(numpy.int8), after checking that the values fit",
        )
    if array.ndim < 2:
        raise InputError(
            f"{role} has shape {array.shape}: a matrix, or a stack of them, has at least two axes",
            hint=f"{role}.reshape(1, -1) for a row, {role}.reshape(-1, 1) for a column",
        )
    return Operand(view_codes(array, fmt), fmt.bits, fmt.signed)


def zero_points(values: Any, role: str, operand: Operand, size: int, axis: str) -> npt.NDArray[np.int64]:
    """One zero point for each row of ``a`` or column of ``b``, from that many or a single one.

    Raises InputError: they are not integers, are not as many, or lie outside the operand's codes.
    """
    array = as_array(values, role)
    python_integers = array.dtype.kind == "O" and all(type(value) is int for value in array.reshape(-1))
    if array.dtype.kind not in "iu" and not python_integers:
        fmt = format_of_dtype(array.dtype)
        if fmt is None or not fmt.wraps:
            raise InputError(f"{role} has dtype {array.dtype}: zero points are integers")
        array = view_codes(array, fmt)
    if array.ndim > 1 or array.size not in {1, size}:
        hint = f"{role}.reshape(-1)" if array.size == size else ""
        raise InputError(f"{role} has shape {array.shape}: one number, or one for each of {size} {axis}", hint=hint)
    low, high = (
        (-(1 << operand.bits - 1), (1 << operand.bits - 1) - 1) if operand.signed else (0, (1 << operand.bits) - 1)
    )
    if array.size and (int(array.min()) < low or int(array.max()) > high):
        culprit = next(int(value) for value in array.reshape(-1) if not low <= int(value) <= high)
        raise InputError(
            f"{role} = {culprit} is not a code of the operand: {operand.bits}-bit codes are {low} to {high}"
        )
    return np.broadcast_to(array.reshape(-1).astype(np.int64), (size,)).copy()


def checked_bias(values: Any, columns: int, width: int = 64) -> npt.NDArray[np.int64]:
    """One bias for each column, from that many, a single one or none.

    Raises InputError: they are not integers of ``width`` bits, or not as many.
    """
    array = as_array(0 if values is None else values, "bias")
    if array.dtype.kind not in "iu" and array.size:
        raise InputError(f"bias has dtype {array.dtype}: it is added to integers")
    if array.ndim > 1 or array.size not in {1, columns}:
        raise InputError(f"bias has shape {array.shape}: one number, or one for each of {columns} columns")
    limit = 1 << (width - 1)
    for value in (int(array.min()), int(array.max())) if array.size else ():
        if not -limit <= value < limit:
            raise InputError(f"bias = {value} does not fit int{width}", hint="accumulator='int64'" * (width < 64))
    return np.broadcast_to(array.reshape(-1).astype(np.int64), (columns,)).copy()


def check_inner(a: Array, b: Array) -> None:
    """Raise an InputError unless the shapes are those of a matrix product."""
    if a.shape[-1] != b.shape[-2]:
        raise InputError(
            f"a has shape {a.shape} and b {b.shape}: the last axis of a ({a.shape[-1]}) and the last but one of b "
            f"({b.shape[-2]}) are the k that is summed over, and differ",
            hint="pass b transposed (b.T; no copy is needed) if its rows are the columns of the product",
        )
    try:
        np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    except ValueError as error:
        raise InputError(f"the leading axes of a {a.shape[:-2]} and of b {b.shape[:-2]} do not broadcast") from error
