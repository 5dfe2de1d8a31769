"""Vector instructions over rows, as LLVM: loads and stores of 64 elements, masked at the end of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from lowbit.kernels.lib.llvm import INT1, INT8, INT16, INT32, INT64, masked_load, masked_store

BYTE, WORD, DOUBLE, QUAD = INT8, INT16, INT32, INT64
LANES = 64
BYTES, WORDS, DOUBLES = (ir.VectorType(element, LANES) for element in (BYTE, WORD, DOUBLE))
MASK = ir.VectorType(INT1, LANES)


def are_arrays(*arguments: Any) -> bool:
    """Whether all are C-contiguous arrays."""
    return all(isinstance(argument, types.Array) and argument.layout == "C" for argument in arguments)


def data_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The pointer to an array's first element."""
    return context.make_array(array_type)(context, builder, array).data


def size_of(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The length of a one-dimensional array."""
    return builder.extract_value(context.make_array(array_type)(context, builder, array).shape, 0)


def at(builder: Any, data: Any, offset: Any, to: Any) -> Any:
    """The place of an element as a pointer to a vector."""
    return builder.bitcast(builder.gep(data, [offset]), to.as_pointer())


def load(builder: Any, data: Any, offset: Any, mask: Any = None, kind: Any = BYTES) -> Any:
    """64 elements from an offset; masked-out ones are not read and 0."""
    place = at(builder, data, offset, kind)
    if mask is None:
        value = builder.load(place)
        value.align = 1
        return value
    return masked_load(builder, place, kind, mask)


def store(builder: Any, value: Any, data: Any, offset: Any, mask: Any) -> None:
    """64 elements to an offset; masked-out ones are not written."""
    place = at(builder, data, offset, value.type)
    if mask is None:
        builder.store(value, place).align = 1
        return
    masked_store(builder, value, place, mask)


def each_block(builder: Any, size: Any, body: Callable[[Any, Any], None]) -> None:
    """``body(offset, mask)`` for every 64 elements, and for the rest with a mask."""
    six = QUAD(6)
    blocks = builder.lshr(size, six)
    with cgutils.for_range(builder, blocks) as loop:
        body(builder.shl(loop.index, six), None)
    rest = builder.and_(size, QUAD(LANES - 1))
    with builder.if_then(builder.icmp_unsigned("!=", rest, QUAD(0))):
        bits = builder.sub(builder.shl(QUAD(1), rest), QUAD(1))
        body(builder.shl(blocks, six), builder.bitcast(bits, MASK))
