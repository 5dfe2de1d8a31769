"""Exact integer matrix products in 64 bits, out of products modulo 2**32 that cannot wrap."""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.ops.gemm.paths import NOTHING, Right, Terms, run_threads
from lowbit.ops.types import Array

BYTE_DEPTH = 1 << 15
"""Products of 8-bit codes in a sum that stays below 2**31: each is below 2**16."""

WORD_DEPTH = 1 << 8
"""Products of an int16 and a byte in a sum that stays below 2**31: each is at most 2**15 * 255."""

_NO_TERMS = Terms(0, 0, NOTHING)


def multiply_wide(c: Array, a: Array, right: Right, sums: Array | None, call: Any) -> None:
    """One product into int64 numbers; ``call`` has zero points, bias, path and threads."""
    if right.packed:
        raise InputError(
            "a prepacked b is for int32, and cannot be taken in the pieces that int64 needs",
            hint="pass b itself, or accumulator='int32'",
        )
    from lowbit.kernels.gemm.gemm import add_wide

    c[...] = call.bias if call.bias.size else 0
    k, b = a.shape[1], right.array
    narrow = np.empty(c.shape, dtype=np.int32)
    for part_a, part_b, depth, shift in _pieces(a, b):
        signed_a = part_a.dtype.kind == "i"
        for start in range(0, k, depth):
            piece = Right(part_b[start : start + depth], part_b.dtype.kind == "i")
            run_threads(narrow, part_a[:, start : start + depth], signed_a, piece, _NO_TERMS, call.path, call.threads)
            add_wide(c, narrow, shift)
    (a_zero, a_each), (b_zero, b_each) = call.zeros
    a_points = np.int64(a_zero) if a_each is None else a_each[:, None]
    b_points = np.int64(b_zero) if b_each is None else b_each[None, :]
    if np.any(a_points):
        columns = b.sum(axis=0, dtype=np.int64) if sums is None else sums
        c -= a_points * columns[None, :]
    if np.any(b_points):
        c -= (a.sum(axis=1, dtype=np.int64)[:, None] - k * a_points) * b_points


def _pieces(a: Array, b: Array) -> list[tuple[Array, Array, int, int]]:
    """Operands whose products add up to the whole: left, right, how much of k at a time, by what it is shifted.

    A 16-bit b is 256 times its signed high byte plus its unsigned low byte.
    """
    if a.itemsize == b.itemsize == 1:
        return [(a, b, BYTE_DEPTH, 0)]
    if b.itemsize == 1:
        return [(a, b, WORD_DEPTH, 0)]
    return [(a, b >> 8, WORD_DEPTH, 8), (a, b & 255, WORD_DEPTH, 0)]
