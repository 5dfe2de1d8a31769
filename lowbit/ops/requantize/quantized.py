"""Sums and products of two quantised tensors: operands with a scale and a zero point each, and so the result."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.format.scalar import Scalar
from lowbit.ops.arrays import Array, FormatLike, checked_threads, format_of_dtype, integer_array, view_codes
from lowbit.ops.requantize.arguments import checked_range, checked_result, whole
from lowbit.ops.requantize.lowering import Range
from lowbit.ops.requantize.requantize import checked_out, requantize
from lowbit.ops.requantize.run import nearest_integers
from lowbit.ops.types import Results
from lowbit.policy.multiplier import binary32_scale, effective_scale
from lowbit.policy.quantized_add import Addition, derive_addition
from lowbit.policy.requantize import RequantizeScheme, get_requantize_scheme

WIDEST_OPERAND = 16


def quantized_add(  # noqa: PLR0913 (all but the operands are keyword-only)
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    scheme: RequantizeScheme | str,
    a_scale: float,
    b_scale: float,
    result_scale: float,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    zero_point: int = 0,
    result: FormatLike | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    out: Array | None = None,
    threads: int = 1,
) -> Results:
    """Add two quantised tensors of different scales (a residual connection).

    Parameters
    ----------
    a, b : array_like of int
        Codes of at most 16 bits, of shapes that broadcast.
    scheme : RequantizeScheme or str
        ``"xnnpack_add"``, ``"qnnpack_add"`` or ``"litert_optimized_add"``; a dyadic scheme (``"hawq"``: each operand is
        requantised by itself, and nothing is clamped but the result); or one of TFLite's kind (``"tflite_double"``,
        ``"tflm"``, ...).
    a_scale, b_scale, result_scale : float
        Positive, rounded to binary32.
    a_zero_point, b_zero_point, zero_point : int
    result : str, Format or dtype, optional
        The format of the result; default: that of ``a``.
    minimum, maximum : int, optional
        The range that results are clamped to, in codes.
    out : ndarray, optional
        Where the codes go.
    threads : int
        How many threads share the work.

    Returns
    -------
    codes : ndarray or scalar

    Raises
    ------
    InputError
        A scale is zero, negative or NaN, the ratio of two is beyond what the product takes, or an array is wrong.
    PolicyError
        The scheme is unknown or adds nothing.

    Notes
    -----
    Source: as for ``lowbit.policy.quantized_add.derive_addition``.

    Examples
    --------
    >>> codes = {"a_scale": 0.5, "b_scale": 0.25, "result_scale": 1.0}
    >>> [int(quantized_add(np.int8(3), np.int8(4), scheme=name, **codes)) for name in ("tflm", "xnnpack_add", "hawq")]
    [3, 3, 3]
    """
    (left, right), formats = _operands(a, b)
    target = formats[0] if result is None else checked_result(result)
    bits = max(fmt.container_bits for fmt in formats)
    addition = derive_addition(scheme, a_scale, b_scale, result_scale, bits)
    left = left - _zero(a_zero_point, "a_zero_point", formats[0])
    right = right - _zero(b_zero_point, "b_zero_point", formats[1])
    if addition.left_shift and bits == WIDEST_OPERAND and (a_zero_point or b_zero_point):
        raise InputError(
            f"zero points {a_zero_point} and {b_zero_point}: TFLite's 16-bit tensors have none, and operands shifted "
            f"left by {addition.left_shift} would leave 32 bits",
        )
    if addition.result is None:
        checked_threads(threads)
        within = checked_range(addition.scheme, target, zero_point, minimum, maximum)
        return _clamped(_exact_sum(left, right, addition), within, target, out)
    return requantize(
        _sum(left, right, addition, threads),
        scheme=addition.scheme,
        multiplier=addition.result[0],
        shift=addition.result[1],
        zero_point=zero_point,
        result=target,
        minimum=minimum,
        maximum=maximum,
        out=out,
        threads=threads,
    )


def quantized_multiply(  # noqa: PLR0913 (all but the operands are keyword-only)
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    *,
    scheme: RequantizeScheme | str,
    a_scale: float,
    b_scale: float,
    result_scale: float,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    zero_point: int = 0,
    result: FormatLike | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    out: Array | None = None,
    threads: int = 1,
) -> Results:
    """Multiply two quantised tensors: the product of the codes less their zero points, requantised.

    Parameters
    ----------
    a, b, a_scale, b_scale, result_scale, a_zero_point, b_zero_point, zero_point, result, minimum, maximum, out, threads
        As for :func:`quantized_add`.
    scheme : RequantizeScheme or str
        Any; its ``scale_product`` makes one scale of the three.

    Returns
    -------
    codes : ndarray or scalar

    Raises
    ------
    InputError, PolicyError
        As for :func:`quantized_add`.

    Notes
    -----
    Source: ``MulElementwise`` in tensorflow/lite/kernels/internal/reference/integer_ops/mul.h; XNNPACK
    src/qs8-vmul/scalar.c.in.

    Examples
    --------
    >>> scales = {"a_scale": 0.05, "b_scale": 0.04, "result_scale": 0.1}
    >>> int(quantized_multiply(np.int8(100), np.int8(90), scheme="tflm", **scales))
    127
    """
    rules = get_requantize_scheme(scheme)
    for name, number in (("a_scale", a_scale), ("b_scale", b_scale), ("result_scale", result_scale)):
        binary32_scale(number, name)
    (left, right), formats = _operands(a, b)
    target = formats[0] if result is None else checked_result(result)
    left = left.astype(np.int64) - _zero(a_zero_point, "a_zero_point", formats[0])
    right = right.astype(np.int64) - _zero(b_zero_point, "b_zero_point", formats[1])
    return requantize(
        left * right,
        scheme=rules,
        scale=effective_scale(a_scale, b_scale, result_scale, scheme=rules),
        zero_point=zero_point,
        result=target,
        minimum=minimum,
        maximum=maximum,
        out=out,
        threads=threads,
    )


def _operands(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[tuple[Array, Array], tuple[Scalar, Scalar]]:
    """Two int32 arrays of one shape, and the formats they came in."""
    arrays, formats = [], []
    for values, name in ((a, "a"), (b, "b")):
        array = np.asarray(values) if isinstance(values, np.generic) else integer_array(values, name, "int8")
        fmt = format_of_dtype(array.dtype)
        if fmt is None or not fmt.wraps or fmt.bits > WIDEST_OPERAND:
            raise InputError(
                f"{name} has dtype {array.dtype}, not one of integers of at most {WIDEST_OPERAND} bits",
                hint="codes as int8, uint8 or int16; accumulators go to lowbit.requantize",
            )
        arrays.append(view_codes(array, fmt).astype(np.int32))
        formats.append(fmt)
    try:
        left, right = np.broadcast_arrays(*arrays)
    except ValueError as error:
        raise InputError(f"a of shape {arrays[0].shape} and b of shape {arrays[1].shape} do not broadcast") from error
    return (left, right), (formats[0], formats[1])


def _zero(value: Any, name: str, fmt: Scalar) -> int:
    return whole(value, name, fmt.codes[0], fmt.codes[-1], f", the codes of {fmt.id}")


def _sum(left: Array, right: Array, addition: Addition, threads: int) -> Array:
    if addition.shared:
        return np.asarray(left * addition.a[0] + right * addition.b[0], dtype=np.int32)
    parts = [
        requantize(
            operand << addition.left_shift,
            scheme=addition.operands,
            multiplier=pair[0],
            shift=pair[1],
            result="int32",
            threads=threads,
        )
        for operand, pair in ((left, addition.a), (right, addition.b))
    ]
    return np.asarray(parts[0] + parts[1], dtype=np.int32)


def _exact_sum(left: Array, right: Array, addition: Addition) -> npt.NDArray[np.int64]:
    """Both operands rescaled straight to the result, without a clamp: 17 bits times 31 are exact in binary64."""
    parts = [
        nearest_integers(np.ldexp(operand.astype(np.float64) * multiplier, -shift), addition.operands.tie)
        for operand, (multiplier, shift) in ((left, addition.a), (right, addition.b))
    ]
    return np.asarray(parts[0] + parts[1], dtype=np.int64)


def _clamped(total: npt.NDArray[np.int64], within: Range, target: Scalar, out: Array | None) -> Any:
    codes = np.clip(total + within.zero_point, within.low, within.high).astype(target.code_dtype)
    if out is None:
        return codes[()]
    checked_out(out, codes.shape, codes.dtype)
    out[...] = codes
    return out
