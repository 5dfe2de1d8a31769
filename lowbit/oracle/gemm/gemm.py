"""Integer matrix products in Python ints: operands, zero points, and one accumulation per result."""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.oracle.gemm.accumulate import Accumulation, accumulate
from lowbit.policy.accumulator import Accumulator


def exact_dot(a: Sequence[int], b: Sequence[int], a_zero_point: int = 0, b_zero_point: int = 0) -> int:
    """The exact value of sum((a - a_zero_point) * (b - b_zero_point))."""
    return sum((left - a_zero_point) * (right - b_zero_point) for left, right in zip(a, b, strict=True))


def dot(
    a: Sequence[int],
    b: Sequence[int],
    accumulator: Accumulator,
    *,
    a_zero_point: int = 0,
    b_zero_point: int = 0,
    bias: int = 0,
) -> Accumulation:
    """A row times a column in an accumulator.

    ``zero_points = "compensated"`` multiplies raw codes; what is then missing from the exact value is the correction,
    ``K za zb - zb sum(a) - za sum(b)``.
    """
    if accumulator.zero_points == "compensated":
        products = [left * right for left, right in zip(a, b, strict=True)]
        correction = len(products) * a_zero_point * b_zero_point - b_zero_point * sum(a) - a_zero_point * sum(b)
        return accumulate(products, accumulator, bias=bias, correction=correction)
    dropped = accumulator.dropped_bits
    left_operands = [(code - a_zero_point) >> dropped for code in a]
    right_operands = [(code - b_zero_point) >> dropped for code in b]
    products = [left * right for left, right in zip(left_operands, right_operands, strict=True)]
    return accumulate(products, accumulator, bias=bias)


def gemm(
    a: Sequence[Sequence[int]],
    b: Sequence[Sequence[int]],
    accumulator: Accumulator,
    *,
    a_zero_points: Sequence[int] | None = None,
    b_zero_points: Sequence[int] | None = None,
    bias: Sequence[int] | None = None,
    columns: int | None = None,
) -> list[list[Accumulation]]:
    """The rows of ``a`` times the columns of ``b``, both given as lists of rows.

    ``a_zero_points`` has one entry a row of ``a``, ``b_zero_points`` and ``bias`` one a column of ``b``; ``columns`` is
    needed where ``b`` has no rows (K = 0).
    """
    count = len(b[0]) if b else columns or 0
    column_list = [[row[column] for row in b] for column in range(count)]
    a_zeros = a_zero_points or [0] * len(a)
    b_zeros = b_zero_points or [0] * count
    biases = bias or [0] * count
    return [
        [
            dot(row, column, accumulator, a_zero_point=za, b_zero_point=zb, bias=start)
            for column, zb, start in zip(column_list, b_zeros, biases, strict=True)
        ]
        for row, za in zip(a, a_zeros, strict=True)
    ]
