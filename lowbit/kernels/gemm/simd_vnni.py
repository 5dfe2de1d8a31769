"""Integer GEMM with AVX512-VNNI: bytes by ``vpdpbusd``, 16-bit words by ``vpdpwssd``."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.gemm.simd_blocks import multiply
from lowbit.kernels.gemm.simd_pack import (
    copy_bytes,
    copy_words,
    interleave_bytes,
    interleave_words,
    transpose_bytes,
    transpose_words,
)
from lowbit.kernels.gemm.simd_sums import SUMS_LEFT_UNSIGNED, SUMS_RIGHT_UNSIGNED, SUMS_WORDS
from lowbit.kernels.gemm.simd_tile import tiles_left_unsigned, tiles_right_unsigned, tiles_words

BYTES, WORDS = (1, 16, 64), (2, 16, 64)
TILE_ROWS = 6


row_sum_right_unsigned, left_sums_right_unsigned, right_sums_right_unsigned = SUMS_RIGHT_UNSIGNED
row_sum_left_unsigned, left_sums_left_unsigned, right_sums_left_unsigned = SUMS_LEFT_UNSIGNED
row_sum_words, left_sums_words, right_sums_words = SUMS_WORDS


@kernel
def gemm_right_unsigned(a, b, c, bias, sums, scratch, a_zero, b_zero, a_flip, b_flip, packed):
    """Signed bytes times unsigned ones, as they are after flipping."""
    numbers = (a_zero, b_zero, a_flip, b_flip, packed)
    of_k = (row_sum_right_unsigned, left_sums_right_unsigned, right_sums_right_unsigned)
    kit = (tiles_right_unsigned, *of_k, interleave_bytes, transpose_bytes, copy_bytes)
    multiply(kit, BYTES, TILE_ROWS, a, b, c, bias, sums, scratch, numbers)


@kernel
def gemm_left_unsigned(a, b, c, bias, sums, scratch, a_zero, b_zero, a_flip, b_flip, packed):
    """Unsigned bytes times signed ones, as they are after flipping."""
    numbers = (a_zero, b_zero, a_flip, b_flip, packed)
    of_k = (row_sum_left_unsigned, left_sums_left_unsigned, right_sums_left_unsigned)
    kit = (tiles_left_unsigned, *of_k, interleave_bytes, transpose_bytes, copy_bytes)
    multiply(kit, BYTES, TILE_ROWS, a, b, c, bias, sums, scratch, numbers)


@kernel
def gemm_words(a, b, c, bias, sums, scratch, a_zero, b_zero, a_flip, b_flip, packed):
    """16-bit words; the bits to flip are 0."""
    numbers = (a_zero, b_zero, a_flip, b_flip, packed)
    of_k = (row_sum_words, left_sums_words, right_sums_words)
    kit = (tiles_words, *of_k, interleave_words, transpose_words, copy_words)
    multiply(kit, WORDS, TILE_ROWS, a, b, c, bias, sums, scratch, numbers)
