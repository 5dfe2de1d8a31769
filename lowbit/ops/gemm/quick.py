"""Products without options of operands that need no conversion: little but the kernel, as small ones take microseconds.

What is not of this kind is left to ``gemm``, which converts, checks and explains.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from lowbit.ops.gemm.paths import NOTHING, OFFSET, SIGN_BIT, Right, chosen, multiplier, scratch
from lowbit.ops.gemm.prepack import PackedMatrix
from lowbit.ops.memory import aligned_empty
from lowbit.ops.types import Array

_INT32 = np.dtype(np.int32)

_SIGNED = {"b": True, "B": False}
"""Whether bytes are signed, by the character of their dtype."""

WORTH_ALIGNING = 1 << 16
"""Elements of a result from which on its place in memory matters more than the time that it takes to choose."""


class _Kernel(NamedTuple):
    """A compiled kernel, and how the right operand reaches it."""

    run: Callable[..., None]
    sums: Array
    offset: int
    flip: int
    packed: int


def quick_product(
    a: Any, b: Any, *, a_zero_point: int = 0, bias: Array = NOTHING, out: Array | None = None
) -> Array | None:
    """The product of two matrices of bytes, or None where there is something to convert, to check or to choose.

    The zero point is a code of ``a``; ``bias`` has an int32 number for each column; ``out`` has the shape of the
    result, contiguous rows of int32 and no memory of an operand.
    """
    if type(a) is not np.ndarray or a.ndim != 2 or not a.flags.forc:
        return None
    if type(b) is np.ndarray:
        if b.ndim != 2 or not b.flags.forc:
            return None
        # A single row or column has a kernel of its own.
        kernel, right, least = _kernel(a.dtype.char + b.dtype.char), b, 2
    elif type(b) is PackedMatrix and b.path == "vnni":
        kernel, right, least = _packed_kernel(a.dtype.char, b.right), b.right.array, 1
    else:
        return None
    m, k = a.shape
    depth, n = b.shape
    if kernel is None or k != depth or k == 0 or m < least or n < least:
        return None
    result: Array = (aligned_empty if m * n >= WORTH_ALIGNING else np.empty)((m, n), _INT32) if out is None else out
    run, sums, offset, flip, packed = kernel
    run(a, right, result, bias, sums, scratch(), a_zero_point, offset, 0, flip, packed)
    return result


@functools.cache
def _kernel(dtypes: str) -> _Kernel | None:
    """For the dtypes of both operands, if they and the default path are for bytes: b is flipped if they are alike."""
    left, right = dtypes[0], dtypes[1]
    if left not in _SIGNED or right not in _SIGNED or chosen() != "vnni":
        return None
    if left != right:
        return _Kernel(_of_left(left), NOTHING, 0, 0, 0)
    return _Kernel(_of_left(left), NOTHING, OFFSET if _SIGNED[right] else -OFFSET, SIGN_BIT, 0)


def _packed_kernel(left: str, right: Right) -> _Kernel | None:
    """For panels of bytes that a left operand of this dtype can meet as it is."""
    if not right.packed or right.array.itemsize != 1 or _SIGNED.get(left, right.signed) == right.signed:
        return None
    return _Kernel(_of_left(left), right.sums, right.offset, 0, 1)


@functools.cache
def _of_left(dtype: str) -> Callable[..., None]:
    return multiplier("vnni", "right_unsigned" if _SIGNED[dtype] else "left_unsigned")
