"""The two passes of a LayerNorm over 8- or 16-bit codes, as LLVM vectors of any processor.

``fast_norm.py`` holds the same functions as loops, and tests prove them equal. Written out because LLVM does not
vectorise the loops well: it widens them to 64 bits.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels.lib.llvm import broadcast, total
from lowbit.kernels.lib.vectors import (
    BYTE,
    DOUBLE,
    DOUBLES,
    LANES,
    QUAD,
    are_arrays,
    data_of,
    each_block,
    load,
    size_of,
    store,
)

QUADS = ir.VectorType(QUAD, LANES)


def _lanes(codes: Any) -> Any:
    return ir.VectorType(ir.IntType(codes.dtype.bitwidth), LANES)


@intrinsic
def sums(typing_context: Any, codes: Any) -> Any:
    """The sum of a row's codes and the sum of their squares.

    int8 rows of up to 2^17 codes, int16 rows whose sum fits 32 bits.
    """
    if not are_arrays(codes):
        return None
    result = types.UniTuple(types.int64, 2)  # type: ignore[attr-defined]  # numba re-exports it dynamically

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
        kind = _lanes(codes)
        squares_kind = DOUBLES if kind.element == BYTE else QUADS
        plain = cgutils.alloca_once_value(builder, ir.Constant(DOUBLES, None))
        squares = cgutils.alloca_once_value(builder, ir.Constant(squares_kind, None))

        def body(offset: Any, mask: Any) -> None:
            code = builder.sext(load(builder, data, offset, mask, kind), DOUBLES)
            builder.store(builder.add(builder.load(plain), code), plain)
            square = builder.mul(code, code)
            if squares_kind != DOUBLES:
                square = builder.zext(square, squares_kind)
            builder.store(builder.add(builder.load(squares), square), squares)

        each_block(builder, size, body)
        first = builder.sext(total(builder, builder.load(plain)), QUAD)
        second = total(builder, builder.load(squares))
        if squares_kind == DOUBLES:
            second = builder.zext(second, QUAD)
        return context.make_tuple(builder, result, [first, second])

    return result(codes), generate


@intrinsic
def write_centred(typing_context: Any, codes: Any, mean: Any, factor: Any, shift: Any, bias: Any, out: Any) -> Any:
    """``((codes - mean) * factor >> shift) + bias`` in 32 bits."""
    if not are_arrays(codes, bias, out) or any(number != types.int64 for number in (mean, factor, shift)):
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data, size = (part(context, builder, codes, arguments[0]) for part in (data_of, size_of))
        biases = data_of(context, builder, bias, arguments[4])
        target = data_of(context, builder, out, arguments[5])
        means, factors, shifts = (broadcast(builder, builder.trunc(arguments[i], DOUBLE), DOUBLES) for i in (1, 2, 3))
        kind = _lanes(codes)

        def body(offset: Any, mask: Any) -> None:
            centred = builder.sub(builder.sext(load(builder, data, offset, mask, kind), DOUBLES), means)
            product = builder.ashr(builder.mul(centred, factors), shifts)
            result = builder.add(product, load(builder, biases, offset, mask, DOUBLES))
            store(builder, result, target, offset, mask)

        each_block(builder, size, body)
        return context.get_dummy_value()

    return types.none(codes, mean, factor, shift, bias, out), generate
