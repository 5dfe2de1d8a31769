"""The extremes and elements of blocks of 32 for ``fast_sums.py``, in vector registers: an exception to the int64 rule.

LLVM unrolls a loop of 32, and then does not see that what is stored is not what is loaded next. The instructions here
are LLVM's own, for any processor.
"""

# ruff: noqa: ARG001  (the signatures are those that numba calls)

from __future__ import annotations

from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from lowbit.kernels.block.simd_products import NUMBERS
from lowbit.kernels.lib.llvm import INT8, INT32, broadcast, function, int64, load
from lowbit.kernels.lib.vectors import data_of

LENGTH, LANES = 32, 16
WORDS, OCTETS = (ir.VectorType(kind, LANES) for kind in (INT32, INT8))
MAGNITUDE, SIGN_SHIFT, SIGN_BIT = 0x7FFFFFFF, 31, -(1 << 31)


def _splat(number: int) -> Any:
    return ir.Constant(WORDS, [number] * LANES)


def _sixteens(context: Any, builder: Any, array_type: Any, array: Any, start: Any, to: Any) -> list[Any]:
    """The places of both halves of a block."""
    data = data_of(context, builder, array_type, array)
    places = (builder.gep(data, [builder.add(start, int64(first))]) for first in range(0, LENGTH, LANES))
    return [builder.bitcast(place, to.as_pointer()) for place in places]


def _extreme(which: str, place: Callable[[Any, Any], Any], summary: str) -> Any:
    """An intrinsic for what words are in some order, of the first or the last word of a block in it."""

    def extreme(typing_context: Any, bits: Any, start: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            block, first = arguments
            places = _sixteens(context, builder, signature.args[0], block, first, WORDS)
            halves = [place(builder, load(builder, each, WORDS)) for each in places]
            both = function(builder.module, f"llvm.{which}.v{LANES}i32", WORDS, WORDS, WORDS)
            total = function(builder.module, f"llvm.vector.reduce.{which}.v{LANES}i32", INT32, WORDS)
            return builder.call(total, [builder.call(both, halves)])

        return types.int32(bits, start), generate

    extreme.__doc__ = summary
    return intrinsic(extreme)


def _magnitude(builder: Any, words: Any) -> Any:
    return builder.and_(words, _splat(MAGNITUDE))


def _in_order(builder: Any, words: Any) -> Any:
    """As ``in_order`` of ``fast_ends.py``."""
    return builder.xor(words, builder.and_(builder.ashr(words, _splat(SIGN_SHIFT)), _splat(MAGNITUDE)))


largest = _extreme("smax", _magnitude, "The word of the largest magnitude of the block from ``start`` on.")
lowest = _extreme("smin", _in_order, "The lowest number of a block, as its word is in the order of the numbers.")
highest = _extreme("smax", _in_order, "The highest one.")


def _elements(step: Callable[..., Any], *names: str) -> Any:
    """An intrinsic ``(bits, start, *numbers, codes)``: what ``step`` makes of a block and some binary32 numbers."""

    def encode(typing_context: Any, *given: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            bits, start, *numbers, codes = arguments
            wide = [broadcast(builder, number, NUMBERS) for number in numbers]
            sources = _sixteens(context, builder, signature.args[0], bits, start, WORDS)
            loaded = [builder.bitcast(load(builder, place, WORDS), NUMBERS) for place in sources]
            targets = _sixteens(context, builder, signature.args[-1], codes, start, OCTETS)
            for values, place in zip(loaded, targets, strict=True):
                builder.store(builder.trunc(step(builder, values, *wide), OCTETS), place).align = 1
            return context.get_dummy_value()

        return types.none(*given), generate

    parameters = ("typing_context", "bits", "start", *names, "codes")
    kinds = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in parameters]
    encode.__signature__ = Signature(kinds)  # type: ignore[attr-defined]
    encode.__doc__ = step.__doc__
    return intrinsic(encode)


def _away(builder: Any, values: Any, factor: Any, below_half: Any, zero: Any) -> Any:
    """Products to nearest, ties away from zero: a number below 1/2 of their sign is added, and the sum is cut.

    ``zero``: the code of 0, from which codes are counted.
    """
    product = builder.fmul(values, factor)
    sign = builder.and_(builder.bitcast(product, WORDS), _splat(SIGN_BIT))
    addend = builder.bitcast(builder.or_(sign, builder.bitcast(below_half, WORDS)), NUMBERS)
    return builder.add(builder.fptosi(builder.fadd(product, addend), WORDS), builder.fptosi(zero, WORDS))


def _even(builder: Any, values: Any, factor: Any, to_whole: Any) -> Any:
    """Products to nearest even: a sum whose low bits are the integer."""
    return builder.bitcast(builder.fadd(builder.fmul(values, factor), to_whole), WORDS)


def _cut(builder: Any, values: Any, least: Any, factor: Any, half: Any, top: Any) -> Any:
    """Distances from the least number times a factor, 1/2 added and cut, at most ``top``."""
    total = builder.fadd(builder.fmul(builder.fsub(values, least), factor), half)
    limited = function(builder.module, f"llvm.smin.v{LANES}i32", WORDS, WORDS, WORDS)
    return builder.call(limited, [builder.fptosi(total, WORDS), builder.fptosi(top, WORDS)])


away = _elements(_away, "factor", "below_half", "zero")
even = _elements(_even, "factor", "to_whole")
cut = _elements(_cut, "least", "factor", "half", "top")
