"""LLM.int8() number by number: vector-wise int8 with outlier columns in binary16, in exact arithmetic.

What the variants are is said in :mod:`lowbit.quantizers.methods.llm_int8`. Numbers are :class:`lowbit.exact.Exact` with
binary16 values; each step of the products is one exact operation and one rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from lowbit.exact import FINITE, NAN, NEGATIVE_ZERO, NOT_A_NUMBER, ZERO, Exact, finite, from_float
from lowbit.oracle.arithmetic.rounded import (
    absolute,
    add,
    divide,
    is_less,
    multiply,
    multiply_add,
    nearest_integer,
    round_exact,
    round_to,
)

LEVELS = 127
"""The largest code."""

CPU_DEQUANTIZE = 6.200124e-05
CUDA_DEQUANTIZE = 6.200012e-05
WEIGHT_DEQUANTIZE = 7.874015718698502e-3
"""What stands for 1/127^2 and for 1/127 in bitsandbytes, before it is rounded to binary32."""

Row = Sequence[Exact]


class Quantized(NamedTuple):
    """Codes of each row, its largest magnitude, and the outlier columns."""

    codes: list[list[int]]
    largest: list[Exact]
    outliers: list[int]


def quantize(rows: Sequence[Row], variant: str, threshold: float, outliers: Sequence[int] | None = None) -> Quantized:
    """Rows to int8; ``threshold`` 0 is for none.

    ``outliers`` are the columns that the paper leaves out of weights: those of the activations.
    """
    limit = from_float(threshold)
    half = round_exact(limit, "float16")
    columns = range(len(rows[0]) if rows else 0)
    if variant == "paper":
        found = [k for k in columns if threshold and any(is_less(limit, absolute(row[k])) for row in rows)]
        left_out = found if outliers is None else list(outliers)
        return Quantized(*_paper(rows, left_out), left_out)
    found = [k for k in columns if threshold and any(_reaches(row[k], half) for row in rows)]
    answers = [_cpu(row, half, threshold > 0) if variant == "cpu" else _cuda(row, half, limit) for row in rows]
    codes = [row_codes for row_codes, _ in answers]
    if len(rows) > 1:
        codes = [[0 if k in found else code for k, code in enumerate(row)] for row in codes]
    return Quantized(codes, [largest for _, largest in answers], found)


def _reaches(value: Exact, limit: Exact) -> bool:
    """|value| >= limit."""
    return value.kind != NAN and not is_less(absolute(value), limit)


def _maximum(magnitudes: Sequence[Exact]) -> Exact:
    largest = ZERO
    for magnitude in magnitudes:
        if is_less(largest, magnitude):
            largest = magnitude
    return largest


def _paper(rows: Sequence[Row], outliers: Sequence[int]) -> tuple[list[list[int]], list[Exact]]:
    """Outlier columns leave the matrix; codes are rounded once, from the exact quotient."""
    codes: list[list[int]] = []
    scales: list[Exact] = []
    for row in rows:
        kept = [ZERO if k in outliers else value for k, value in enumerate(row)]
        found = any(value.kind == NAN for value in kept)
        largest = NOT_A_NUMBER if found else _maximum([absolute(value) for value in kept])
        usable = largest.kind == FINITE and largest.significand != 0
        codes.append([round(LEVELS * value.fraction() / largest.fraction()) if usable else 0 for value in kept])
        scales.append(largest)
    return codes, scales


def _scale(largest: Exact) -> Exact:
    """127 times the reciprocal: what ``127.0 / tensor`` is in PyTorch, and what ``__fdividef`` is taken to be."""
    return multiply(finite(LEVELS), divide(finite(1), largest, "float32"), "float32")


def _cpu(row: Row, limit: Exact, decomposed: bool) -> tuple[list[int], Exact]:
    """backends/default/ops.py: outliers are zeros; absmax with NaN; rint(a * (127 * (1 / absmax))) in binary32."""
    values = [ZERO if decomposed and _reaches(value, limit) else value for value in row]
    found = any(value.kind == NAN for value in values)
    largest = NOT_A_NUMBER if found else _maximum([absolute(value) for value in values])
    scale = _scale(largest)
    return [nearest_integer(multiply(value, scale, "float32")) or 0 for value in values], largest


def _cuda(row: Row, half: Exact, limit: Exact) -> tuple[list[int], Exact]:
    """csrc/kernels.cu, kInt8VectorQuant: fmaxf passes over NaN; two comparisons with the threshold, half and single."""
    magnitudes = [absolute(value) for value in row if value.kind != NAN]
    decomposed = limit.significand != 0
    counted = [value for value in magnitudes if not decomposed or is_less(value, half)]
    largest = _maximum(counted) if counted else NEGATIVE_ZERO  # fmaxf starts at -FLT_MIN, -0 in binary16
    single = round_exact(limit, "float32")
    scale = _scale(largest)
    codes = []
    for value in row:
        counts = not decomposed or is_less(absolute(value), single)
        codes.append(_low_byte(multiply(value, scale, "float32")) if counts else 0)
    return codes, largest


def _low_byte(value: Exact) -> int:
    """__float2int_rn, which saturates and takes NaN to 0, and then the low byte of the int32."""
    if value.kind == NAN:
        return 0
    number = nearest_integer(value)
    if number is None:
        number = -(1 << 31) if value.negative else (1 << 31) - 1
    number = max(min(number, (1 << 31) - 1), -(1 << 31))
    return ((number + 128) & 255) - 128


def matmul(
    activations: Sequence[Row], weights: Sequence[Row], variant: str, threshold: float, bias: Row | None = None
) -> list[list[Exact]]:
    """Activations (m, k) times weights (n, k), row by row, in binary16."""
    left = quantize(activations, variant, threshold)
    right = quantize(weights, variant, 0.0, left.outliers)
    offsets = bias or [ZERO] * len(weights)
    results = []
    for row, codes, largest in zip(activations, left.codes, left.largest, strict=True):
        line = []
        for column, offset in enumerate(offsets):
            total = sum(a * b for a, b in zip(codes, right.codes[column], strict=True))
            value = dequantize(total, largest, right.largest[column], variant, offset)
            if left.outliers:
                back = [
                    weights[column][k] if variant == "paper" else weight(right.codes[column][k], right.largest[column])
                    for k in left.outliers
                ]
                value = add_outliers(value, [row[k] for k in left.outliers], back)
            line.append(value)
        results.append(line)
    return results


def dequantize(total: int, row: Exact, column: Exact, variant: str, bias: Exact) -> Exact:
    """An int32 sum to binary16."""
    if variant == "paper":
        if any(number.kind != FINITE for number in (row, column, bias)):
            return _special(total, row, column, bias)
        value = total * row.fraction() * column.fraction() / LEVELS**2 + bias.fraction()
        return round_to(value, "float16")
    number = round_to(Fraction(total), "float32")
    if variant == "cuda":
        constant = round_exact(from_float(CUDA_DEQUANTIZE), "float32")
        product = multiply(multiply(number, row, "float32"), column, "float32")
        return round_exact(multiply_add(product, constant, bias, "float32"), "float16")
    constant = round_exact(from_float(CPU_DEQUANTIZE), "float32")
    product = multiply(number, multiply(row, column, "float32"), "float32")
    return round_exact(add(multiply(product, constant, "float32"), bias, "float32"), "float16")


def _special(total: int, row: Exact, column: Exact, bias: Exact) -> Exact:
    """The same product where something is infinite or no number."""
    product = multiply(multiply(finite(total), row, "float64"), column, "float64")
    return add(product, bias, "float16")


def weight(code: int, largest: Exact) -> Exact:
    """A weight in an outlier column, back from its code."""
    constant = round_exact(from_float(WEIGHT_DEQUANTIZE), "float32")
    return round_exact(multiply(multiply(finite(code), largest, "float32"), constant, "float32"), "float16")


def add_outliers(value: Exact, left: Row, right: Row) -> Exact:
    """``value + sum(left * right)``, exact and rounded once to binary16."""
    numbers = [value, *left, *right]
    if all(number.kind == FINITE for number in numbers):
        total = sum((a.fraction() * b.fraction() for a, b in zip(left, right, strict=True)), value.fraction())
        return round_to(total, "float16")
    total_so_far = value
    for a, b in zip(left, right, strict=True):
        total_so_far = add(total_so_far, multiply(a, b, "float64"), "float64")
    return round_exact(total_so_far, "float16")
