"""LLM.int8(): vector-wise int8 with outlier columns in binary16, in the paper's, the CPU's and CUDA's arithmetic."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.ops.arithmetic.exact_rounding import add_products, divide_sum, fused_multiply_add
from lowbit.ops.arrays import as_array
from lowbit.ops.types import Array
from lowbit.policy.choices import require_choice

Halves = npt.NDArray[np.float16]
Singles = npt.NDArray[np.float32]

LEVELS = 127
"""The largest code."""

VARIANTS = {
    "paper": "the formulas in exact arithmetic, outlier columns left out of scales, rounded at the end",
    "cpu": "bitsandbytes 0.50, PyTorch operations (backends/default/ops.py, backends/cpu/ops.py)",
    "cuda": "bitsandbytes 0.50, CUDA kernels (csrc/kernels.cu)",
}
"""Variant -> what it follows."""

_CPU_DEQUANTIZE = np.float32(6.200124e-05)
_CUDA_DEQUANTIZE = np.float32(6.200012e-05)
_WEIGHT_DEQUANTIZE = np.float32(7.874015718698502e-3)
_DIVISION_ULPS = 2


class LLMInt8Rows(NamedTuple):
    """A matrix quantised row by row.

    Attributes
    ----------
    codes : ndarray of int8, shape (m, k)
        0 in outlier columns.
    largest : ndarray of float32, shape (m,)
        The largest magnitude of each row, outliers left out: what the libraries call row statistics. A code stands
        for ``code * largest / 127``.
    outlier_columns : ndarray of int64
        Columns that are kept in binary16, in order.
    uncertain : ndarray of bool, shape (m, k)
        Codes that may differ on a GPU, whose division is only known to two units in the last place; all False but for
        ``variant="cuda"``.
    """

    codes: npt.NDArray[np.int8]
    largest: Singles
    outlier_columns: npt.NDArray[np.int64]
    uncertain: npt.NDArray[np.bool_]


def llm_int8_quantize(values: npt.ArrayLike, *, variant: str = "cpu", threshold: float = 0.0) -> LLMInt8Rows:
    """Quantise each row to int8 by its largest magnitude, columns with outliers set aside.

    Parameters
    ----------
    values : array_like, shape (m, k)
        binary16; binary32 and bfloat16 are converted to it first, to nearest even.
    variant : str
        "paper", "cpu" or "cuda".
    threshold : float
        0 for no outliers; 6.0 is what the paper recommends.

    Returns
    -------
    LLMInt8Rows

    Raises
    ------
    InputError
        The values are not a matrix of floats, or the threshold is negative or not a number.
    PolicyError
        The variant is unknown.

    Notes
    -----
    Source: Dettmers et al. 2022 (arXiv:2208.07339) sections 2.1 and 3; bitsandbytes-foundation/bitsandbytes at
    95f9af3. A code is ``127 a / largest`` to nearest even, as follows.

    ``paper``
        Columns with a magnitude above the threshold are outliers and do not count for ``largest``. The quotient is
        rounded once. Rows whose ``largest`` is 0, infinite or NaN have codes 0.
    ``cpu``
        Columns with a magnitude of at least the threshold (in binary16) are outliers; only these elements are left
        out of ``largest``, their neighbours in the column count. ``rint(a * (127 * (1 / largest)))``, each operation
        rounded to binary32 (PyTorch divides a number by a tensor in that way). A NaN makes ``largest`` NaN; NaN
        products give 0.
    ``cuda``
        As ``cpu``, with these differences: ``fmaxf`` passes over NaN; an element keeps its code where its magnitude is
        below the threshold in binary32, which matters for one row only, as outlier columns are cleared where there
        are several; a code beyond int8 loses its upper bits. ``__fdividef(127, largest)`` is taken to be 127 times
        the correctly rounded reciprocal; the hardware's may differ by two units in the last place, and ``uncertain``
        marks what that could change. The maximum starts at -FLT_MIN, so that a row without a number below the threshold
        has ``largest`` -0 and a scale of -infinity.

    Examples
    --------
    >>> import numpy as np
    >>> rows = llm_int8_quantize(np.array([[1.0, -0.5, 20.0], [2.0, 0.25, 0.5]], np.float16), threshold=6.0)
    >>> rows.codes.tolist(), rows.largest.tolist(), rows.outlier_columns.tolist()
    ([[127, -64, 0], [127, 16, 0]], [1.0, 2.0], [2])
    """
    require_choice("variant", variant, VARIANTS)
    matrix, limit = _matrix(values, "values"), _threshold(threshold)
    return _quantize(matrix, variant, limit, _outliers(matrix, variant, limit))


def llm_int8_matmul(
    activations: npt.ArrayLike,
    weights: npt.ArrayLike | LLMInt8Rows,
    *,
    variant: str = "cpu",
    threshold: float = 6.0,
    bias: npt.ArrayLike | None = None,
    threads: int = 1,
) -> Halves:
    """The product of binary16 activations and weights through int8, outlier columns in binary16.

    Parameters
    ----------
    activations : array_like, shape (m, k)
    weights : array_like, shape (n, k), or LLMInt8Rows
        A row for each output. Rows that are quantised already are taken as they are, but not by the paper's variant,
        whose weights depend on the outliers.
    variant, threshold
        As for :func:`llm_int8_quantize`.
    bias : array_like, shape (n,), optional
        binary16.
    threads : int
        For the integer product.

    Returns
    -------
    product : ndarray of float16, shape (m, n)

    Raises
    ------
    InputError
        A shape or dtype is wrong.
    PolicyError
        The variant is unknown.

    Notes
    -----
    The int8 product is exact in int32. (bitsandbytes falls back to a binary32 product where k is not a multiple of 4 on
    CUDA, or without AVX-512 on a CPU: exact too up to k = 1040, beyond that in an unknown order.) Then

    ``paper``: ``sum * largest_a * largest_b / 127^2 + bias``, exact, rounded once to binary16;
    ``cpu``: ``sum * (largest_a * largest_b) * 6.200124e-05 + bias``, each operation in binary32, then to binary16;
    ``cuda``: ``fma(sum * largest_a * largest_b, 6.200012e-05, bias)`` likewise.

    Outlier columns are added to that binary16 number: activations times weights, the weights as they are (``paper``)
    or back from their codes (``largest * code * 7.874015718698502e-3`` in binary32, then binary16); the whole sum is
    exact and rounded once to binary16. Libraries accumulate it in binary32 in an order of their own, and may differ in
    the last place there.

    Examples
    --------
    >>> import numpy as np
    >>> activations = np.array([[1.0, -0.5, 20.0]], np.float16)
    >>> weights = np.array([[0.5, 1.0, 0.25], [-1.0, 0.75, 0.5]], np.float16)
    >>> [llm_int8_matmul(activations, weights, threshold=limit).tolist() for limit in (6.0, 0.0)]
    [[[5.0390625, 8.703125]], [[5.04296875, 8.78125]]]
    """
    require_choice("variant", variant, VARIANTS)
    left, limit = _matrix(activations, "activations"), _threshold(threshold)
    rows = _quantize(left, variant, limit, _outliers(left, variant, limit))
    right: Halves | None = None
    if not isinstance(weights, LLMInt8Rows):
        right = _matrix(weights, "weights")
        columns = _quantize(right, variant, 0.0, rows.outlier_columns)
    elif variant == "paper":
        raise InputError("the paper's variant quantises weights without the outlier columns", hint="pass the weights")
    else:
        columns = weights
    if columns.codes.shape[1] != left.shape[1]:
        raise InputError(
            f"activations have shape {left.shape} and weights {columns.codes.shape}: both have k columns",
            hint="weights are (outputs, inputs), as in torch.nn.Linear",
        )
    offset = _bias(bias, columns.codes.shape[0])
    with np.errstate(all="ignore"):
        product = _dequantize(_integer_product(rows, columns, threads), rows.largest, columns.largest, variant, offset)
        if not rows.outlier_columns.size:
            return product
        kept = rows.outlier_columns
        back = _back(columns, kept) if right is None or variant != "paper" else right[:, kept]
        return add_products(product, left[:, kept], back)


def _integer_product(rows: LLMInt8Rows, columns: LLMInt8Rows, threads: int) -> Array:
    from lowbit.ops.gemm.gemm import gemm

    return np.asarray(gemm(rows.codes, columns.codes.T, threads=threads))


def _matrix(values: Any, role: str) -> Halves:
    array = as_array(values, role)
    if array.dtype.name not in {"float16", "float32", "bfloat16"}:
        raise InputError(f"{role} have dtype {array.dtype}: binary16, or binary32 and bfloat16, which become binary16")
    if array.ndim != 2:
        raise InputError(f"{role} have shape {array.shape}: a matrix is needed", hint=f"{role}.reshape(-1, k)")
    with np.errstate(over="ignore"):
        return array.astype(np.float32).astype(np.float16)


def _threshold(threshold: object) -> float:
    if isinstance(threshold, int | float | np.floating | np.integer) and float(threshold) >= 0:
        return float(threshold)
    raise InputError(f"threshold = {threshold!r} is not a number from 0", hint="0 for no outliers, 6.0 as in the paper")


def _bias(bias: Any, columns: int) -> Halves:
    if bias is None:
        return np.zeros(columns, dtype=np.float16)
    array = as_array(bias, "bias")
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype != np.float16 or array.shape != (columns,):
        raise InputError(f"bias is {array.dtype} of shape {array.shape}: binary16 of shape ({columns},) is needed")
    return array


def _outliers(matrix: Halves, variant: str, threshold: float) -> npt.NDArray[np.int64]:
    if threshold == 0:
        return np.empty(0, dtype=np.int64)
    magnitudes = np.abs(matrix)
    if variant == "paper":
        found = magnitudes.astype(np.float64) > threshold
    else:
        with np.errstate(over="ignore"):
            found = magnitudes >= np.float16(threshold)
    return np.flatnonzero(found.any(axis=0)).astype(np.int64)


def _quantize(matrix: Halves, variant: str, threshold: float, outliers: npt.NDArray[np.int64]) -> LLMInt8Rows:
    step = {"paper": _paper, "cpu": _cpu, "cuda": _cuda}[variant]
    with np.errstate(all="ignore"):
        codes, largest, uncertain = step(matrix, threshold, outliers)
    if threshold > 0 and matrix.shape[0] > 1:
        codes[:, outliers] = 0
        uncertain[:, outliers] = False
    return LLMInt8Rows(codes, largest, outliers, uncertain)


_Answer = tuple[npt.NDArray[np.int8], Singles, npt.NDArray[np.bool_]]


def _largest(magnitudes: Array) -> Singles:
    """Of each row, at least 0; NaN where there is one."""
    largest: Singles = np.max(magnitudes, axis=1, initial=0).astype(np.float32)
    return largest


def _paper(matrix: Halves, _: float, outliers: npt.NDArray[np.int64]) -> _Answer:
    kept = matrix.copy()
    kept[:, outliers] = 0
    largest = _largest(np.abs(kept))
    usable = np.isfinite(largest) & (largest > 0)
    # A quotient that is not a tie is at least 2^-41 away from one, and binary64 is finer than that.
    quotient = kept.astype(np.float64) * LEVELS / np.where(usable, largest, 1).astype(np.float64)[:, None]
    codes = np.where(usable[:, None], np.rint(quotient), 0).astype(np.int8)
    return codes, largest, np.zeros(matrix.shape, dtype=np.bool_)


def _cpu(matrix: Halves, threshold: float, _: npt.NDArray[np.int64]) -> _Answer:
    values = np.where(np.abs(matrix) >= np.float16(threshold), np.float16(0), matrix) if threshold > 0 else matrix
    largest = _largest(np.abs(values))
    scale = np.float32(LEVELS) * (np.float32(1) / largest)  # PyTorch's 127.0 / tensor is tensor.reciprocal() * 127.0
    products = values.astype(np.float32) * scale[:, None]
    codes = np.where(np.isfinite(products), np.rint(products), 0).astype(np.int8)
    return codes, largest, np.zeros(matrix.shape, dtype=np.bool_)


def _cuda(matrix: Halves, threshold: float, _: npt.NDArray[np.int64]) -> _Answer:
    magnitudes = np.where(np.isnan(matrix), np.float16(0), np.abs(matrix))
    counted = magnitudes < np.float16(threshold) if threshold > 0 else np.ones(matrix.shape, dtype=np.bool_)
    largest = _largest(np.where(counted, magnitudes, np.float16(0)))
    largest[~(counted & ~np.isnan(matrix)).any(axis=1)] = -0.0  # what binary16 makes of -FLT_MIN, where fmaxf starts
    coded = np.abs(matrix.astype(np.float32)) < np.float32(threshold) if threshold > 0 else counted
    values = np.where(coded, matrix, np.float16(0)).astype(np.float32)
    scale = np.float32(LEVELS) * (np.float32(1) / largest)
    below = above = np.float32(LEVELS) / largest
    for _step in range(_DIVISION_ULPS):
        below, above = np.nextafter(below, np.float32(0)), np.nextafter(above, np.float32(np.inf))
    codes = np.where(coded, _low_byte(values * scale[:, None]), 0).astype(np.int8)
    uncertain = _low_byte(values * below[:, None]) != _low_byte(values * above[:, None])
    return codes, largest, uncertain & coded & np.isfinite(values) & np.isfinite(largest)[:, None]


def _low_byte(products: Singles) -> npt.NDArray[np.int8]:
    """__float2int_rn, which saturates and takes NaN to 0, and then the low byte of the int32."""
    rounded = np.where(np.isnan(products), 0, np.clip(np.rint(products.astype(np.float64)), -(1 << 31), (1 << 31) - 1))
    return rounded.astype(np.int64).astype(np.int8)


def _dequantize(sums: Array, rows: Singles, columns: Singles, variant: str, bias: Halves) -> Halves:
    if variant == "paper":
        # 31 bits times 11 times 11: the product is exact in binary64
        product = sums.astype(np.float64) * rows.astype(np.float64)[:, None] * columns.astype(np.float64)
        return divide_sum(product, bias.astype(np.float64), LEVELS**2).astype(np.float16)
    numbers = sums.astype(np.float32)
    if variant == "cuda":
        scaled = numbers * rows[:, None] * columns
        return fused_multiply_add(scaled, np.array(_CUDA_DEQUANTIZE), bias).astype(np.float16)
    singles = numbers * (rows[:, None] * columns) * _CPU_DEQUANTIZE
    return (singles + bias.astype(np.float32)).astype(np.float16)


def _back(columns: LLMInt8Rows, kept: npt.NDArray[np.int64]) -> Halves:
    """Weights of outlier columns from their codes."""
    numbers = columns.codes[:, kept].astype(np.float32)
    return (numbers * columns.largest[:, None] * _WEIGHT_DEQUANTIZE).astype(np.float16)
