"""The two passes of a LayerNorm over 8- or 16-bit codes as plain loops: the twin of ``simd_norm.py``."""

import numpy as np

from lowbit.kernels._jit import scalar


@scalar
def sums(codes):
    """The sum of a row's codes and the sum of their squares."""
    total = np.int64(0)
    squares = np.int64(0)
    for i in range(codes.size):
        code = np.int64(codes[i])
        total += code
        squares += code * code
    return total, squares


@scalar
def write_centred(codes, mean, factor, shift, bias, out):
    """``((codes - mean) * factor >> shift) + bias``, which fits 32 bits."""
    for i in range(codes.size):
        out[i] = np.int32((((np.int64(codes[i]) - mean) * factor) >> shift) + np.int64(bias[i]))
