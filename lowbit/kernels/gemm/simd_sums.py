"""Sums over k of either operand, in the words that the dot-product instructions read.

Zero points and flipped bytes cost a sum of each row: sum (a - p) (b - q) = sum a b - q sum a - p sum b + k p q.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils

from lowbit.kernels.gemm.simd_dot import (
    BYTES_LEFT_UNSIGNED,
    BYTES_RIGHT_UNSIGNED,
    WORDS_AVX2,
    WORDS_PORTABLE,
    WORDS_VNNI,
    Dot,
)
from lowbit.kernels.gemm.simd_pack import low_bits
from lowbit.kernels.lib.llvm import INT32, int64, lane_mask, load, masked_load, outlined, pointer, total


def _ones(dot: Dot) -> Any:
    return ir.Constant(dot.vector, [dot.ones] * dot.lanes)


def _zeros(dot: Dot) -> Any:
    return ir.Constant(dot.vector, [0] * dot.lanes)


def _emit_row_sum(dot: Dot) -> Any:
    """Store the int32 sum of a row whose words lie one after the other: whole registers, the rest under a mask."""

    def emit(builder: Any, source: Any, groups: Any, target: Any) -> None:
        sums = cgutils.alloca_once_value(builder, _zeros(dot))
        whole = builder.sdiv(groups, int64(dot.lanes))
        with cgutils.for_range(builder, whole) as loop:
            at = builder.add(source, builder.mul(loop.index, int64(dot.vector_bytes)))
            value = load(builder, at, dot.vector)
            builder.store(dot.multiply(builder, builder.load(sums), value, _ones(dot)), sums)
        at = builder.add(source, builder.mul(whole, int64(dot.vector_bytes)))
        rest = low_bits(builder, builder.srem(groups, int64(dot.lanes)), dot.lanes)
        value = masked_load(builder, at, dot.vector, lane_mask(builder, rest, dot.lanes))
        lanes = dot.multiply(builder, builder.load(sums), value, _ones(dot))
        builder.store(total(builder, lanes), pointer(builder, target, INT32), align=4)

    return emit


def _emit_lane_sums(dot: Dot, right: bool) -> Any:
    """Store an int32 sum for each lane of a register; the groups are ``step`` bytes apart."""

    def emit(builder: Any, source: Any, step: Any, groups: Any, target: Any) -> None:
        sums = cgutils.alloca_once_value(builder, _zeros(dot))
        with cgutils.for_range(builder, groups) as loop:
            value = load(builder, builder.add(source, builder.mul(loop.index, step)), dot.vector)
            operands = (_ones(dot), value) if right else (value, _ones(dot))
            builder.store(dot.multiply(builder, builder.load(sums), *operands), sums)
        builder.store(builder.load(sums), pointer(builder, target, dot.vector), align=4)

    return emit


def _sums(dot: Dot) -> tuple[Any, Any, Any]:
    """Of a row of the left operand, of lanes of the left operand, of lanes of the right one."""
    return (
        outlined(f"row_sum_{dot.name}", _emit_row_sum(dot)),
        outlined(f"lane_sums_{dot.name}_0", _emit_lane_sums(dot, right=False)),
        outlined(f"lane_sums_{dot.name}_1", _emit_lane_sums(dot, right=True)),
    )


SUMS_RIGHT_UNSIGNED = _sums(BYTES_RIGHT_UNSIGNED)
SUMS_LEFT_UNSIGNED = _sums(BYTES_LEFT_UNSIGNED)
SUMS_WORDS = _sums(WORDS_VNNI)
SUMS_WORDS_AVX2 = _sums(WORDS_AVX2)
SUMS_WORDS_PORTABLE = _sums(WORDS_PORTABLE)
