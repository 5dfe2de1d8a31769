"""I-LayerNorm over rows of 8- or 16-bit codes in 32-bit lanes, where no intermediate can overflow.

The sum of the squares of the centred codes follows from the sums of the codes and of their squares. Newton's iteration
never falls below the floor of the root, so |centred| <= deviation and centred * factor < 2^31. Proved equal to
``layernorm_ivit.py``.
"""

from __future__ import annotations

from lowbit.kernels._bits import bit_length
from lowbit.kernels._divide import divide_half_even
from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels._quotient import positive_quotient
from lowbit.kernels.layernorm_ivit import FIRST, ITERATIONS, NUMERATOR
from lowbit.kernels.simd_norm import sums, write_centred


@scalar
def deviation(squares, first, iterations):
    """Newton's iteration toward the square root, a fixed number of steps."""
    root = first or 1 << (bit_length(squares) >> 1)
    for _ in range(iterations):
        root = max((root + positive_quotient(squares, root)) >> 1, 1)
    return root


@kernel
def layernorm_rows(codes, bias, constants, out):
    """Rows whose sum and, for int8, whose sum of squares fit 31 bits."""
    length = codes.shape[1]
    first, iterations, numerator = constants[FIRST], constants[ITERATIONS], constants[NUMERATOR]
    for row in range(codes.shape[0]):
        total, squares = sums(codes[row])
        mean = divide_half_even(total, length)
        centred = squares - 2 * mean * total + length * mean * mean
        root = deviation(centred, first, iterations)
        write_centred(codes[row], mean, positive_quotient(numerator, root), bias, out[row])
