"""The machine's limit of ``vpdpbusd``: as many as there are accumulators, over and over, without touching memory."""

# ruff: noqa: ARG001  (the signature is that which numba calls)

from __future__ import annotations

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels.gemm.simd_dot import BYTES_RIGHT_UNSIGNED

ACCUMULATORS = 24
"""Enough independent ones to hide the latency of any processor that has the instruction."""

PRODUCTS = ACCUMULATORS * 64


@intrinsic
def _rounds(typing_context, rounds, seed):
    """Run the instructions; the sum depends on all of them, so that none can be left out."""

    def generate(context, builder, signature, arguments):
        dot = BYTES_RIGHT_UNSIGNED
        first = builder.insert_element(
            ir.Constant(dot.vector, ir.Undefined), arguments[1], ir.Constant(ir.IntType(32), 0)
        )
        spread = builder.shuffle_vector(
            first, first, ir.Constant(ir.VectorType(ir.IntType(32), dot.lanes), [0] * dot.lanes)
        )
        sums = [cgutils.alloca_once_value(builder, spread) for _ in range(ACCUMULATORS)]
        with cgutils.for_range(builder, arguments[0]):
            for place in sums:
                builder.store(dot.multiply(builder, builder.load(place), spread, spread), place)
        total = spread
        for place in sums:
            total = builder.xor(total, builder.load(place))
        return builder.extract_element(total, ir.Constant(ir.IntType(32), 0))

    return types.int32(types.int64, types.int32), generate


@numba.njit(nogil=True)
def run(rounds, seed):
    """``rounds`` times ``PRODUCTS`` products."""
    return _rounds(rounds, numba.int32(seed))
