"""Sums and products of two quantised numbers, in Python integers."""

from __future__ import annotations

from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.requantize.requantize import requantize
from lowbit.policy.quantized_add import Addition
from lowbit.policy.requantize import RequantizeScheme

INT32 = (-(1 << 31), (1 << 31) - 1)
UNCLAMPED = (-(1 << 62), (1 << 62) - 1)
"""Where operands are rescaled straight to the result, only their sum is clamped."""


def add(
    a: int, b: int, addition: Addition, *, a_zero_point: int, b_zero_point: int, zero_point: int, low: int, high: int
) -> int:
    """The code of the sum of two codes."""
    left, right = (a - a_zero_point) << addition.left_shift, (b - b_zero_point) << addition.left_shift
    if addition.shared:
        total = left * addition.a[0] + right * addition.b[0]
    else:
        lowest, highest = UNCLAMPED if addition.result is None else INT32
        total = (
            requantize(left, addition.operands, *addition.a, low=lowest, high=highest).code
            + requantize(right, addition.operands, *addition.b, low=lowest, high=highest).code
        )
    if addition.result is None:
        return min(max(total + zero_point, low), high)
    return requantize(
        wrap(total, 32), addition.scheme, *addition.result, zero_point=zero_point, low=low, high=high
    ).code


def multiply(  # noqa: PLR0913 (two operands, two zero points, a result)
    a: int,
    b: int,
    scheme: RequantizeScheme,
    multiplier: int,
    shift: int,
    *,
    a_zero_point: int,
    b_zero_point: int,
    zero_point: int,
    low: int,
    high: int,
) -> int:
    """The code of the product of two codes."""
    product = (a - a_zero_point) * (b - b_zero_point)
    return requantize(product, scheme, multiplier, shift, zero_point=zero_point, low=low, high=high).code
