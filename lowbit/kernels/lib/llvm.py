"""What the kernels of integer GEMM are written in: LLVM instructions on int64 addresses, of any alignment."""

from __future__ import annotations

from typing import Any

from llvmlite import ir

from lowbit.kernels.gemm.simd_dot import INT1, INT8, INT32, INT64, function


def int64(number: int) -> Any:
    """A constant of LLVM."""
    return ir.Constant(INT64, number)


def pointer(builder: Any, address: Any, to: Any) -> Any:
    """An address as a pointer to a type."""
    return builder.inttoptr(address, to.as_pointer())


def load(builder: Any, address: Any, to: Any) -> Any:
    """Load from an address of any alignment."""
    return builder.load(pointer(builder, address, to), align=1)


def broadcast(builder: Any, word: Any, vector: Any) -> Any:
    """A vector of one word."""
    undefined = ir.Constant(vector, ir.Undefined)
    first = builder.insert_element(undefined, word, ir.Constant(INT32, 0))
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


def prefetch(builder: Any, address: Any, *, level: int = 1, write: bool = False) -> None:
    """Ask for a cache line, in this level and those beyond; no address can fault."""
    callee = function(builder.module, "llvm.prefetch.p0", ir.VoidType(), INT8.as_pointer(), INT32, INT32, INT32)
    read, locality, data = (ir.Constant(INT32, number) for number in (int(write), 4 - level, 1))
    builder.call(callee, [pointer(builder, address, INT8), read, locality, data])


def lane_mask(builder: Any, bits: Any, lanes: int) -> Any:
    """The low bits of an int64 as a mask of lanes."""
    return builder.bitcast(builder.trunc(bits, ir.IntType(lanes)), ir.VectorType(INT1, lanes))
