"""Integer GEMM with AVX2: 16-bit words by ``vpmaddwd``. Bytes are widened first."""

from lowbit.kernels._jit import kernel
from lowbit.kernels.gemm.simd_blocks import multiply
from lowbit.kernels.gemm.simd_pack import copy_words_half, interleave_words_half, transpose_words_half
from lowbit.kernels.gemm.simd_sums import SUMS_WORDS_AVX2
from lowbit.kernels.gemm.simd_tile import tiles_words_avx2

WORDS = (2, 8, 16)
TILE_ROWS = 6
row_sum, left_sums, right_sums = SUMS_WORDS_AVX2


@kernel
def gemm_words_avx2(a, b, c, bias, sums, scratch, a_zero, b_zero, a_flip, b_flip, packed):
    """16-bit words; the bits to flip are 0."""
    of_k = (row_sum, left_sums, right_sums)
    kit = (tiles_words_avx2, *of_k, interleave_words_half, transpose_words_half, copy_words_half)
    multiply(kit, WORDS, TILE_ROWS, a, b, c, bias, sums, scratch, (a_zero, b_zero, a_flip, b_flip, packed))
