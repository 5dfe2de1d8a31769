"""Integer GEMM in plain integer loops: the twin that the vector kernels have to equal, and what stands around them."""

import numpy as np

from lowbit.kernels._jit import kernel, scalar

LOW_32, SIGN_32, WRAP_32 = (1 << 32) - 1, 1 << 31, 1 << 32


@scalar
def wrap_32(number):
    """The low 32 bits as a signed number."""
    low = number & LOW_32
    return low - WRAP_32 if low >= SIGN_32 else low


@kernel
def gemm_plain(a, b, c):
    """The sum of products in 64 bits, its low 32 bits as int32."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            total = np.int64(0)
            for x in range(a.shape[1]):
                total += np.int64(a[i, x]) * np.int64(b[x, j])
            c[i, j] = wrap_32(total)


@kernel
def subtract_outer(c, rows, columns):
    """Subtract the product of a column and a row of int32 numbers, modulo 2**32."""
    for i in range(c.shape[0]):
        for j in range(c.shape[1]):
            c[i, j] = wrap_32(np.int64(c[i, j]) - np.int64(rows[i]) * np.int64(columns[j]))


@kernel
def add_wide(wide, narrow, shift):
    """Add int32 numbers, shifted to the left, to int64 ones."""
    for i in range(wide.shape[0]):
        for j in range(wide.shape[1]):
            wide[i, j] += np.int64(narrow[i, j]) << shift
