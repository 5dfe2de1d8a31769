"""The dot-product instructions that integer GEMM is made of, as LLVM IR.

Each takes, for every 32-bit lane, four bytes of both operands and adds their products to the lane: four products of
8 bits or two of 16 bits. Sums wrap modulo 2**32. ``vpdpbusd`` multiplies an unsigned by a signed byte, so of the two
operands, "left" and "right", one is unsigned.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: VPDPBUSD, VPDPWSSD, VPMADDWD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir

from lowbit.kernels.lib.llvm import INT16, INT32, function

GROUP_BYTES = 4
"""Bytes of k that a lane takes at a time."""


@dataclass(frozen=True)
class Dot:
    """One instruction."""

    name: str  # part of the names of emitted functions
    lanes: int  # 32-bit lanes of a register
    # rows, vectors: the largest tile of accumulators that leaves registers for the operands: ``rows`` of the left
    # operand by ``vectors`` registers of columns of the right one
    rows: int
    vectors: int
    ones: int  # a 32-bit word of elements that are all one
    # ``(builder, accumulator, left, right) -> accumulator``, all vectors of ``lanes`` 32-bit words.
    multiply: Callable[[Any, Any, Any, Any], Any]

    @property
    def packs_bytes(self) -> bool:
        """Whether the right operand is packed byte by byte."""
        return self.ones == _BYTE_ONES

    @property
    def vector(self) -> Any:
        """The LLVM type of a register."""
        return ir.VectorType(INT32, self.lanes)

    @property
    def vector_bytes(self) -> int:
        return self.lanes * GROUP_BYTES

    @property
    def panel_step(self) -> int:
        """Bytes of a packed panel from one group of k to the next."""
        return self.vector_bytes * self.vectors


def _vnni(builder: Any, instruction: str, accumulator: Any, first: Any, second: Any) -> Any:
    vector = ir.VectorType(INT32, 16)
    return builder.call(
        function(builder.module, f"llvm.x86.avx512.{instruction}.512", vector, vector, vector, vector),
        [accumulator, first, second],
    )


def _bytes_right_unsigned(builder: Any, accumulator: Any, left: Any, right: Any) -> Any:
    return _vnni(builder, "vpdpbusd", accumulator, right, left)


def _bytes_left_unsigned(builder: Any, accumulator: Any, left: Any, right: Any) -> Any:
    return _vnni(builder, "vpdpbusd", accumulator, left, right)


def _words_vnni(builder: Any, accumulator: Any, left: Any, right: Any) -> Any:
    return _vnni(builder, "vpdpwssd", accumulator, left, right)


def _words_avx2(builder: Any, accumulator: Any, left: Any, right: Any) -> Any:
    """vpmaddwd, then an addition. The one pair sum that leaves 32 bits, of four times -2**15, wraps as it must."""
    words = ir.VectorType(INT16, 16)
    product = builder.call(
        function(builder.module, "llvm.x86.avx2.pmadd.wd", accumulator.type, words, words),
        [builder.bitcast(left, words), builder.bitcast(right, words)],
    )
    return builder.add(accumulator, product)


def _words_portable(builder: Any, accumulator: Any, left: Any, right: Any) -> Any:
    """The plain formula, in vectors that LLVM lowers for any processor: to VPDPWSSD or VPMADDWD where there is one."""
    lanes = accumulator.type.count
    narrow, wide = ir.VectorType(INT16, 2 * lanes), ir.VectorType(INT32, 2 * lanes)
    products = builder.mul(*(builder.sext(builder.bitcast(operand, narrow), wide) for operand in (left, right)))
    even, odd = (
        builder.shuffle_vector(
            products, products, ir.Constant(ir.VectorType(INT32, lanes), list(range(start, 2 * lanes, 2)))
        )
        for start in (0, 1)
    )
    return builder.add(accumulator, builder.add(even, odd))


_BYTE_ONES, _WORD_ONES = 0x01010101, 0x00010001

# Thirty-two registers hold 24 accumulators, 4 vectors of the right operand and a broadcast word of the left one; AVX2
# has sixteen registers, and needs one for the product.
BYTES_RIGHT_UNSIGNED = Dot("bytes_right_unsigned", 16, 6, 4, _BYTE_ONES, _bytes_right_unsigned)
BYTES_LEFT_UNSIGNED = Dot("bytes_left_unsigned", 16, 6, 4, _BYTE_ONES, _bytes_left_unsigned)
WORDS_VNNI = Dot("words_vnni", 16, 6, 4, _WORD_ONES, _words_vnni)
WORDS_AVX2 = Dot("words_avx2", 8, 6, 2, _WORD_ONES, _words_avx2)
WORDS_PORTABLE = Dot("words_portable", 8, 6, 2, _WORD_ONES, _words_portable)
