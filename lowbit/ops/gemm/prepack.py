"""A right operand of integer GEMM, packed once for many products."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.registry import scalar_format
from lowbit.ops.gemm.operands import Operand, integer_operand
from lowbit.ops.gemm.paths import NOTHING, OFFSET, PLAIN, SIGN_BIT, Right, chosen, layout, packer
from lowbit.ops.memory import aligned_empty
from lowbit.ops.pack.packed_codes import PackedCodes
from lowbit.ops.types import Array, Codes, FormatLike


@dataclass(frozen=True, eq=False)
class PackedMatrix:
    """A matrix (k, n) in the order in which the kernels read it, made by :func:`prepack`; :func:`gemm` takes it as b.

    Attributes
    ----------
    shape : tuple of int
        (k, n).
    bits : int
        Of the codes that were packed.
    signed : bool
        Whether they are signed.
    path : str
        The path that it was packed for, and that products with it take.
    column_sums : ndarray of int64, shape (n,)
        The sum of each column's codes.
    right : Right
        What kernels take.
    stand_in : ndarray, shape (k, n)
        Zeros without memory of their own, for checks of shapes.
    """

    shape: tuple[int, int]
    bits: int
    signed: bool
    path: str
    column_sums: npt.NDArray[np.int64] = field(repr=False)
    right: Right = field(repr=False)
    stand_in: Array = field(repr=False)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the codes."""
        return np.dtype(f"{'' if self.signed else 'u'}int{8 if self.bits <= 8 else 16}")

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the packed matrix takes."""
        return self.right.array.nbytes


def _left(a_dtype: object) -> np.dtype[Any]:
    """The dtype of left operands of a format."""
    fmt = scalar_format(a_dtype)
    left = np.dtype(fmt.code_dtype)
    if fmt.kind != "integer" or left not in (np.int8, np.uint8, np.int16):
        raise InputError(f"a_dtype = {fmt.id}: left operands are int8, uint8 or int16")
    return left


def prepack(b: Codes | PackedCodes, *, a_dtype: FormatLike = "int8", path: str | None = None) -> PackedMatrix:
    """Pack the right operand of matrix products, weights say, once.

    Parameters
    ----------
    b : array_like, shape (k, n), or PackedCodes
        Codes, as for :func:`gemm`. Any strides; it may change or go afterwards.
    a_dtype : str, Format or dtype
        Of the left operands to come: int8, uint8 or int16. For int8 and uint8 the results are the same bits whatever
        is said here, the speed is best for what is said.
    path : str, optional
        As for :func:`gemm`.

    Returns
    -------
    PackedMatrix

    Raises
    ------
    InputError
        The dtype is not one that ``gemm`` takes, or ``b`` is not a matrix.

    Examples
    --------
    >>> import numpy as np
    >>> import lowbit
    >>> weights = lowbit.prepack(np.array([[1, 2], [3, 4]], np.int8))
    >>> lowbit.gemm(np.array([[5, 6]], np.int8), weights).tolist()
    [[23, 34]]
    """
    operand = integer_operand(b.unpack() if isinstance(b, PackedCodes) else b, "b")
    if operand.codes.ndim != 2:
        raise InputError(f"b has shape {operand.codes.shape}: a matrix to pack has two axes")
    left = _left(a_dtype)
    name = chosen(path)
    k, n = operand.codes.shape
    words = left.itemsize == 2 or operand.codes.itemsize == 2
    sums = operand.codes.sum(axis=0, dtype=np.int64)
    if name == PLAIN:
        right = Right(operand.codes.copy(), operand.signed)
    else:
        right = _packed(operand, sums, name, words, left_signed=left.kind == "i")
    stand_in = np.broadcast_to(np.zeros((), operand.codes.dtype), (k, n))
    return PackedMatrix((k, n), operand.bits, operand.signed, name, sums, right, stand_in)


def _packed(operand: Operand, sums: npt.NDArray[np.int64], path: str, words: bool, left_signed: bool) -> Right:
    element, panel = layout(path, words)
    codes = operand.codes
    if element == 2:
        codes = codes.astype(np.int16, copy=False)
    if element not in codes.strides:
        codes = np.ascontiguousarray(codes)
    k, n = codes.shape
    depth = -(-k * element // 4) * 4 // element
    panels = aligned_empty((-(-n // panel), depth * panel), np.dtype(np.int16 if element == 2 else np.int8))
    flip = SIGN_BIT if element == 1 and operand.signed == left_signed else 0
    if panels.size:
        packer(path, words)(codes, flip, panels)
    offset = (OFFSET if operand.signed else -OFFSET) if flip else 0
    shifted = (sums + k * offset).astype(np.int32) if n else NOTHING
    signed = operand.signed if not flip else not operand.signed
    return Right(panels, signed, True, shifted, offset)
