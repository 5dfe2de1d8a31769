"""A matrix product to be solved, and what a bug makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowbit.check.operation import Bug

Matrix = NDArray[np.int64]


@dataclass(frozen=True)
class Problem:
    """A product of two matrices of codes with zero points, everything as int64."""

    a: Matrix
    b: Matrix
    a_zero: int = 0
    b_zero: int = 0

    @property
    def shape(self) -> tuple[int, int]:
        """Of the result."""
        return self.a.shape[0], self.b.shape[1]

    @property
    def length(self) -> int:
        """Products in a result."""
        return int(self.a.shape[1])

    def with_matrices(self, a: Matrix, b: Matrix) -> Problem:
        """Other matrices with the same zero points."""
        return Problem(a, b, self.a_zero, self.b_zero)

    def with_zero_points(self, a_zero: int, b_zero: int) -> Problem:
        """The same matrices with other zero points."""
        return Problem(self.a, self.b, a_zero, b_zero)

    def exact(self) -> Matrix:
        """The product without any overflow."""
        return (self.a - self.a_zero) @ (self.b - self.b_zero)


Rewrite = Callable[[Problem], Problem]
Finish = Callable[[Problem, Matrix], Matrix]


def same(problem: Problem) -> Problem:
    """The problem that the kernel was given."""
    return problem


def as_it_is(problem: Problem, results: Matrix) -> Matrix:
    """The results that the problem has."""
    del problem
    return results


@dataclass(frozen=True)
class GemmBug(Bug):
    """A bug, as other inputs, other results, or both."""

    rewrite: Rewrite = same  # the problem that the kernel solves instead
    finish: Finish = as_it_is  # (problem, its right results) -> what comes out
    any_accumulator: bool = True  # whether the bug may come on top of any accumulator; else it stands for one


def wrapped(values: Matrix, bits: int) -> Matrix:
    """Values modulo so many bits, signed."""
    unused = np.int64(64 - bits)
    return (values << unused) >> unused


def saturated(values: Matrix, bits: int) -> Matrix:
    """Values, or the ends of so many bits."""
    half = 1 << (bits - 1)
    return np.clip(values, -half, half - 1)
