"""binary32 over the scale of its block in one binary32 step, into codes of 8 bits: an exception to the int64 rule.

Where a policy rounds its steps to binary32, the step here is the policy's own. Where it is exact, the step is still as
good as the exact quotient if every product of a scale and a place where rounding changes is a binary32 number that is
not subnormal: beside it the quotient is more than half a unit away from that place, or it is that place.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.cast.fast_binary32 import SIZE, signed, symmetric
from lowbit.kernels.cast.fast_intervals import answer
from lowbit.kernels.lib.bits import as_float32, as_int32
from lowbit.kernels.lib.select import pick

NOTHING = np.int32(0)
TO_WHOLE = np.float32(3 << 22)
"""Added to a number of at most 22 bits it leaves the nearest integer, ties to even, in the low bits of the sum."""
TO_WHOLE_BITS = np.int32(0x4B400000)


@scalar
def divided(number, divisor):
    """The step where the policy divides."""
    return number / divisor


@scalar
def multiplied(number, factor):
    """The step where it multiplies by a reciprocal."""
    return number * factor


def of_floats(rounded, step):
    """The kernel for floats, a row a block; ``rounded`` is a cast of ``kernels/cast/fast_binary32.py``."""

    @kernel
    def encode_blocks(bits, scales, vector, codes):
        parameters = constants(vector, SIZE)
        for block in range(bits.shape[0]):
            scale = scales[block]
            for i in range(bits.shape[1]):
                codes[block, i] = rounded(as_int32(step(as_float32(bits[block, i]), scale)), parameters)

    return encode_blocks


def of_integers(step):
    """The kernel for integers from ``first`` to ``last``, to nearest even, saturating after the zero point is added."""

    @kernel
    def encode_blocks(bits, scales, zeros, first, last, codes):
        for block in range(bits.shape[0]):
            scale, zero = scales[block], zeros[block]
            low, high = np.float32(first - zero), np.float32(last - zero)
            origin = np.int32(TO_WHOLE_BITS - zero)
            for i in range(bits.shape[1]):
                quotient = step(as_float32(bits[block, i]), scale)
                inside = max(min(quotient, high), low)
                codes[block, i] = np.int32(as_int32(inside + TO_WHOLE) - origin)

    return encode_blocks


def of_listed(step):
    """The kernel for listed values, by the intervals of ``kernels/cast/fast_intervals.py``."""

    @kernel
    def encode_blocks(bits, scales, shift, changes, answers, codes):
        count = np.int32(shift)
        for block in range(bits.shape[0]):
            scale = scales[block]
            for i in range(bits.shape[1]):
                quotient = as_int32(step(as_float32(bits[block, i]), scale))
                codes[block, i] = answer(quotient, count, changes, answers)

    return encode_blocks


def of_listed_by_sign(step):
    """The same where numbers with a sign have scales of their own."""

    @kernel
    def encode_blocks(bits, positive, negative, shift, changes, answers, codes):
        count = np.int32(shift)
        for block in range(bits.shape[0]):
            above, below = positive[block], negative[block]
            for i in range(bits.shape[1]):
                word = bits[block, i]
                quotient = as_int32(step(as_float32(word), pick(word < NOTHING, below, above)))
                codes[block, i] = answer(quotient, count, changes, answers)

    return encode_blocks


symmetric_quotients, symmetric_products = of_floats(symmetric, divided), of_floats(symmetric, multiplied)
signed_quotients, signed_products = of_floats(signed, divided), of_floats(signed, multiplied)
integer_quotients, integer_products = of_integers(divided), of_integers(multiplied)
listed_quotients, listed_products = of_listed(divided), of_listed(multiplied)
quotients_by_sign, products_by_sign = of_listed_by_sign(divided), of_listed_by_sign(multiplied)
