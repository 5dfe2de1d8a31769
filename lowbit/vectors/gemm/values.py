"""The building blocks of directed matrix products: extreme codes, random codes, sums of a wanted size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.errors import InputError
from lowbit.format.scalar import FixedFormat

Codes = NDArray[Any]
NARROWEST, WIDEST_SIGNED, WIDEST_UNSIGNED = 2, 16, 8


@dataclass(frozen=True)
class Operands:
    """The formats of the two matrices."""

    # a, b: integers of 2 to 16 bits, at most 8 if unsigned
    a: FixedFormat
    b: FixedFormat
    zero_points: bool = False  # whether the kernel takes a zero point for each of them

    def __post_init__(self) -> None:
        for name, fmt in (("a", self.a), ("b", self.b)):
            if not fmt.wraps:
                raise InputError(f"{name} = {fmt.id} is not an integer format", hint="int8, uint8, int4, int16, ...")
            widest = WIDEST_SIGNED if fmt.signed else WIDEST_UNSIGNED
            if not NARROWEST <= fmt.bits <= widest or fmt.fraction_bits:
                raise InputError(
                    f"{name} = {fmt.id} is not an operand of an integer product",
                    hint="signed integers of 2 to 16 bits or unsigned ones of 2 to 8: int8, uint8, int4, int16",
                )

    @property
    def words(self) -> str:
        """``int8 x uint8``."""
        return f"{self.a.id} x {self.b.id}"

    @property
    def pattern_in_a(self) -> bool:
        """Whether the matrix a carries the signs of products: it is signed, or neither is."""
        return self.a.signed or not self.b.signed

    @property
    def largest_step(self) -> int:
        """The largest product that has a counterpart of the other sign (if there are signs at all)."""
        carrier, other = (self.a, self.b) if self.pattern_in_a else (self.b, self.a)
        return carrier.max_code * other.max_code


def extremes(fmt: FixedFormat) -> list[int]:
    """The codes where products are largest, and those around zero."""
    return sorted(
        {fmt.min_code, fmt.min_code + 1, *((-1,) if fmt.signed else ()), 0, 1, fmt.max_code - 1, fmt.max_code}
    )


def rails(fmt: FixedFormat) -> list[int]:
    """The largest code, and the lowest where it is not zero (else one)."""
    return [fmt.max_code, fmt.min_code if fmt.signed else 1]


def as_matrices(steps: NDArray[np.int64], operands: Operands, columns: int) -> tuple[Codes, Codes]:
    """Matrices whose products are ``steps`` times extreme codes.

    ``steps`` has shape (patterns, k) and holds multiples, from -max to max, of the other matrix's codes: the rows of a
    or the columns of b, whichever is signed. The other side holds its largest code, then its lowest, alternately.
    """
    carrier, other = (operands.a, operands.b) if operands.pattern_in_a else (operands.b, operands.a)
    patterns = np.clip(steps, carrier.min_code, carrier.max_code).astype(carrier.code_dtype)
    constant = np.array([rails(other)[index % 2] for index in range(columns)], other.code_dtype)
    whole = np.broadcast_to(constant[:, None], (columns, steps.shape[1]))
    if operands.pattern_in_a:
        return patterns, np.ascontiguousarray(whole.T)
    return np.ascontiguousarray(whole), np.ascontiguousarray(patterns.T)


def with_sum(target: int, operands: Operands) -> list[tuple[int, int]]:
    """Pairs (code of the carrying side, code of the other) whose products sum to ``target`` exactly, few of them."""
    carrier, other = (operands.a, operands.b) if operands.pattern_in_a else (operands.b, operands.a)
    sign = -1 if target < 0 else 1
    count, rest = divmod(abs(target), carrier.max_code * other.max_code)
    most, ones = divmod(rest, other.max_code)
    return [(sign * carrier.max_code, other.max_code)] * count + [(sign * most, other.max_code), (sign, ones)]
