"""FQ-ViT's log-int-softmax in int64: the twin of ``oracle/nonlinear/fqvit.py``."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import divide_half_even
from lowbit.kernels.nonlinear.ibert import RESULT_BITS, polynomial_exp
from lowbit.kernels.nonlinear.steps import maximum_of, step

# Places of the intermediates, in the order of nonlinear/fqvit.py.
DIFFERENCE, EXP, SUM, RATIO, RESULT = 0, 1, 5, 6, 7
BITS = RESULT_BITS
CLIP = 9
"""Place of the constant that says whether logarithms are clipped, or 2^bits stands for probability 0."""


@scalar
def rounded_log2(value):
    """The logarithm of a positive integer to base 2, up from 1.5 * 2^k on."""
    floor = bit_length(value) - 1
    return floor + ((value >> max(floor - 1, 0)) & 1 if floor else 0)


@kernel
def softmax(codes, constants, limits, mode, out, trap):
    """The negative logarithm of the softmax of every row of a block."""
    length = codes.shape[1]
    beyond = 1 << constants[BITS]
    for row in range(codes.shape[0]):
        maximum = maximum_of(codes, row)
        total = 0
        for i in range(length):
            difference = step(codes[row, i] - maximum, DIFFERENCE, limits, mode, trap, row, i)
            out[row, i] = polynomial_exp(difference, constants, EXP, limits, mode, trap, row, i)
            total = step(total + out[row, i], SUM, limits, mode, trap, row, i)
        for i in range(length):
            logarithm = beyond
            if out[row, i]:
                ratio = step(divide_half_even(total, out[row, i]), RATIO, limits, mode, trap, row, i)
                logarithm = rounded_log2(ratio)
            out[row, i] = step(min(logarithm, beyond - constants[CLIP]), RESULT, limits, mode, trap, row, i)
