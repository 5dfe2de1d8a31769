"""Integer divisions with named roundings, and square roots, for the kernels of the nonlinearities."""

from __future__ import annotations

# ruff: noqa: ARG001  (the signature is the one that numba calls)
from typing import Any

from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import scalar
from lowbit.kernels.lib.bits import bit_length


@scalar
def divide_half_even(numerator, denominator):
    """The quotient by a positive number, to nearest, ties to even."""
    quotient = numerator // denominator
    twice = 2 * (numerator - quotient * denominator)
    return quotient + ((twice > denominator) | ((twice == denominator) & (quotient & 1)))


@scalar
def shift_half_up(value, count):
    """The value over 2**count, to nearest, ties up; the count is at least 1."""
    return (value + (1 << (count - 1))) >> count


@scalar
def floor_square_root(value):
    """The floor of the square root of a non-negative number below 2^62: Newton's iteration from above."""
    if value == 0:
        return 0
    root = 1 << ((bit_length(value) + 1) >> 1)
    while True:
        better = (root + value // root) >> 1
        if better >= root:
            return root
        root = better


@intrinsic
def positive_quotient(typing_context: Any, numerator: Any, denominator: Any) -> Any:
    """``numerator // denominator`` of int64 numbers, the first non-negative and the second positive."""
    if numerator != types.int64 or denominator != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.udiv(*arguments)

    return types.int64(numerator, denominator), generate
