"""Where memory begins, and asking for it before it is needed, for loops faster than the processor fetches by itself."""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel

LINE_BYTES = 64
"""A cache line, on x86-64 and on most AArch64 processors."""

_READ, _KEEP, _DATA = 0, 3, 1  # the operands of llvm.prefetch (LLVM Language Reference): read, all levels, data cache


def ask_for(builder: Any, address: Any) -> None:
    """Ask for the cache line of an address; a hint that never fails, beyond the end of an array neither."""
    address = builder.bitcast(address, ir.IntType(8).as_pointer())
    number = ir.IntType(32)
    signature = ir.FunctionType(ir.VoidType(), [address.type, number, number, number])
    hint = cgutils.get_or_insert_function(builder.module, signature, "llvm.prefetch.p0")
    builder.call(hint, [address, number(_READ), number(_KEEP), number(_DATA)])


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        ask_for(builder, builder.gep(view.data, [arguments[1]]))
        return context.get_dummy_value()

    return types.none(array, index), generate


@kernel
def address_of(memory):
    """Where an array of bytes begins."""
    return np.int64(memory.ctypes.data)
