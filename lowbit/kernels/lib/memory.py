"""Where memory begins, and asking for it before it is needed, for loops faster than the processor fetches by itself."""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib import llvm

LINE_BYTES = 64
"""A cache line, on x86-64 and on most AArch64 processors."""


@intrinsic
def prefetch(typing_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of ``array[index]``."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        llvm.prefetch(builder, builder.gep(view.data, [arguments[1]]))
        return context.get_dummy_value()

    return types.none(array, index), generate


@kernel
def address_of(memory):
    """Where an array of bytes begins."""
    return np.int64(memory.ctypes.data)
