"""How many boundaries sixteen binary32 magnitudes reach, in vector registers: for blocks too short to be vectorised.

LLVM vectorises a loop over a block for several registers at once, which a block of 16 does not fill. The instructions
here are LLVM's own, for any processor; ``tests/agree`` proves them equal to the loop over other lengths.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.block.fast_boundaries import BOUNDARIES, words_behind
from lowbit.kernels.lib.llvm import broadcast
from lowbit.kernels.lib.vectors import BYTE, DOUBLE, at, data_of

LANES = 16
ROW = 8
"""The words of a scale: seven boundaries, and one that nothing reaches."""

WORDS, BYTES = ir.VectorType(DOUBLE, LANES), ir.VectorType(BYTE, LANES)
MAGNITUDE, SIGN_SHIFT = 0x7FFFFFFF, 31


@intrinsic
def encode_sixteen(typing_context: Any, bits: Any, start: Any, words: Any, row: Any, sign_bit: Any, out: Any) -> Any:
    """The codes of sixteen numbers from ``start`` on into ``out``; the words of their scale begin at ``row``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, table, target = (data_of(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 5))
        word = builder.load(at(builder, source, arguments[1], WORDS))
        word.align = 1
        magnitude = builder.and_(word, broadcast(builder, DOUBLE(MAGNITUDE), WORDS))
        count = ir.Constant(WORDS, None)
        for place in range(ROW - 1):
            boundary = builder.load(builder.gep(table, [builder.add(arguments[3], ir.IntType(64)(place))]))
            reached = builder.icmp_signed(">=", magnitude, broadcast(builder, boundary, WORDS))
            count = builder.sub(count, builder.sext(reached, WORDS))
        sign = builder.ashr(word, broadcast(builder, DOUBLE(SIGN_SHIFT), WORDS))
        code = builder.or_(count, builder.and_(sign, broadcast(builder, arguments[4], WORDS)))
        builder.store(builder.trunc(code, BYTES), at(builder, target, arguments[1], BYTES)).align = 1
        return context.get_dummy_value()

    return types.none(bits, start, words, row, sign_bit, out), generate


@kernel
def encode_coded(bits, length, scale_codes, totals, boundaries, beyond, sign_bit, codes):
    """The same as ``encode`` of ``fast_boundaries.py`` where few scales occur; ``totals`` are by their codes.

    ``bits`` and ``codes`` are flat, and the length of a block is a multiple of 16.
    """
    by_boundary = np.empty((BOUNDARIES, totals.size), np.int32)
    words_behind(by_boundary, totals, boundaries, beyond)
    words = np.empty(totals.size * ROW, np.int32)
    for scale in range(totals.size):
        for place in range(BOUNDARIES):
            words[scale * ROW + place] = by_boundary[place, scale]
    for block in range(scale_codes.size):
        row = np.int64(scale_codes[block]) * ROW
        for start in range(block * length, (block + 1) * length, LANES):
            encode_sixteen(bits, start, words, row, sign_bit, codes)
