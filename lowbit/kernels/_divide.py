"""Integer divisions with named roundings, and square roots, for the kernels of the nonlinearities."""

from __future__ import annotations

from lowbit.kernels._bits import bit_length
from lowbit.kernels._jit import scalar


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
