"""The lowest and the highest binary32 number of each block: an exception to the int64 rule."""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.cast.fast_binary32 import BINARY32_MAGNITUDE, SIGN_SHIFT
from lowbit.kernels.lib.bits import shift_right_32
from lowbit.kernels.lib.select import pick

LOWEST, HIGHEST = np.int32(-(1 << 31)), np.int32((1 << 31) - 1)


@scalar
def in_order(word):
    """The word as an integer in the order of the numbers, NaNs beyond the infinities; its own inverse."""
    return np.int32(word ^ np.int32(shift_right_32(word, SIGN_SHIFT) & BINARY32_MAGNITUDE))


@kernel
def ends(bits, low, high):
    """The words of the lowest and of the highest number of each block, a row each."""
    for block in range(bits.shape[0]):
        lowest, highest = HIGHEST, LOWEST
        for i in range(bits.shape[1]):
            place = in_order(bits[block, i])
            lowest = pick(place < lowest, place, lowest)
            highest = pick(place > highest, place, highest)
        low[block], high[block] = in_order(lowest), in_order(highest)
