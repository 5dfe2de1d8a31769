"""binary32 into blocks of floats of at most 4 bits under any scales: an exception to the int64 rule.

Nothing is divided. A value x over a scale s is rounded to the element behind the boundary b where x >= b * s, and the
words of positive numbers are in the order of the numbers: so each boundary becomes the least binary32 word behind it,
once a block, and the code of an element is the number of words that its own reaches. Boundaries have few bits and
scales at most 48, so the product is exact in binary64.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.cast.fast_binary32 import BINARY32_INFINITY, BINARY32_MAGNITUDE, SIGN_SHIFT
from lowbit.kernels.lib.bits import as_int32, shift_right_32
from lowbit.kernels.lib.select import pick

BOUNDARIES = 7
"""Floats of 4 bits have at most 8 magnitudes."""

STRIP = 64
"""Blocks whose boundaries are made at once."""

NOTHING, ONE = np.int32(0), np.int32(1)


@kernel
def maxima(bits, out):
    """The word of the largest magnitude of each block, a row each."""
    for block in range(bits.shape[0]):
        largest = NOTHING
        for i in range(bits.shape[1]):  # a constant length would be unrolled, and not vectorised
            magnitude = np.int32(bits[block, i] & BINARY32_MAGNITUDE)
            largest = pick(magnitude > largest, magnitude, largest)
        out[block] = largest


@kernel
def maxima_by_sign(bits, positive, negative):
    """The words of the largest magnitudes of each block, of the numbers without and with a sign; a NaN is in both."""
    for block in range(bits.shape[0]):
        above, below = NOTHING, NOTHING
        for i in range(bits.shape[1]):
            magnitude = np.int32(bits[block, i] & BINARY32_MAGNITUDE)
            sign = shift_right_32(bits[block, i], SIGN_SHIFT)
            absent = pick(magnitude > BINARY32_INFINITY, magnitude, NOTHING)
            positive_part = np.int32(np.int32(magnitude & np.int32(~sign)) | absent)
            negative_part = np.int32(np.int32(magnitude & sign) | absent)
            above = pick(positive_part > above, positive_part, above)
            below = pick(negative_part > below, negative_part, below)
        positive[block], negative[block] = above, below


@scalar
def first_behind(number, total, beyond):
    """The least word at or above ``number * total``, above it if ``beyond`` is 1; a total of 0 has none."""
    boundary = number * total
    nearest = np.float32(boundary)
    back = np.float64(nearest)
    short = np.int32(back < boundary) | np.int32(np.int32(back == boundary) & beyond)
    return pick(total > 0, np.int32(as_int32(nearest) + np.int32(short)), BINARY32_MAGNITUDE)


@scalar
def at_least(magnitude, word):
    """1 where a magnitude reaches a word."""
    return pick(magnitude >= word, ONE, NOTHING)


@scalar
def reached(magnitude, a, b, c, d, e, f, g):
    """How many of the words a magnitude reaches."""
    low = np.int32(at_least(magnitude, a) + at_least(magnitude, b))
    low = np.int32(low + np.int32(at_least(magnitude, c) + at_least(magnitude, d)))
    high = np.int32(at_least(magnitude, e) + at_least(magnitude, f))
    return np.int32(low + np.int32(high + at_least(magnitude, g)))


@scalar
def words_behind(words, totals, boundaries, beyond):
    """The words behind each boundary for some blocks, one row a boundary: a loop over blocks is one over lanes."""
    for place in range(BOUNDARIES):
        number, strict = boundaries[place], beyond[place]
        for block in range(totals.size):
            words[place, block] = first_behind(number, totals[block], strict)


@kernel
def encode(bits, totals, boundaries, beyond, sign_bit, codes):
    """Codes of elements whose block has the scale ``totals``; a scale of 0 gives zeros."""
    words = np.empty((BOUNDARIES, STRIP), np.int32)
    for strip in range(0, totals.size, STRIP):
        last = min(strip + STRIP, totals.size)
        words_behind(words, totals[strip:last], boundaries, beyond)
        row, out = bits[strip:last], codes[strip:last]
        for k in range(last - strip):
            a, b, c, d = words[0, k], words[1, k], words[2, k], words[3, k]
            e, f, g = words[4, k], words[5, k], words[6, k]
            for i in range(bits.shape[1]):
                count = reached(np.int32(row[k, i] & BINARY32_MAGNITUDE), a, b, c, d, e, f, g)
                out[k, i] = np.int32(count | np.int32(shift_right_32(row[k, i], SIGN_SHIFT) & sign_bit))


@kernel
def encode_by_sign(bits, positive, negative, boundaries, beyond, sign_bit, codes):
    """The same where numbers with a sign have scales of their own."""
    words, others = np.empty((BOUNDARIES, STRIP), np.int32), np.empty((BOUNDARIES, STRIP), np.int32)
    for strip in range(0, positive.size, STRIP):
        last = min(strip + STRIP, positive.size)
        words_behind(words, positive[strip:last], boundaries, beyond)
        words_behind(others, negative[strip:last], boundaries, beyond)
        row, out = bits[strip:last], codes[strip:last]
        for k in range(last - strip):
            a, b, c, d = words[0, k], words[1, k], words[2, k], words[3, k]
            e, f, g = words[4, k], words[5, k], words[6, k]
            h, j, m, n = others[0, k], others[1, k], others[2, k], others[3, k]
            p, q, r = others[4, k], others[5, k], others[6, k]
            for i in range(bits.shape[1]):
                magnitude, sign = np.int32(row[k, i] & BINARY32_MAGNITUDE), shift_right_32(row[k, i], SIGN_SHIFT)
                above, below = reached(magnitude, a, b, c, d, e, f, g), reached(magnitude, h, j, m, n, p, q, r)
                out[k, i] = np.int32(pick(sign == NOTHING, above, below) | np.int32(sign & sign_bit))
