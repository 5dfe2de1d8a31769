"""Which of two scales of a block has the smaller error, in steps of binary32: an exception to the int64 rule.

What a scale makes of the boundaries between the elements is that of ``fast_boundaries.py``. Sixteen numbers at a time
take, in vector registers, what the magnitude is worth that they are rounded to. The errors of a block are added in the
order of its elements, as the policy says.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.block.fast_boundaries import BOUNDARIES, STRIP, words_of_products, words_of_quotients
from lowbit.kernels.block.simd_products import NUMBERS
from lowbit.kernels.block.simd_reached import LANES, MAGNITUDE, ROW, WORDS
from lowbit.kernels.lib.llvm import broadcast
from lowbit.kernels.lib.vectors import DOUBLE, at, data_of

NOTHING = np.float32(0)


@intrinsic
def errors_of_sixteen(
    typing_context: Any, bits: Any, start: Any, words: Any, worths: Any, row: Any, squared: Any, out: Any
) -> Any:
    """How far sixteen numbers from ``start`` on are from what they become, or the squares of that, into ``out``.

    The words of their scale and what its magnitudes are worth begin at ``row``.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        source, table, values, target = (
            data_of(context, builder, signature.args[k], arguments[k]) for k in (0, 2, 3, 6)
        )

        def entry(pointer: Any, place: int) -> Any:
            return builder.load(builder.gep(pointer, [builder.add(arguments[4], ir.IntType(64)(place))]))

        word = builder.load(at(builder, source, arguments[1], WORDS))
        word.align = 1
        magnitude = builder.and_(word, broadcast(builder, DOUBLE(MAGNITUDE), WORDS))
        worth = broadcast(builder, entry(values, 0), NUMBERS)
        for place in range(BOUNDARIES):
            reached = builder.icmp_signed(">=", magnitude, broadcast(builder, entry(table, place), WORDS))
            worth = builder.select(reached, broadcast(builder, entry(values, place + 1), NUMBERS), worth)
        off = builder.fsub(worth, builder.bitcast(magnitude, NUMBERS))
        positive = builder.bitcast(
            builder.and_(builder.bitcast(off, WORDS), broadcast(builder, DOUBLE(MAGNITUDE), WORDS)), NUMBERS
        )
        off = builder.select(builder.trunc(arguments[5], ir.IntType(1)), builder.fmul(off, off), positive)
        builder.store(off, at(builder, target, ir.IntType(64)(0), NUMBERS)).align = 1
        return context.get_dummy_value()

    return types.none(bits, start, words, worths, row, squared, out), generate


@scalar
def worths_in_rows(rows, values, scales, amax, maximum):
    """What each magnitude is worth in some blocks: ``(value * scale * amax) / maximum``, every step in binary32."""
    for place in range(ROW):
        for block in range(scales.size):
            scaled = np.float32(np.float32(values[place] * scales[block]) * amax)
            rows[block * ROW + place] = np.float32(scaled / maximum)


def of_steps(behind):
    """The kernel; ``bits`` are flat, and the length of a block is a multiple of 16."""

    @kernel
    def compare(bits, length, numbers, scales, boundaries, beyond, values, amax, maximum, squared, taken):
        by_boundary = np.empty((BOUNDARIES, STRIP), np.int32)
        words, worths = np.empty(STRIP * ROW, np.int32), np.empty(STRIP * ROW, np.float32)
        errors, totals = np.empty(LANES, np.float32), np.empty((2, STRIP), np.float32)
        for strip in range(0, taken.size, STRIP):
            last = min(strip + STRIP, taken.size)
            for candidate in range(2):
                behind(by_boundary, numbers[candidate, strip:last], boundaries, beyond)
                for block in range(last - strip):
                    for place in range(BOUNDARIES):
                        words[block * ROW + place] = by_boundary[place, block]
                worths_in_rows(worths, values, scales[candidate, strip:last], amax, maximum)
                for block in range(last - strip):
                    total, begin = NOTHING, (strip + block) * length
                    for start in range(begin, begin + length, LANES):
                        errors_of_sixteen(bits, start, words, worths, block * ROW, squared, errors)
                        for i in range(LANES):
                            total = np.float32(total + errors[i])
                    totals[candidate, block] = total
            for block in range(last - strip):
                taken[strip + block] = totals[1, block] < totals[0, block]

    return compare


compare_quotients, compare_products = of_steps(words_of_quotients), of_steps(words_of_products)
