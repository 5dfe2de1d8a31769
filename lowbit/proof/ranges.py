"""Ranges of operands, and the extreme products that they make."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.ops.arrays import scalar_format
from lowbit.policy.accumulator import Accumulator
from lowbit.proof.span import Span


def code_range(values: Any, role: str) -> Span:
    """A range of integers from a format, a dtype, one integer or a pair of them.

    Raises InputError: it is none of these, or the pair is in the wrong order.
    """
    if is_whole(values):
        return Span(int(values), int(values))
    if isinstance(values, tuple | list) and len(values) == 2 and all(is_whole(end) for end in values):
        low, high = (int(end) for end in values)
        if low > high:
            raise InputError(f"{role} = {values!r}: the first number is the lowest code", hint=f"({high}, {low})")
        return Span(low, high)
    try:
        fmt = scalar_format(values)
    except LowbitError as error:
        raise InputError(
            f"{role} = {values!r} is not a range of integers: {error.message}", hint="'int8', or (-127, 127)"
        ) from error
    if fmt.kind != "integer":
        raise InputError(f"{role} = {fmt.id} is not an integer format", hint="'int8', or (-127, 127)")
    return Span(fmt.codes[0], fmt.codes[-1])


def is_whole(value: Any) -> bool:
    """Whether it is one integer, of Python's or NumPy's."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def whole_zero_point(value: Any, role: str) -> int:
    """A zero point as a Python integer, whose differences never wrap.

    Raises InputError: it is not one integer.
    """
    if not is_whole(value):
        raise InputError(f"{role} = {value!r} is not one integer", hint=f"{role}=0, say")
    return int(value)


class Corner(NamedTuple):
    """A pair of codes and the product they make."""

    product: int
    a: int
    b: int


def corners(a: Span, b: Span, a_zero: int, b_zero: int, dropped: int) -> tuple[Corner, Corner]:
    """The lowest and the highest product: a product of two ranges takes its extremes where both are at an end."""
    every = [
        Corner(((left - a_zero) >> dropped) * ((right - b_zero) >> dropped), left, right) for left in a for right in b
    ]
    return min(every), max(every)


def multiplied(accumulator: Accumulator, a_zero: int, b_zero: int) -> tuple[int, int]:
    """The zero points that are subtracted before the multiplication."""
    return (0, 0) if accumulator.zero_points == "compensated" else (a_zero, b_zero)
