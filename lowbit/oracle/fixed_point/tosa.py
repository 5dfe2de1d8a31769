"""TOSA's integer elementwise arithmetic, in Python integers.

Source: TOSA specification 1.0, operators ARITHMETIC_RIGHT_SHIFT, MUL, INTDIV and AVG_POOL2D.
"""

from __future__ import annotations

from lowbit.oracle.fixed_point.gemmlowp import wrap


def arithmetic_right_shift(value: int, shift: int, round_half_up: bool) -> int:
    """The value over 2**shift: rounded down, or to nearest with ties upward."""
    return (2 * value + (1 << shift if round_half_up and shift else 0)) // (2 << shift)


def multiply(a: int, b: int, shift: int) -> int:
    """A product over 2**shift to nearest, ties upward; without a shift the low 32 bits of the product.

    The specification leaves undefined a shifted product that does not fit 32 bits.
    """
    if shift == 0:
        return wrap(a * b, 32)
    return (2 * a * b + (1 << shift)) // (2 << shift)


def integer_divide(a: int, b: int) -> int:
    """A quotient toward zero."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


def reciprocal_scale(count: int) -> tuple[int, int]:
    """The multiplier and shift by which AVG_POOL2D divides a sum of ``count`` elements."""
    bits = (count - 1).bit_length()
    return (((1 << 30) + 1) << bits) // count, 30 + bits
