"""Bit operations that Python's operators lack, as LLVM instructions with twins on Python ints."""

# ruff: noqa: ARG001, PLW0108  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, overload


def bit_length(magnitude: int) -> int:
    """Number of significant bits of a non-negative integer; the compiled form counts leading zeros."""
    return magnitude.bit_length()


@intrinsic
def _bit_length(typing_context: Any, magnitude: Any) -> Any:
    if magnitude != types.int64:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(64), 64), zeros)

    return types.int64(magnitude), generate


@overload(bit_length, inline="always")
def _overload_bit_length(magnitude):  # unannotated: numba compares the signatures
    if magnitude == types.int64:
        return lambda magnitude: _bit_length(magnitude)
    return None


def _shift_32(instruction: str, summary: str) -> Any:
    """A shift of an int32 by an int32 in 0..31 that stays in 32 bits, where Numba's operator widens to 64."""

    def shift(typing_context: Any, value: Any, count: Any) -> Any:
        if value != types.int32 or count != types.int32:
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(arguments[0], arguments[1])

        return types.int32(value, count), generate

    shift.__doc__ = summary
    return intrinsic(shift)


shift_right_32 = _shift_32("ashr", "Arithmetic right shift of an int32.")
shift_right_logical_32 = _shift_32("lshr", "Right shift of the 32 bits of an int32, zeros moving in.")
shift_left_32 = _shift_32("shl", "Left shift of an int32.")


@intrinsic
def bit_length_32(typing_context: Any, magnitude: Any) -> Any:
    """Number of significant bits of a non-negative int32, as an int32."""
    if magnitude != types.int32:
        return None

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zeros = builder.ctlz(arguments[0], ir.Constant(ir.IntType(1), 0))
        return builder.sub(ir.Constant(ir.IntType(32), 32), zeros)

    return types.int32(magnitude), generate


def _bit_cast(source: Any, target: Any, llvm_target: Any, summary: str) -> Any:
    """The same 32 bits as another type."""

    def cast(typing_context: Any, value: Any) -> Any:
        if value != source:
            return None

        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], llvm_target)

        return target(value), generate

    cast.__doc__ = summary
    return intrinsic(cast)


as_float32 = _bit_cast(types.int32, types.float32, ir.FloatType(), "The binary32 number with the bits of an int32.")
as_int32 = _bit_cast(types.float32, types.int32, ir.IntType(32), "The bits of a binary32 number as an int32.")
