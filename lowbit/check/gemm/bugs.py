"""Bugs of matrix kernels that are not an accumulator: each acts like the right product of other matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowbit.check.operation import Bug
from lowbit.vectors.gemm.values import Operands

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


def _same(problem: Problem) -> Problem:
    return problem


def _as_it_is(problem: Problem, results: Matrix) -> Matrix:
    del problem
    return results


@dataclass(frozen=True)
class GemmBug(Bug):
    """A bug, as other inputs, other results, or both."""

    rewrite: Rewrite = _same  # the problem that the kernel solves instead
    finish: Finish = _as_it_is  # (problem, its right results) -> what comes out
    any_accumulator: bool = True  # whether the bug may come on top of any accumulator; else it stands for one


DISTANCES = (2, 4, 8, 16, 32)
PACKED = (4, 8, 2)
MOST_PACKED_BITS = 4
TAILS = (2, 4, 8, 16, 32, 64, 128)
FINAL_WIDTHS = (16, 8, 24, 32, *(width for width in range(9, 32) if width % 8))


def gemm_bugs(operands: Operands) -> Iterator[GemmBug]:
    """Every bug that these operands can have, the likeliest first."""
    yield from _layout_bugs()
    yield from _tail_bugs()
    yield from _sign_bugs(operands)
    if operands.zero_points:
        yield from _zero_point_bugs(operands)
    yield from _packing_bugs(operands)
    yield from _pair_bugs()
    yield from _result_bugs()


def _layout_bugs() -> Iterator[GemmBug]:
    yield GemmBug(
        "b_transposed", "takes b for transposed: n rows of k", lambda p: p.with_matrices(p.a, _transposed(p.b))
    )
    yield GemmBug(
        "a_transposed", "takes a for transposed: k rows of m", lambda p: p.with_matrices(_transposed(p.a), p.b)
    )
    yield GemmBug(
        "both_transposed",
        "takes both operands for transposed",
        lambda p: p.with_matrices(_transposed(p.a), _transposed(p.b)),
    )
    yield GemmBug("result_transposed", "writes the result transposed", _same, lambda _, c: _transposed_result(c))
    yield GemmBug(
        "a_stride",
        "steps from row to row of a by k - 1 instead of k",
        lambda p: p.with_matrices(_narrow_stride(p.a), p.b),
    )
    yield GemmBug(
        "b_stride",
        "steps from row to row of b by n - 1 instead of n",
        lambda p: p.with_matrices(p.a, _narrow_stride(p.b)),
    )


def _tail_bugs() -> Iterator[GemmBug]:
    for step in TAILS:
        yield GemmBug(
            f"k_tail_{step}",
            f"drops the tail of k: only whole groups of {step} products are added",
            lambda p, step=step: _shortened(p, 0, p.length - p.length % step),  # type: ignore[misc]
        )
    yield GemmBug("last_product", "drops the last product of each sum", lambda p: _shortened(p, 0, p.length - 1))
    yield GemmBug("first_product", "drops the first product of each sum", lambda p: _shortened(p, 1, p.length))


def _sign_bugs(operands: Operands) -> Iterator[GemmBug]:
    a, b = operands.a, operands.b
    for name, a_bits, b_bits in (("a", a.bits, 0), ("b", 0, b.bits), ("both", a.bits, b.bits)):
        kinds = {fmt.signed for fmt, bits in ((a, a_bits), (b, b_bits)) if bits}
        other = " and ".join("unsigned" if signed else "signed" for signed in sorted(kinds))
        what = "both operands" if name == "both" else name
        yield GemmBug(
            f"{name}_signedness",
            f"takes {what} for {other}",
            lambda p, a_bits=a_bits, b_bits=b_bits: p.with_matrices(  # type: ignore[misc]
                _other_sign(p.a, a_bits, signed=a.signed), _other_sign(p.b, b_bits, signed=b.signed)
            ),
        )


def _zero_point_bugs(operands: Operands) -> Iterator[GemmBug]:
    yield GemmBug("a_zero_ignored", "ignores the zero point of a", lambda p: p.with_zero_points(0, p.b_zero))
    yield GemmBug("b_zero_ignored", "ignores the zero point of b", lambda p: p.with_zero_points(p.a_zero, 0))
    yield GemmBug("zeros_ignored", "ignores both zero points", lambda p: p.with_zero_points(0, 0))
    yield GemmBug("zeros_swapped", "swaps the zero points", lambda p: p.with_zero_points(p.b_zero, p.a_zero))
    yield GemmBug(
        "a_zero_added",
        "adds the zero point of a instead of subtracting it",
        lambda p: p.with_zero_points(-p.a_zero, p.b_zero),
    )
    yield GemmBug(
        "b_zero_added",
        "adds the zero point of b instead of subtracting it",
        lambda p: p.with_zero_points(p.a_zero, -p.b_zero),
    )
    yield GemmBug(
        "zeros_added",
        "adds both zero points instead of subtracting them",
        lambda p: p.with_zero_points(-p.a_zero, -p.b_zero),
    )
    yield GemmBug(
        "zero_product",
        "forgets the product of the zero points, k * a_zero_point * b_zero_point",
        _same,
        lambda p, c: c - p.length * p.a_zero * p.b_zero,
    )
    for name, bits in (("a", operands.a.bits), ("b", operands.b.bits)):
        for how, cut in (("wraps", _wrapped), ("saturates", _saturated)):
            yield GemmBug(
                f"{name}_zero_{how}",
                f"{how} {name} less its zero point to {bits} bits",
                lambda p, name=name, bits=bits, cut=cut: _cut_operand(p, name, bits, cut),  # type: ignore[misc]
            )


def _pair_bugs() -> Iterator[GemmBug]:
    for distance in DISTANCES:
        for how, cut in (("wraps", _wrapped), ("saturates", _saturated)):
            yield GemmBug(
                f"pairs_{distance}_{how}",
                f"{how} the sum of the products k and k + {distance} to 16 bits, in blocks of {2 * distance}",
                _same,
                lambda p, _, distance=distance, cut=cut: _distant_pairs(p, distance, cut),  # type: ignore[misc]
                any_accumulator=False,
            )


def _packing_bugs(operands: Operands) -> Iterator[GemmBug]:
    """Several codes in a word, unpacked by one subtraction."""
    places = (("a", 1, operands.a), ("b", 0, operands.b), ("b", 1, operands.b))
    for group in PACKED:
        for name, axis, fmt in places:
            if fmt.bits <= MOST_PACKED_BITS and fmt.signed:
                yield GemmBug(
                    f"{name}_borrows_{axis}_{group}",
                    f"unpacks {group} codes of {name} by one subtraction, so that a negative one borrows from the next",
                    lambda p, name=name, axis=axis, fmt=fmt, group=group: p.with_matrices(  # type: ignore[misc]
                        _borrowing(p.a, axis, group, fmt.bits) if name == "a" else p.a,
                        _borrowing(p.b, axis, group, fmt.bits) if name == "b" else p.b,
                    ),
                )


def _result_bugs() -> Iterator[GemmBug]:
    for width in FINAL_WIDTHS:
        yield GemmBug(
            f"result_saturates_{width}",
            f"saturates the finished sum to {width} bits",
            _same,
            lambda _, c, width=width: _saturated(c, width),  # type: ignore[misc]
        )
    yield GemmBug(
        "binary32_sum",
        "accumulates in binary32 (float), one product after another",
        _same,
        _binary32_sum,
        any_accumulator=False,
    )
    for how, large in (("saturates", (1 << 31) - 1), ("lowest", -(1 << 31))):
        yield GemmBug(
            f"binary32_sum_{how}",
            "accumulates in binary32 (float), one product after another",
            _same,
            lambda p, c, large=large: _within_int32(_binary32_sum(p, c), large),  # type: ignore[misc]
            any_accumulator=False,
        )
    yield GemmBug(
        "binary32_result",
        "rounds the finished sum to binary32 (float)",
        _same,
        lambda p, _: p.exact().astype(np.float32).astype(np.int64),
        any_accumulator=False,
    )


def _transposed(matrix: Matrix) -> Matrix:
    """The memory of a matrix, read as that of its transpose."""
    rows, columns = matrix.shape
    return np.ascontiguousarray(matrix).reshape(columns, rows).T


def _transposed_result(results: Matrix) -> Matrix:
    return np.ascontiguousarray(results.T).reshape(results.shape)


def _narrow_stride(matrix: Matrix) -> Matrix:
    rows, columns = matrix.shape
    places = np.arange(rows)[:, None] * (columns - 1) + np.arange(columns)
    return np.asarray(np.ascontiguousarray(matrix).reshape(-1)[places])


def _shortened(problem: Problem, first: int, last: int) -> Problem:
    return problem.with_matrices(problem.a[:, first:last], problem.b[first:last])


def _other_sign(matrix: Matrix, bits: int, *, signed: bool) -> Matrix:
    """The codes with their top bit read the other way; unchanged where ``bits`` is 0."""
    if not bits:
        return matrix
    return matrix & ((1 << bits) - 1) if signed else _wrapped(matrix, bits)


def _wrapped(values: Matrix, bits: int) -> Matrix:
    half = 1 << (bits - 1)
    return ((values + half) & ((1 << bits) - 1)) - half


def _saturated(values: Matrix, bits: int) -> Matrix:
    half = 1 << (bits - 1)
    return np.clip(values, -half, half - 1)


def _cut_operand(problem: Problem, name: str, bits: int, cut: Callable[[Matrix, int], Matrix]) -> Problem:
    if name == "a":
        return Problem(cut(problem.a - problem.a_zero, bits), problem.b, 0, problem.b_zero)
    return Problem(problem.a, cut(problem.b - problem.b_zero, bits), problem.a_zero, 0)


def _binary32_sum(problem: Problem, results: Matrix) -> Matrix:
    """The sum in binary32 in the order of k; products of two 8-bit codes are exact in it."""
    del results
    a, b = (problem.a - problem.a_zero).astype(np.float32), (problem.b - problem.b_zero).astype(np.float32)
    products = a[:, :, None] * b[None, :, :]
    return np.add.accumulate(products, axis=1)[:, -1, :].astype(np.int64)


def _within_int32(sums: Matrix, large: int) -> Matrix:
    """Sums as they become int32: what is too large for it becomes one number, what is too low the lowest."""
    return np.where(sums >= 1 << 31, large, np.maximum(sums, -(1 << 31)))


def _distant_pairs(problem: Problem, distance: int, cut: Callable[[Matrix, int], Matrix]) -> Matrix:
    a, b = problem.a - problem.a_zero, problem.b - problem.b_zero
    missing = -problem.length % (2 * distance)
    left = np.pad(a, ((0, 0), (0, missing))).reshape(len(a), -1, 2, distance)
    right = np.pad(b, ((0, missing), (0, 0))).reshape(-1, 2, distance, b.shape[1])
    results = np.zeros(problem.shape, np.int64)
    for block in range(left.shape[1]):
        pairs = np.einsum("mpd,pdn->mdn", left[:, block], right[block])
        results += cut(pairs, 16).sum(axis=1)
    return results


def _borrowing(matrix: Matrix, axis: int, group: int, bits: int) -> Matrix:
    """Codes of which each group along an axis is one number less the offsets of all."""
    moved = np.moveaxis(matrix, axis, 0).copy()
    borrow = np.zeros_like(moved[::group])
    for place in range(min(group, len(moved))):
        part = moved[place::group]
        less = part - borrow[: len(part)]
        moved[place::group], borrow = _wrapped(less, bits), (less < 0).astype(np.int64)
    return np.moveaxis(moved, 0, axis)
