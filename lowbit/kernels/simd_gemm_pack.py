"""Packing a whole right operand of integer GEMM ahead of time, all of k panel by panel."""

from __future__ import annotations

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.simd_blocks import address, pack_panels
from lowbit.kernels.simd_pack import (
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
    right = (address(b), b.strides[0], b.strides[1])
    pack_panels(interleave, transpose, shape, right, b.shape[0], b.shape[1], flip, address(panels), panels.strides[0])


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
