"""The floating-point steps by which published code derives its integer constants, each exact and then rounded once.

The array layer derives the same constants in floats, in ``lowbit/nonlinear``: neither may import the other's.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import isqrt
from typing import Any

from lowbit.errors import InputError
from lowbit.exact import FINITE
from lowbit.oracle.arithmetic.rounded import round_to

ROOT_BITS = 200
"""A square root is cut off this many bits below the point, far below half a unit of binary64."""


def binary32(value: Fraction) -> Fraction:
    """The nearest binary32 number, ties to even.

    Raises InputError: it is beyond the largest one.
    """
    rounded = round_to(value, "float32")
    if rounded.kind != FINITE:
        raise InputError("a constant is beyond binary32", hint="give a larger scale")
    return rounded.fraction()


def binary64(value: Fraction | str) -> Fraction:
    """The nearest binary64 number; of a decimal, what a compiler makes of it."""
    return round_to(Fraction(value), "float64").fraction()


def positive32(value: Any, name: str = "scale") -> Fraction:
    """A scale as the binary32 number that a framework holds.

    Raises InputError: it is not a positive number, in binary32 too.
    """
    try:
        rounded = binary32(Fraction(float(value)))
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{name} = {value!r} is not a positive binary32 number") from error
    if rounded <= 0:
        raise InputError(f"{name} = {value!r} is not a positive binary32 number")
    return rounded


def over_tensor(number: Fraction, tensor: Fraction) -> Fraction:
    """``number / tensor`` as PyTorch computes it in binary32: the tensor's reciprocal, times the number.

    Raises InputError: the reciprocal is beyond binary32.
    """
    if tensor == 0:
        raise InputError("the scale is too small: a constant is divided by 0", hint="give a larger scale")
    return binary32(binary32(1 / tensor) * binary32(number))


def square_root(value: int) -> Fraction:
    """The root of a whole number, or a number so close to it that both round to the same float."""
    root = isqrt(value << 2 * ROOT_BITS)
    is_exact = root * root == value << 2 * ROOT_BITS
    return Fraction(2 * root + (not is_exact), 2 << ROOT_BITS)


def each(options: Mapping[str, Any], name: str, length: int, default: int) -> list[Fraction]:
    """An option of one number for every element of a row, or one for all, as binary32 numbers."""
    values = options.get(name, default)
    listed = [values] * length if isinstance(values, int | float) else list(values)
    return [binary32(Fraction(float(value))) for value in listed]
