"""Dynamic fixed point in Python integers and fractions (Das et al., arXiv 1802.00930): see ``lowbit.ops``."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from lowbit.exact import ZERO, Exact, finite, from_fraction
from lowbit.format.registry import scalar_format
from lowbit.oracle.arithmetic import rounded
from lowbit.oracle.cast.cast import encode
from lowbit.policy.cast import Policy


def shifted(number: int, shift: int, rounding: str) -> int:
    """The number over 2^shift, rounded to an integer."""
    exact = from_fraction(Fraction(number, 1 << shift))
    return encode(exact, scalar_format("int64"), Policy(rounding=rounding, overflow="saturate"), source=None).code


def add(left: int, left_exponent: int, right: int, right_exponent: int, rounding: str) -> tuple[int, int]:
    """The sum at the larger exponent."""
    exponent = max(left_exponent, right_exponent)
    parts = (shifted(left, exponent - left_exponent, rounding), shifted(right, exponent - right_exponent, rounding))
    return sum(parts), exponent


def narrow(values: Sequence[int], exponent: int, bits: int, rounding: str) -> tuple[list[int], int]:
    """Numbers in fewer bits: the least shift by which every magnitude has at most ``bits - 1``."""
    limit, shift = (1 << (bits - 1)) - 1, 0
    while any(abs(value) >> shift > limit for value in values):
        shift += 1
    return [min(max(shifted(value, shift, rounding), -limit), limit) for value in values], exponent + shift


def dot(left: Sequence[int], right: Sequence[int], exponent: int, chain: int) -> tuple[Exact, int]:
    """The float32 sum of chains, and the largest magnitude that a sum within a chain has had."""
    total, largest = ZERO, 0
    for start in range(0, len(left), chain):
        inside = 0
        for a, b in zip(left[start : start + chain], right[start : start + chain], strict=True):
            inside += a * b
            largest = max(largest, abs(inside))
        part = rounded.round_exact(finite(inside), "float32")
        scaled = rounded.round_exact(finite(part.significand, part.exponent + exponent), "float32")
        total = rounded.add(total, scaled, "float32")
    return total, largest
