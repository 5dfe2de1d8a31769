"""gemm: exact integer matrix products."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arrays import as_array, check_out, checked_threads
from lowbit.ops.gemm.operands import Operand, check_inner, checked_bias, integer_operand, zero_points
from lowbit.ops.gemm.paths import NOTHING, Right, Terms, chosen, run_threads
from lowbit.ops.gemm.prepack import PackedMatrix
from lowbit.ops.gemm.quick import quick_product
from lowbit.ops.gemm.wide import multiply_wide
from lowbit.ops.memory import aligned_empty
from lowbit.ops.pack.packed_codes import PackedCodes
from lowbit.ops.types import Array, Codes, Results
from lowbit.policy.accumulator import Accumulator

_INT32, _INT64 = np.dtype(np.int32), np.dtype(np.int64)
_USUAL = {
    np.dtype(kind): (bits, signed) for kind, bits, signed in (("i1", 8, True), ("u1", 8, False), ("i2", 16, True))
}


def gemm(  # noqa: PLR0913 (all but two are keyword-only options)
    a: Codes | PackedCodes,
    b: Codes | PackedCodes | PackedMatrix,
    *,
    a_zero_point: int | Codes = 0,
    b_zero_point: int | Codes = 0,
    bias: Codes | None = None,
    accumulator: Accumulator | str = "int32",
    threads: int = 1,
    out: Array | None = None,
    return_counts: bool = False,
    path: str | None = None,
) -> Results:
    """The matrix product of integer codes less their zero points, plus a bias: exact, or in any accumulator.

    Parameters
    ----------
    a : array_like, shape (..., m, k), or PackedCodes
        int8, uint8, int16, or ml_dtypes' int4, uint4, int2, uint2. Any strides and alignment, read-only too.
    b : array_like, shape (..., k, n), PackedMatrix or PackedCodes
        Likewise; leading axes broadcast. :func:`prepack` makes a PackedMatrix of it for many products, for the
        accumulator int32 without counts.
    a_zero_point : int or array_like, shape (m,)
        One for all rows of ``a`` or one for each, codes of its dtype.
    b_zero_point : int or array_like, shape (n,)
        The same for the columns of ``b``.
    bias : int or array_like, shape (n,), optional
        Added to each column: int32 numbers, or int64 for accumulators wider than 32 bits.
    accumulator : str or Accumulator
        ``int32``, exact modulo 2**32; ``int64``, exact; or any other :class:`lowbit.Accumulator`.
    threads : int
        How many threads share the work; the bits are the same for any number.
    out : ndarray, optional
        Where the result goes: of its shape and dtype, any strides.
    return_counts : bool
        Also return a dict of overflows, as :func:`lowbit.ops.gemm.accumulate.accumulate` describes it.
    path : str, optional
        ``vnni``, ``avx2``, ``portable`` or ``plain``: which kernels run, all with the same bits. The default is what
        ``$LOWBIT_GEMM_PATH`` says, or the fastest for this processor; ``lowbit doctor`` names it.

    Returns
    -------
    values : ndarray, shape (..., m, n)
        int32 for accumulators of at most 32 bits, int64 beyond. With k = 0 it is the bias, or zeros. A large one is a
        view of somewhat more memory, so that it begins with a cache line.
    counts : dict, if ``return_counts``

    Raises
    ------
    InputError
        A dtype or shape is wrong, or a zero point is not a code of its operand.
    PolicyError
        The accumulator is unknown.

    Notes
    -----
    Codes carry no type: those of a float format, which are unsigned integers too, are multiplied as the integers that
    they are. Products of floats are those of their values: ``decode`` first.

    Source: ONNX MatMulInteger (version 10), whose result this is for 8-bit operands; the sum wraps modulo 2**32.

    Examples
    --------
    >>> import numpy as np
    >>> gemm(np.array([[1, 2]], np.int8), np.array([[3], [-4]], np.int8), b_zero_point=1).tolist()
    [[-8]]
    """
    if (
        bias is None
        and out is None
        and path is None
        and type(a_zero_point) is type(b_zero_point) is type(threads) is int
        and a_zero_point == b_zero_point == 0
        and threads == 1
        and not return_counts
        and accumulator == "int32"
    ):
        result = quick_product(a, b)
        if result is not None:
            return result
    request = _Request(a_zero_point, b_zero_point, bias, threads, out, return_counts, path)
    return _gemm(a, b, accumulator, request)


class _Request(NamedTuple):
    """Options of a call, as they were given."""

    a_zero_point: Any
    b_zero_point: Any
    bias: Any
    threads: int
    out: Any
    return_counts: bool
    path: str | None


class _Zeros(NamedTuple):
    """Zero points of an operand: one for all, and if there are several, one for each row or column."""

    single: int
    each: npt.NDArray[np.int64] | None


def _gemm(a: Any, b: Any, accumulator: Any, request: _Request) -> Any:
    a = a.unpack() if isinstance(a, PackedCodes) else a
    b = b.unpack() if isinstance(b, PackedCodes) else b
    if isinstance(a, PackedMatrix):
        raise InputError("a is a PackedMatrix, and only b may be prepacked", hint="pass the array that it was made of")
    path = b.path if isinstance(b, PackedMatrix) else chosen(request.path)
    width = 0 if request.return_counts else _plain_width(accumulator)
    if width == 0:
        return _accumulated(a, b, accumulator, request)
    left = _operand(a, "a")
    right = _packed_operand(b, left, request) if isinstance(b, PackedMatrix) else _operand(b, "b")
    flat = left.codes.ndim == right.codes.ndim == 2
    if not flat or left.codes.shape[1] != right.codes.shape[0]:
        check_inner(left.codes, right.codes)
    threads = checked_threads(request.threads)
    m, n = left.codes.shape[-2], right.codes.shape[-1]
    zeros = (
        _zeros(request.a_zero_point, "a_zero_point", left, m, "rows of a"),
        _zeros(request.b_zero_point, "b_zero_point", right, n, "columns of b"),
    )
    stack = () if flat else np.broadcast_shapes(left.codes.shape[:-2], right.codes.shape[:-2])
    shape = (*stack, m, n)
    dtype = _INT32 if width == 32 else _INT64
    bias = _bias(request.bias, n, width)
    out = request.out
    check_out(out, shape, dtype)
    result = out if out is not None and _usable(out, left.codes, right.codes) else aligned_empty(shape, dtype)
    call = _Call(left, right, b if isinstance(b, PackedMatrix) else None, zeros, bias, path, threads)
    _fill(result, call)
    if out is not None and result is not out:
        out[...] = result
    return result if out is None else out


def _plain_width(accumulator: Any) -> int:
    """32 or 64 for an accumulator that wraps at that width and does nothing else; 0 for any other."""
    if isinstance(accumulator, str) and accumulator in {"int32", "int64"}:
        return int(accumulator[3:])
    from lowbit.policy.accumulator import get_accumulator

    found = get_accumulator(accumulator)
    return next((width for width in (32, 64) if not found.differences(get_accumulator(f"int{width}"))), 0)


def _name(accumulator: Any) -> str:
    return accumulator if isinstance(accumulator, str) else getattr(accumulator, "name", "") or "given"


def _accumulated(a: Any, b: Any, accumulator: Any, request: _Request) -> Any:
    """The product in an accumulator that steps."""
    from lowbit.ops.gemm.accumulate import accumulate

    if isinstance(b, PackedMatrix):
        what = "return_counts" if request.return_counts else f"the accumulator {_name(accumulator)}"
        raise InputError(
            f"a prepacked b has the order of k that int32 without counts needs, not the one for {what}",
            hint="pass b itself, as it was before prepack",
        )
    answer = accumulate(
        a,
        b,
        accumulator,
        a_zero_point=request.a_zero_point,
        b_zero_point=request.b_zero_point,
        bias=request.bias,
        threads=request.threads,
        return_counts=request.return_counts,
    )
    values = answer[0] if request.return_counts else answer
    out = request.out
    check_out(out, values.shape, values.dtype)
    if out is None:
        return answer
    out[...] = values
    return (out, answer[1]) if request.return_counts else out


def _operand(values: Any, role: str) -> Operand:
    """An operand, the usual arrays without a look at formats."""
    if type(values) is np.ndarray and values.ndim >= 2 and values.dtype in _USUAL and values.dtype.isnative:
        return Operand(values, *_USUAL[values.dtype])
    return integer_operand(values, role)


def _packed_operand(b: PackedMatrix, left: Operand, request: _Request) -> Operand:
    """A stand-in with the shape of what was packed, without its memory."""
    if request.path is not None and request.path != b.path:
        raise InputError(f"b was packed for path {b.path!r}, not {request.path!r}", hint="prepack(b, path=...)")
    if left.codes.itemsize == 2 and b.right.packed and b.right.array.itemsize == 1:
        raise InputError(f"b was packed for 8-bit a, not {left.codes.dtype}", hint="prepack(b, a_dtype='int16')")
    return Operand(b.stand_in, b.bits, b.signed)


def _zeros(values: Any, role: str, operand: Operand, size: int, axis: str) -> _Zeros:
    if type(values) is int:
        low = -(1 << operand.bits - 1) if operand.signed else 0
        if low <= values < low + (1 << operand.bits):
            return _Zeros(values, None)
    each = zero_points(values, role, operand, max(size, 1) if as_array(values, role).size == 1 else size, axis)
    if each.size and (each == each[0]).all():
        return _Zeros(int(each[0]), None)
    return _Zeros(0, each if each.size else None)


def _bias(values: Any, columns: int, width: int) -> Array:
    """The bias of each column, in the dtype of the result; nothing if there is none."""
    if values is None:
        return NOTHING
    return checked_bias(values, columns, width).astype(f"int{width}")


def _usable(out: Array, *inputs: Array) -> bool:
    """Whether kernels can write there: rows contiguous, no memory shared with an operand."""
    if out.strides[-1:] != (out.itemsize,):
        return False
    return not any(np.may_share_memory(out, array) for array in inputs)


class _Call(NamedTuple):
    """A call whose arguments have been checked."""

    left: Operand
    right: Operand
    packed: PackedMatrix | None
    zeros: tuple[_Zeros, _Zeros]
    bias: Array
    path: str
    threads: int


def _fill(result: Array, call: _Call) -> None:
    """Each matrix of the stack on its own."""
    if result.size == 0:
        return
    if call.left.codes.shape[-1] == 0:
        result[...] = call.bias if call.bias.size else 0
        return
    a, b, stack = call.left.codes, call.right.codes, result.shape[:-2]
    if not stack:
        _fill_matrix(result, a, b, call)
        return
    a, b = np.broadcast_to(a, stack + a.shape[-2:]), np.broadcast_to(b, stack + b.shape[-2:])
    for index in np.ndindex(*stack):
        _fill_matrix(result[index], a[index], b[index], call)


def _fill_matrix(result: Array, a: Array, b: Array, call: _Call) -> None:
    right = call.packed.right if call.packed else Right(b, call.right.signed)
    sums = call.packed.column_sums if call.packed else None
    if result.dtype == _INT64:
        multiply_wide(result, a, right, sums, call)
    else:
        _multiply(result, a, right, sums, call)


def _multiply(c: Array, a: Array, right: Right, sums: Array | None, call: _Call) -> None:
    """One product modulo 2**32; zero points that differ by row or column are taken off afterwards."""
    (a_zero, a_each), (b_zero, b_each) = call.zeros
    run_threads(c, a, call.left.signed, right, Terms(a_zero, b_zero, call.bias), call.path, call.threads)
    if a_each is None and b_each is None:
        return
    from lowbit.kernels.gemm.gemm import subtract_outer

    k = a.shape[1]
    if a_each is not None:
        columns = right.array.sum(axis=0, dtype=np.int64) if sums is None else sums
        columns = columns - k * (b_zero if b_each is None else b_each)
        subtract_outer(c, a_each.astype(np.int32), columns.astype(np.int32))
    if b_each is not None:
        rows = a.sum(axis=1, dtype=np.int64) - k * a_zero
        subtract_outer(c, rows.astype(np.int32), b_each.astype(np.int32))
