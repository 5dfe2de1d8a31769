"""The products of ``fast_products.py`` sixteen at a time, in vector registers: short blocks are not vectorised."""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels._jit import kernel
from lowbit.kernels.block.simd_reached import LANES
from lowbit.kernels.lib.llvm import broadcast
from lowbit.kernels.lib.vectors import at, data_of

NUMBERS = ir.VectorType(ir.FloatType(), LANES)
QUIET_NAN = ir.Constant(ir.FloatType(), float("nan"))
"""Without a sign and a payload."""


@intrinsic
def multiply_sixteen(typing_context: Any, elements: Any, start: Any, scale: Any, zero: Any, tensor: Any) -> Any:
    """Sixteen elements from ``start`` on, less a zero point, times the scale of their block and that of the tensor."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = at(builder, data_of(context, builder, signature.args[0], arguments[0]), arguments[1], NUMBERS)
        value = builder.load(place)
        value.align = 1
        by_block, origin, by_tensor = (broadcast(builder, number, NUMBERS) for number in arguments[2:])
        value = builder.fmul(builder.fmul(builder.fsub(value, origin), by_block), by_tensor)
        value = builder.select(
            builder.fcmp_unordered("uno", value, value), broadcast(builder, QUIET_NAN, NUMBERS), value
        )
        builder.store(value, place).align = 1
        return context.get_dummy_value()

    return types.none(elements, start, scale, zero, tensor), generate


@kernel
def multiply(elements, length, scales, zeros, tensor):
    """Flat elements in blocks whose length is a multiple of 16."""
    for block in range(scales.size):
        scale, zero = scales[block], zeros[block]
        for start in range(block * length, (block + 1) * length, LANES):
            multiply_sixteen(elements, start, scale, zero, tensor)
