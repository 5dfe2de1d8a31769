"""Bugs of the results of matrix kernels, and of sums that no accumulator of integers makes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from lowbit.check.gemm.problem import Finish, GemmBug, Matrix, Problem, saturated, wrapped

FINAL_WIDTHS = (16, 8, 24, 32, *(width for width in range(9, 32) if width % 8))
GROUPS = (2, 4, 8, 16, 32)


def result_bugs() -> Iterator[GemmBug]:
    """The likeliest first."""
    for width in FINAL_WIDTHS:
        yield GemmBug(
            f"result_saturates_{width}",
            f"saturates the finished sum to {width} bits",
            finish=lambda _, c, width=width: saturated(c, width),  # type: ignore[misc]
        )
    yield GemmBug(
        "binary32_sum",
        "accumulates in binary32 (float), one product after another",
        finish=_binary32_sum,
        any_accumulator=False,
    )
    for how, large in (("saturates", (1 << 31) - 1), ("lowest", -(1 << 31))):
        yield GemmBug(
            f"binary32_sum_{how}",
            "accumulates in binary32 (float), one product after another",
            finish=lambda p, c, large=large: _within_int32(_binary32_sum(p, c), large),  # type: ignore[misc]
            any_accumulator=False,
        )
    yield GemmBug(
        "binary32_result",
        "rounds the finished sum to binary32 (float)",
        finish=lambda p, _: p.exact().astype(np.float32).astype(np.int64),
        any_accumulator=False,
    )
    yield from _rounded_bugs()
    yield from _product_bugs()
    yield from _place_bugs()
    yield GemmBug("negated", "negates every result", finish=lambda _, c: -c)
    yield GemmBug("magnitude", "loses the sign of every result", finish=lambda _, c: np.abs(c))
    for bits in (16, 8):
        yield GemmBug(
            f"unsigned_{bits}",
            f"gives the low {bits} bits of each result without their sign",
            finish=lambda _, c, bits=bits: c & ((1 << bits) - 1),  # type: ignore[misc]
        )


def _rounded_bugs() -> Iterator[GemmBug]:
    """Sums in binary16, and results in the float formats of fewer bits."""
    yield GemmBug(
        "binary16_sum",
        "accumulates in binary16 (half), one product after another",
        finish=lambda p, _: _binary16_sum(p),
        any_accumulator=False,
    )
    yield GemmBug(
        "bfloat16_result",
        "rounds the finished sum to bfloat16",
        finish=lambda _, c: _in_bfloat16(c),
        any_accumulator=False,
    )


def _product_bugs() -> Iterator[GemmBug]:
    for bits in (16, 8):
        for how, cut in (("wraps", wrapped), ("saturates", saturated)):
            yield GemmBug(
                f"product_{bits}_{how}",
                f"{how} each product to {bits} bits",
                finish=lambda p, _, bits=bits, cut=cut: _cut_products(p, bits, cut),  # type: ignore[misc]
                any_accumulator=False,
            )


def _place_bugs() -> Iterator[GemmBug]:
    """Results that are not written, or in each other's place."""
    for group in GROUPS:
        words = f"gives 0 for the {{}} after the last whole group of {group}"
        yield GemmBug(f"rows_unfinished_{group}", words.format("rows"), finish=_unfinished(0, group))
        yield GemmBug(f"columns_unfinished_{group}", words.format("columns"), finish=_unfinished(1, group))
    yield GemmBug("rows_swapped", "swaps the rows of each pair", finish=_swapped(0))
    yield GemmBug("columns_swapped", "swaps the columns of each pair", finish=_swapped(1))
    yield GemmBug("last_row", "gives 0 for the last row", finish=lambda _, c: _cleared(c, 0, c.shape[0] - 1))
    yield GemmBug("last_column", "gives 0 for the last column", finish=lambda _, c: _cleared(c, 1, c.shape[1] - 1))


def _unfinished(axis: int, group: int) -> Finish:
    return lambda _, c: _cleared(c, axis, c.shape[axis] // group * group)


def _cleared(results: Matrix, axis: int, first: int) -> Matrix:
    kept = results.copy()
    np.moveaxis(kept, axis, 0)[first:] = 0
    return kept


def _swapped(axis: int) -> Finish:
    def finish(problem: Problem, results: Matrix) -> Matrix:
        del problem
        places = np.arange(results.shape[axis])
        return np.asarray(np.take(results, np.minimum(places ^ 1, places[-1]), axis))

    return finish


def _cut_products(problem: Problem, bits: int, cut: Callable[[Matrix, int], Matrix]) -> Matrix:
    a, b = problem.a - problem.a_zero, problem.b - problem.b_zero
    results = np.zeros(problem.shape, np.int64)
    for left, right in zip(a.T, b, strict=True):
        results += cut(np.outer(left, right), bits)
    return results


def _binary16_sum(problem: Problem) -> Matrix:
    """As ``_binary32_sum``, with products that are rounded, too; a result that is not a number has no integer."""
    a, b = problem.a - problem.a_zero, problem.b - problem.b_zero
    sums = np.zeros(problem.shape, np.float16)
    with np.errstate(all="ignore"):
        for left, right in zip(a.T, b, strict=True):
            sums = sums + np.outer(left, right).astype(np.float16)
    largest = float(np.finfo(np.float16).max)
    return np.nan_to_num(sums.astype(np.float64), nan=0.0, posinf=largest, neginf=-largest).astype(np.int64)


def _in_bfloat16(results: Matrix) -> Matrix:
    """To nearest, ties to even; sums of 24 bits and more are rounded to binary32 first, as they are in a kernel."""
    bits = results.astype(np.float32).view(np.uint32).astype(np.int64)
    even = (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000
    return even.astype(np.uint32).view(np.float32).astype(np.int64)


def _binary32_sum(problem: Problem, results: Matrix) -> Matrix:
    """The sum in binary32 in the order of k; products of two 8-bit codes are exact in it."""
    del results
    a, b = (problem.a - problem.a_zero).astype(np.float32), (problem.b - problem.b_zero).astype(np.float32)
    products = a[:, :, None] * b[None, :, :]
    return np.add.accumulate(products, axis=1)[:, -1, :].astype(np.int64)


def _within_int32(sums: Matrix, large: int) -> Matrix:
    """Sums as they become int32: what is too large for it becomes one number, what is too low the lowest."""
    return np.where(sums >= 1 << 31, large, np.maximum(sums, -(1 << 31)))
