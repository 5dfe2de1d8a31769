"""Packing a whole right operand of integer GEMM ahead of time, all of k panel by panel."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.gemm.simd_operands import address, pack_units, units_of_panel
from lowbit.kernels.gemm.simd_pack import (
    interleave_bytes,
    interleave_words,
    interleave_words_half,
    transpose_bytes,
    transpose_words,
    transpose_words_half,
)


@scalar
def pack_all(interleave, transpose, shape, b, flip, panels):
    """Every panel of ``b`` (k, n) into a row of ``panels``."""
    element, _, panel = shape
    k, n = b.shape
    row, column = b.strides
    units = units_of_panel(shape, column, (k * element + 3) // 4)
    for j in range(0, n, panel):
        right, target = (address(b) + j * column, row, column), address(panels) + j // panel * panels.strides[0]
        pack_units(interleave, transpose, shape, right, k, n - j, flip, target, 0, units)


@kernel
def pack_panels_bytes(b, flip, panels):
    """For ``vpdpbusd``."""
    pack_all(interleave_bytes, transpose_bytes, (1, 16, 64), b, flip, panels)


@kernel
def pack_panels_words(b, flip, panels):
    """For ``vpdpwssd``; the bits to flip are 0."""
    pack_all(interleave_words, transpose_words, (2, 16, 64), b, flip, panels)


@kernel
def pack_panels_words_half(b, flip, panels):
    """For registers of eight lanes; the bits to flip are 0."""
    pack_all(interleave_words_half, transpose_words_half, (2, 8, 16), b, flip, panels)
