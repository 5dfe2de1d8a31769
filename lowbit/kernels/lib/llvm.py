"""What kernels in LLVM are written in: its types and instructions, and functions of it that kernels call.

A place is an int64 address or a pointer, of any alignment.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from inspect import signature as signature_of
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

INT1, INT8, INT16, INT32, INT64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))


def function(module: Any, name: str, result: Any, *arguments: Any) -> Any:
    """The function of that name, declared if need be: also how LLVM's intrinsics are called."""
    return cgutils.get_or_insert_function(module, ir.FunctionType(result, arguments), name)


def outlined(name: str, emit: Callable[..., None]) -> Any:
    """An intrinsic on int64 numbers that returns nothing: ``emit(builder, *numbers)`` as a function of its own."""

    def typed(typing_context: Any, *numbers: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            callee = function(builder.module, f"lowbit_{name}", ir.VoidType(), *[INT64] * len(numbers))
            if not callee.blocks:
                callee.linkage = "internal"
                inner = ir.IRBuilder(callee.append_basic_block("entry"))
                emit(inner, *callee.args)
                inner.ret_void()
            builder.call(callee, arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * len(numbers)), generate

    typed.__signature__ = signature_of(emit)  # type: ignore[attr-defined]
    return intrinsic(typed)


def int64(number: int) -> Any:
    """A constant of LLVM."""
    return ir.Constant(INT64, number)


def pointer(builder: Any, place: Any, to: Any) -> Any:
    """A place as a pointer to a type."""
    return (builder.inttoptr if place.type == INT64 else builder.bitcast)(place, to.as_pointer())


def load(builder: Any, address: Any, to: Any) -> Any:
    """Load from a place."""
    return builder.load(pointer(builder, address, to), align=1)


def broadcast(builder: Any, number: Any, vector: Any) -> Any:
    """A vector of one number."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, number, ir.Constant(INT32, 0))
    lanes = ir.Constant(ir.VectorType(INT32, vector.count), [0] * vector.count)
    return builder.shuffle_vector(first, undefined, lanes)


def masked_load(builder: Any, address: Any, vector: Any, mask: Any) -> Any:
    """Load the lanes under the mask, zeros elsewhere."""
    lane_bits = vector.element.width
    of_lanes = ir.VectorType(INT1, vector.count)
    name = f"llvm.masked.load.v{vector.count}i{lane_bits}.p0"
    callee = function(builder.module, name, vector, vector.as_pointer(), INT32, of_lanes, vector)
    zeros = ir.Constant(vector, [0] * vector.count)
    return builder.call(callee, [pointer(builder, address, vector), ir.Constant(INT32, 1), mask, zeros])


def masked_store(builder: Any, value: Any, address: Any, mask: Any) -> None:
    """Store the lanes under the mask."""
    vector = value.type
    of_lanes = ir.VectorType(INT1, vector.count)
    name = f"llvm.masked.store.v{vector.count}i{vector.element.width}.p0"
    callee = function(builder.module, name, ir.VoidType(), vector, vector.as_pointer(), INT32, of_lanes)
    builder.call(callee, [value, pointer(builder, address, vector), ir.Constant(INT32, 1), mask])


def total(builder: Any, vector: Any) -> Any:
    """The sum of a vector's elements."""
    kind = vector.type
    name = f"llvm.vector.reduce.add.v{kind.count}i{kind.element.width}"
    return builder.call(function(builder.module, name, kind.element, kind), [vector])


def prefetch(builder: Any, address: Any, *, level: int = 1, write: bool = False) -> None:
    """Ask for a cache line, in this level and those beyond; no address can fault."""
    callee = function(builder.module, "llvm.prefetch.p0", ir.VoidType(), INT8.as_pointer(), INT32, INT32, INT32)
    read, locality, data = (ir.Constant(INT32, number) for number in (int(write), 4 - level, 1))
    builder.call(callee, [pointer(builder, address, INT8), read, locality, data])


def lane_mask(builder: Any, bits: Any, lanes: int) -> Any:
    """The low bits of an int64 as a mask of lanes."""
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(INT1, lanes))
