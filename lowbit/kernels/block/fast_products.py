"""binary32 elements times the scales of their blocks, in place: an exception to the int64 rule.

A product of two is rounded once, by the processor. Where there is a scale over the whole tensor besides, the product of
element and scale has few enough bits to be exact, and the second one is rounded. A NaN has neither sign nor payload.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.cast.fast_binary32 import BINARY32_INFINITY, BINARY32_MAGNITUDE
from lowbit.kernels.lib.bits import as_float32, as_int32
from lowbit.kernels.lib.select import pick

QUIET_NAN = np.int32(0x7FC00000)
NOTHING = np.int32(0)


@scalar
def product(element, scale, tensor):
    """The product, or the one NaN."""
    return quiet(np.float32(element * scale) * tensor)


@scalar
def quiet(number):
    """The number, or the one NaN."""
    word = as_int32(np.float32(number))
    return as_float32(pick(np.int32(word & BINARY32_MAGNITUDE) > BINARY32_INFINITY, QUIET_NAN, word))


@kernel
def multiply(elements, scales, zeros, tensor):
    """Elements from a zero point on, 0 where there is none, times the scale of the block, a row each."""
    for block in range(elements.shape[0]):
        scale, zero = scales[block], zeros[block]
        for i in range(elements.shape[1]):
            elements[block, i] = product(np.float32(elements[block, i] - zero), scale, tensor)


@kernel
def multiply_by_sign(elements, positive, negative, tensor):
    """Elements without and with a sign, which have scales of their own."""
    for block in range(elements.shape[0]):
        above, below = positive[block], negative[block]
        for i in range(elements.shape[1]):
            element = elements[block, i]
            elements[block, i] = product(element, pick(as_int32(element) < NOTHING, below, above), tensor)


def adding(length):
    """The kernel for blocks of a length, a row each: the product is exact, and the sum with an addend rounded once."""

    @kernel
    def multiply_add(elements, factors, addends):
        for block in range(elements.shape[0]):
            factor, addend = factors[block], addends[block]
            for i in range(length):
                elements[block, i] = quiet(np.float32(elements[block, i] * factor) + addend)

    return multiply_add


MULTIPLY_ADD = {16: adding(16), 32: adding(32)}
"""By length, which is constant so that LLVM vectorises blocks that are short."""
