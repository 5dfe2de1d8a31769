"""binary32 into blocks of 32, or more, as ggml makes them, in one pass: an exception to the int64 rule.

Each step is one of binary32, as the policy says: a scale from the largest magnitude, from the value that has it, or
from the width of the range, its reciprocal, a product, and 1/2 that is added before the fraction is cut. A block that
is not finite has the scale NaN, and its elements are made elsewhere.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.block.fast_ends import in_order
from lowbit.kernels.block.fast_power_of_two import LARGEST, MANTISSA, MANTISSA_BITS
from lowbit.kernels.block.fast_quotients import TO_WHOLE
from lowbit.kernels.block.simd_sums import LENGTH, away, cut, even, highest, largest, lowest
from lowbit.kernels.cast.fast_binary32 import BINARY32_INFINITY, BINARY32_MAGNITUDE, SIGN_SHIFT
from lowbit.kernels.lib.bits import as_float32, as_int32, shift_left_32, shift_right_32
from lowbit.kernels.lib.select import pick

NOTHING = np.int32(0)
ZERO, ONE, HALF = np.float32(0), np.float32(1), np.float32(0.5)
BELOW_HALF = np.nextafter(HALF, ZERO)
"""Added to a magnitude, which is cut then, it rounds as roundf does: the sum of a tie reaches the next integer."""
NOT_A_NUMBER = np.float32(np.nan)
UNIT, SIGN_CODE, LEAST_FIELD = np.int32(1), np.int32(8), np.int32(2)
M0, M1, M2, M3 = np.int32(0x3E800000), np.int32(0x3F400000), np.int32(0x3FA00000), np.int32(0x3FE00000)
M4, M5, M6 = np.int32(0x40200000), np.int32(0x40600000), np.int32(0x40A00000)
"""1/4, 3/4, 5/4, 7/4, 5/2, 7/2 and 5, the middles between 0, 1/2, 1, 3/2, 2, 3, 4 and 6, as words."""


@scalar
def inverse(scale):
    """What values are multiplied by: 0 for a scale of 0."""
    return ZERO if scale == ZERO else ONE / scale


@scalar
def first_of(bits, block, magnitude):
    """The first word of a block that has this magnitude."""
    for i in range(LENGTH):
        if np.int32(bits[block, i] & BINARY32_MAGNITUDE) == magnitude:
            return bits[block, i]
    return NOTHING


@kernel
def cut_blocks(bits, lowest, last, codes, scales):
    """The value of largest magnitude becomes the lowest element, ``lowest``; elements end at ``last``."""
    half = HALF - lowest
    origin, top = np.int32(lowest), np.int32(last)
    for block in range(bits.shape[0]):
        above, below = NOTHING, NOTHING
        for i in range(LENGTH):
            word = bits[block, i]
            negative = shift_right_32(word, SIGN_SHIFT)
            magnitude = np.int32(word & BINARY32_MAGNITUDE)
            positive = np.int32(magnitude & np.int32(~negative))
            magnitude = np.int32(magnitude & negative)
            above = pick(positive > above, positive, above)
            below = pick(magnitude > below, magnitude, below)
        amax = max(above, below)
        extreme = as_float32(amax) if above > below else -as_float32(amax)
        if above == below:
            extreme = as_float32(first_of(bits, block, amax)) if amax > NOTHING else ZERO
        scale = extreme / lowest
        scales[block] = pick(amax >= BINARY32_INFINITY, NOT_A_NUMBER, scale)
        factor = inverse(scale)
        for i in range(LENGTH):
            total = np.int32(as_float32(bits[block, i]) * factor + half)
            codes[block, i] = min(np.int32(total + origin), top)


@kernel
def cut_affine_blocks(bits, last, codes, scales, offsets):
    """The lowest value becomes 0 and the highest ``last``."""
    for block in range(bits.shape[0]):
        start = block * LENGTH
        least, most = as_float32(in_order(lowest(bits, start))), as_float32(in_order(highest(bits, start)))
        if least == ZERO:
            least = as_float32(first_of(bits, block, NOTHING))
        scale = (most - least) / last
        scale = pick(scale == ZERO, ZERO, scale)
        scales[block], offsets[block] = scale, least
        cut(bits, start, least, inverse(scale), HALF, last, codes)


@kernel
def away_blocks(bits, last, zero, codes, scales):
    """Amax becomes ``last``; products with the reciprocal of the scale, to nearest with ties away from zero.

    The length of a block is a multiple of 32; ``zero`` is the code of 0.
    """
    for block in range(bits.shape[0]):
        first, end, amax = block * bits.shape[1], (block + 1) * bits.shape[1], NOTHING
        for start in range(first, end, LENGTH):
            amax = max(amax, largest(bits, start))
        scale = as_float32(amax) / last
        scales[block] = pick(amax >= BINARY32_INFINITY, NOT_A_NUMBER, scale)
        factor = inverse(scale)
        for start in range(first, end, LENGTH):
            away(bits, start, factor, BELOW_HALF, zero, codes)


@kernel
def even_blocks(bits, last, codes, scales):
    """Amax becomes ``last``; products with ``last / amax``, to nearest even."""
    for block in range(bits.shape[0]):
        amax = largest(bits, block * LENGTH)
        size = as_float32(amax)
        scales[block] = pick(amax >= BINARY32_INFINITY, NOT_A_NUMBER, size / last)
        even(bits, block * LENGTH, ZERO if amax == NOTHING else last / size, TO_WHOLE, codes)


@kernel
def listed_blocks(bits, carries, codes, scales, failed):
    """Doubled E2M1 elements under powers of two: how many of seven middles a magnitude is beyond, 8 more below zero.

    ``carries``: by the exponent field of amax, the mantissa from which on its logarithm is the next integer.
    ``failed[0]`` is set where a block is not finite, or neither zero nor a number with a power of two for it.
    """
    for block in range(bits.shape[0]):
        amax = largest(bits, block * LENGTH)
        field = shift_right_32(amax, MANTISSA_BITS)
        code = np.int32(field - LEAST_FIELD + pick(np.int32(amax & MANTISSA) >= carries[field], UNIT, NOTHING))
        if amax >= BINARY32_INFINITY or code < NOTHING:
            failed[0] |= amax
            code = NOTHING
        scales[block] = code
        factor = as_float32(shift_left_32(np.int32(LARGEST - code), MANTISSA_BITS))
        for i in range(LENGTH):
            word = as_int32(as_float32(bits[block, i]) * factor)
            magnitude = np.int32(word & BINARY32_MAGNITUDE)
            count = np.int32(magnitude > M0) + np.int32(magnitude > M1) + np.int32(magnitude > M2)
            count += np.int32(magnitude > M3) + np.int32(magnitude > M4) + np.int32(magnitude > M5)
            count = np.int32(count + np.int32(magnitude > M6))
            negative = np.int32(shift_right_32(word, SIGN_SHIFT) & SIGN_CODE)
            codes[block, i] = np.int32(count | pick(count > NOTHING, negative, NOTHING))
