"""Bounds that several schemes share: sums over a row, and what a row's mean and squares can be."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import floor

from lowbit.proof.span import Span


def total_of(contributions: Iterable[int], top: int, length: int) -> Span:
    """The sum over a row of what each code contributes, that of the maximum being ``top``."""
    listed = list(contributions)
    return Span(top + (length - 1) * min(listed), top + (length - 1) * max(listed))


def partial_sums(inputs: Span, length: int) -> Span:
    """Of a sum of codes while it is added up."""
    return Span(min(inputs.low, length * inputs.low), max(inputs.high, length * inputs.high))


def farthest_from_mean(inputs: Span, length: int, rounding: Fraction) -> int:
    """How far a code can be from the row's mean, that mean being off by ``rounding`` at most."""
    width = inputs.high - inputs.low
    return min(width, floor(Fraction((length - 1) * width, length) + rounding))


def most_squares(inputs: Span, length: int, rounding: Fraction) -> int:
    """The largest sum of squared distances from the mean: half of the codes at either end (Popoviciu's inequality)."""
    width, half = inputs.high - inputs.low, length // 2
    return floor(Fraction(width**2 * half * (length - half), length) + length * rounding**2)


def largest_product(
    exponentials: Iterable[int], top: int, length: int, numerator: int, clamp: int | None = None
) -> int:
    """The largest ``e * (numerator // sum)`` with e in the sum: the smallest sum that holds e and the maximum's."""
    listed = set(exponentials)
    least = min(listed)
    largest = 0
    for value in listed:
        total = value + (top if value != top else least if length > 1 else 0) + max(0, length - 2) * least
        largest = max(largest, value * (numerator // (total if clamp is None else min(total, clamp))))
    return largest
