"""Integer GEMM in plain integer loops: the twin that the vector kernels have to equal, and what stands around them."""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel

LOW_32, SIGN_32, WRAP_32 = (1 << 32) - 1, 1 << 31, 1 << 32


@kernel
def gemm_plain(a, b, c):
    """The sum of products in 64 bits, its low 32 bits as int32."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = np.int64(0)
            for x in range(a.shape[1]):
                total += np.int64(a[i, x]) * np.int64(b[x, j])
            low = total & LOW_32
            c[i, j] = low - WRAP_32 if low >= SIGN_32 else low


@kernel
def subtract_outer(c, rows, columns):
    """Subtract the product of a column and a row of int32 numbers, modulo 2**32."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            c[i, j] = np.int32(c[i, j] - np.int32(rows[i] * columns[j]))


@kernel
def add_wide(wide, narrow, shift):
    """Add int32 numbers, shifted to the left, to int64 ones."""
    for i in range(wide.shape[0]):
        for j in range(wide.shape[1]):
            wide[i, j] += np.int64(narrow[i, j]) << shift
