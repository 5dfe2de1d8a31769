"""I-LayerNorm of I-ViT and I-BERT over rows of 8- or 16-bit codes in 32-bit lanes, where nothing can overflow.

The sum of the squares of the centred codes follows from the sums of the codes and of their squares. Newton's iteration
never falls below the floor of the root, so |centred| <= deviation and |centred * factor| <= 2^31. That limit itself is
reached by even factors only, which are halved before the product instead of after it. Proved equal to
the plain kernels of both.
"""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even, positive_quotient
from lowbit.kernels.nonlinear.ivit import FIRST, ITERATIONS, NORM_NUMERATOR
from lowbit.kernels.nonlinear.simd_norm import sums, write_centred


@scalar
def deviation(squares, first, iterations):
    """Newton's iteration toward the square root, at least 1; without a number of steps until it stops falling."""
    root = first or 1 << (bit_length(squares) >> 1)
    for _ in range(iterations):
        root = max((root + positive_quotient(squares, root)) >> 1, 1)
    if iterations or squares == 0:
        return max(root, 1)
    root = 1 << ((bit_length(squares) + 1) >> 1)
    while True:
        better = (root + positive_quotient(squares, root)) >> 1
        if better >= root:
            return root
        root = better


@kernel
def layernorm_rows(codes, bias, constants, out):
    """Rows whose sum and, for int8, whose sum of squares fit 31 bits."""
    length = codes.shape[1]
    first, iterations, numerator = constants[FIRST], constants[ITERATIONS], constants[NORM_NUMERATOR]
    for row in range(codes.shape[0]):
        total, squares = sums(codes[row])
        mean = divide_half_even(total, length)
        centred = squares - 2 * mean * total + length * mean * mean
        factor = positive_quotient(numerator, deviation(centred, first, iterations))
        odd = factor & 1
        write_centred(codes[row], mean, factor >> (1 - odd), odd, bias, out[row])
