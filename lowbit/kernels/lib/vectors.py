"""Vector instructions over rows, as LLVM: loads and stores of 64 elements, masked at the end of a row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

BYTE, WORD, DOUBLE, QUAD, BIT = (ir.IntType(bits) for bits in (8, 16, 32, 64, 1))
LANES = 64
BYTES, WORDS, DOUBLES = (ir.VectorType(element, LANES) for element in (BYTE, WORD, DOUBLE))
MASK = ir.VectorType(BIT, LANES)


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
    name = f"llvm.masked.load.v{LANES}i{kind.element.width}.p0"
    signature = ir.FunctionType(kind, [kind.as_pointer(), DOUBLE, MASK, kind])
    callee = cgutils.get_or_insert_function(builder.module, signature, name)
    return builder.call(callee, [place, DOUBLE(1), mask, ir.Constant(kind, None)])


def store(builder: Any, value: Any, data: Any, offset: Any, mask: Any) -> None:
    """64 elements to an offset; masked-out ones are not written."""
    place = at(builder, data, offset, value.type)
    if mask is None:
        builder.store(value, place).align = 1
        return
    name = f"llvm.masked.store.v{LANES}i{value.type.element.width}.p0"
    signature = ir.FunctionType(ir.VoidType(), [value.type, value.type.as_pointer(), DOUBLE, MASK])
    callee = cgutils.get_or_insert_function(builder.module, signature, name)
    builder.call(callee, [value, place, DOUBLE(1), mask])


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


def broadcast(builder: Any, value: Any, kind: Any = BYTES) -> Any:
    """A number in every element."""
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, DOUBLE(0))
    zeros = ir.Constant(ir.VectorType(DOUBLE, kind.count), None)
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), zeros)


def total(builder: Any, vector: Any) -> Any:
    """The sum of a vector's elements."""
    kind = vector.type
    name = f"llvm.vector.reduce.add.v{kind.count}i{kind.element.width}"
    callee = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind.element, [kind]), name)
    return builder.call(callee, [vector])
