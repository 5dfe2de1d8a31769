"""Blocks side by side for the searches of ggml, 64 at a time, in binary32: an exception to the int64 rule.

The sums of these searches are rounded after every element, one after the other, so the elements of a block cannot share
a vector register; the same element of 64 blocks can. A strip of blocks is turned over to lie so.
"""

import numpy as np

from lowbit.kernels._jit import kernel, routine, scalar
from lowbit.kernels.lib.bits import as_float32, as_int32
from lowbit.kernels.lib.select import pick

LANES = 64

NOTHING, ONE = np.float32(0), np.float32(1)
TO_WHOLE = np.float32(3 << 22)
"""Added to a number of at most 22 bits it leaves the nearest integer, ties to even, in the low bits of the sum."""
WHOLE, ZERO_WORD, EXPONENT = np.int32(0x007FFFFF), np.int32(0x00400000), np.int32(0x4B000000)
"""The bits of the sum that are taken, what they are for 0, and the other bits."""


@scalar
def nearest(number, lowest, highest):
    """The nearest integer, within two that are not told as they are but plus ``ZERO_WORD``; as ggml's ``nearest_int``.

    What is beyond 22 bits becomes what its low bits say, infinity -2^22, and NaN (without a payload) 0.
    """
    word = np.int32(as_int32(np.float32(number + TO_WHOLE)) & WHOLE)
    return as_float32(np.int32(max(min(word, highest), lowest) | EXPONENT)) - TO_WHOLE


@routine
def turned(values, strip, count, lanes):
    """Blocks from ``strip`` on into lanes, the last of them again in those that are left."""
    for lane in range(LANES):
        block = strip + min(lane, count - 1)
        for i in range(values.shape[1]):
            lanes[i, lane] = values[block, i]


@routine
def squares(lanes, out):
    """The weights of ggml's searches for formats without a minimum, where no importance is given."""
    for i in range(lanes.shape[0]):
        for lane in range(LANES):
            out[i, lane] = np.float32(lanes[i, lane] * lanes[i, lane])


@kernel
def sums_of_squares(values, sums):
    """The squares of each row, added one after the other."""
    lanes, total = np.empty((values.shape[1], LANES), np.float32), np.empty(LANES, np.float32)
    for strip in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - strip)
        turned(values, strip, count, lanes)
        total[:] = NOTHING
        for i in range(values.shape[1]):
            for lane in range(LANES):
                total[lane] += np.float32(lanes[i, lane] * lanes[i, lane])
        for lane in range(count):
            sums[strip + lane] = total[lane]


@kernel
def peaks(values, answers):
    """The first number of the largest magnitude in each row; 0 where there are only NaNs and zeros."""
    for row in range(values.shape[0]):
        size, peak = NOTHING, NOTHING
        for i in range(values.shape[1]):
            number = values[row, i]
            peak = pick(abs(number) > size, number, peak)
            size = pick(abs(number) > size, abs(number), size)
        answers[row] = peak


@kernel
def largest(values, answers):
    """The largest number of each row, or 0 if that is larger; without NaNs."""
    for row in range(values.shape[0]):
        top = NOTHING
        for i in range(values.shape[1]):
            top = pick(values[row, i] > top, values[row, i], top)
        answers[row] = top
