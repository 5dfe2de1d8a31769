"""Bugs of matrix kernels that are not an accumulator: each acts like the right product of other matrices."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from lowbit.check.gemm.problem import GemmBug, Matrix, Problem, saturated, wrapped
from lowbit.check.gemm.result_bugs import result_bugs
from lowbit.check.transposed import read_transposed, written_transposed
from lowbit.vectors.gemm.values import Operands

DISTANCES = (2, 4, 8, 16, 32)
PACKED = (4, 8, 2)
MOST_PACKED_BITS = 4
TAILS = (2, 4, 8, 16, 32, 64, 128)


def gemm_bugs(operands: Operands) -> Iterator[GemmBug]:
    """Every bug that these operands can have, the likeliest first."""
    yield from _layout_bugs()
    yield from _tail_bugs()
    yield from _sign_bugs(operands)
    yield from _operand_bugs(operands)
    yield from _offset_bugs(operands)
    if operands.zero_points:
        yield from _zero_point_bugs(operands)
    yield from _packing_bugs(operands)
    yield from _pair_bugs()
    yield from result_bugs()


def _layout_bugs() -> Iterator[GemmBug]:
    yield GemmBug(
        "b_transposed", "takes b for transposed: n rows of k", lambda p: p.with_matrices(p.a, read_transposed(p.b))
    )
    yield GemmBug(
        "a_transposed", "takes a for transposed: k rows of m", lambda p: p.with_matrices(read_transposed(p.a), p.b)
    )
    yield GemmBug(
        "both_transposed",
        "takes both operands for transposed",
        lambda p: p.with_matrices(read_transposed(p.a), read_transposed(p.b)),
    )
    yield GemmBug("result_transposed", "writes the result transposed", finish=lambda _, c: written_transposed(c))
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
    for name, first in (("first", 0), ("last", -1)):
        yield GemmBug(
            f"{name}_product_twice",
            f"counts the {name} product of each sum twice",
            lambda p, first=first: _with_again(p, [first] * (p.length > 0)),  # type: ignore[misc]
        )
    for step in TAILS:
        yield GemmBug(
            f"k_tail_{step}_twice",
            f"counts products twice where the last {step} of a sum overlap the whole groups before them",
            lambda p, step=step: _with_again(p, _overlapped(p.length, step)),  # type: ignore[misc]
        )


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


def _operand_bugs(operands: Operands) -> Iterator[GemmBug]:
    """Operands that lose something."""
    kinds: tuple[tuple[str, str, Callable[[Matrix, int], Matrix]], ...] = (
        ("magnitude", "takes the magnitudes of {}", lambda matrix, _: np.abs(matrix)),
        ("narrow", "never takes the lowest code of {} (a narrow range, as -127 to 127)", np.maximum),
    )
    lows = operands.a.min_code + operands.a.signed, operands.b.min_code + operands.b.signed
    for name, words, change in kinds:
        for what, places in (("a", (0,)), ("b", (1,)), ("both operands", (0, 1))):

            def rewrite(p: Problem, places: tuple[int, ...] = places, change: Any = change) -> Problem:
                a, b = (change(m, lows[i]) if i in places else m for i, m in enumerate((p.a, p.b)))
                return p.with_matrices(a, b)

            yield GemmBug(f"{what.split()[0]}_{name}", words.format(what), rewrite)


def _offset_bugs(operands: Operands) -> Iterator[GemmBug]:
    """Codes that are moved between signed and unsigned ones, as for an instruction that takes the others."""
    for name, fmt in (("a", operands.a), ("b", operands.b)):
        half = 1 << (fmt.bits - 1)
        for offset in (half, -half):
            done = f"adds {half} to" if offset > 0 else f"subtracts {half} from"
            yield GemmBug(
                f"{name}_moved_{'up' if offset > 0 else 'down'}",
                f"{done} the codes of {name}, and does not make up for it in the sums",
                lambda p, name=name, offset=offset: p.with_matrices(  # type: ignore[misc]
                    p.a + offset * (name == "a"), p.b + offset * (name == "b")
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
        finish=lambda p, c: c - p.length * p.a_zero * p.b_zero,
    )
    yield GemmBug(
        "zero_product_sign",
        "subtracts the product of the zero points, k * a_zero_point * b_zero_point, instead of adding it",
        finish=lambda p, c: c - 2 * p.length * p.a_zero * p.b_zero,
    )
    for name, other, zeros in (("a", "b", (0, 1)), ("b", "a", (1, 0))):
        yield GemmBug(
            f"{name}_zero_uncorrected",
            f"forgets to subtract the zero point of {name} times the sums of {other}",
            lambda p, zeros=zeros: p.with_zero_points(p.a_zero * zeros[0], p.b_zero * zeros[1]),  # type: ignore[misc]
            lambda p, c: c + p.length * p.a_zero * p.b_zero,
        )
        yield GemmBug(
            f"{name}_zero_twice",
            f"subtracts the zero point of {name} twice",
            lambda p, zeros=zeros: p.with_zero_points(p.a_zero * (2 - zeros[0]), p.b_zero * (2 - zeros[1])),  # type: ignore[misc]
        )
    for name, bits in (("a", operands.a.bits), ("b", operands.b.bits)):
        for how, cut in (("wraps", wrapped), ("saturates", saturated)):
            yield GemmBug(
                f"{name}_zero_{how}",
                f"{how} {name} less its zero point to {bits} bits",
                lambda p, name=name, bits=bits, cut=cut: _cut_operand(p, name, bits, cut),  # type: ignore[misc]
            )


def _pair_bugs() -> Iterator[GemmBug]:
    for distance in DISTANCES:
        for how, cut in (("wraps", wrapped), ("saturates", saturated)):
            yield GemmBug(
                f"pairs_{distance}_{how}",
                f"{how} the sum of the products k and k + {distance} to 16 bits, in blocks of {2 * distance}",
                finish=lambda p, _, distance=distance, cut=cut: _distant_pairs(p, distance, cut),  # type: ignore[misc]
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


def _narrow_stride(matrix: Matrix) -> Matrix:
    rows, columns = matrix.shape
    places = np.arange(rows)[:, None] * (columns - 1) + np.arange(columns)
    return np.asarray(np.ascontiguousarray(matrix).reshape(-1)[places])


def _shortened(problem: Problem, first: int, last: int) -> Problem:
    return problem.with_matrices(problem.a[:, first:last], problem.b[first:last])


def _with_again(problem: Problem, places: Sequence[int]) -> Problem:
    """The problem with some of the products a second time."""
    places = list(places)
    again = np.hstack([problem.a, problem.a[:, places]]), np.vstack([problem.b, problem.b[places]])
    return problem.with_matrices(*again)


def _overlapped(length: int, step: int) -> range:
    """The products of whole groups that are also among the last ones of a sum, which has more than a group."""
    rest = length % step
    return range(length - step, length - rest) if rest and length > step else range(0)


def _other_sign(matrix: Matrix, bits: int, *, signed: bool) -> Matrix:
    """The codes with their top bit read the other way; unchanged where ``bits`` is 0."""
    if not bits:
        return matrix
    return matrix & ((1 << bits) - 1) if signed else wrapped(matrix, bits)


def _cut_operand(problem: Problem, name: str, bits: int, cut: Callable[[Matrix, int], Matrix]) -> Problem:
    if name == "a":
        return Problem(cut(problem.a - problem.a_zero, bits), problem.b, 0, problem.b_zero)
    return Problem(problem.a, cut(problem.b - problem.b_zero, bits), problem.a_zero, 0)


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
        moved[place::group], borrow = wrapped(less, bits), (less < 0).astype(np.int64)
    return np.moveaxis(moved, 0, axis)
