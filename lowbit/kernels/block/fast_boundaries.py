"""binary32 into blocks of elements of at most 4 bits under any scales: an exception to the int64 rule.

Nothing is divided. A value x over a scale s is rounded to the element behind the boundary b where x >= b * s, and the
words of positive numbers are in the order of the numbers: so each boundary becomes the least binary32 word behind it,
once a block, and the code of an element is the number of words that its own reaches. Boundaries have few bits and
scales at most 48, so the product is exact in binary64. Elements that are not a sign and a magnitude have boundaries of
both signs, which are numbers then, and not words.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.block.fast_quotients import divided, multiplied
from lowbit.kernels.cast.fast_binary32 import BINARY32_INFINITY, BINARY32_MAGNITUDE, SIGN_SHIFT
from lowbit.kernels.lib.bits import as_float32, as_int32, shift_right_32
from lowbit.kernels.lib.select import pick

BOUNDARIES = 7
"""Floats of 4 bits have at most 8 magnitudes."""

SIGNED_BOUNDARIES = 15
"""Elements of 4 bits have at most 16 values."""

STRIP = 64
"""Blocks whose boundaries are made at once."""

NOTHING, ONE = np.int32(0), np.int32(1)
BELOW, TRIED = np.int32(2), 4
ZERO = np.float32(0)


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


def of_steps(step, inverse):
    """The same where a quotient is rounded to binary32 before it is compared: ``step`` is that of the policy.

    The least word whose quotient reaches a boundary is at most two away from what ``inverse``, one rounded step, makes
    of the boundary, and quotients do not fall where words rise; so four of them are tried.
    """

    @scalar
    def words_reached(words, totals, boundaries, beyond):  # noqa: ARG001 - as words_behind has it
        for place in range(BOUNDARIES):
            boundary = np.float32(boundaries[place])
            for block in range(totals.size):
                scale = np.float32(totals[block])
                word = np.int32(max(np.int32(as_int32(inverse(boundary, scale)) - BELOW), NOTHING))
                missed = NOTHING
                for k in range(TRIED):
                    quotient = step(as_float32(np.int32(word + np.int32(k))), scale)
                    missed = np.int32(missed + pick(quotient >= boundary, NOTHING, ONE))
                words[place, block] = np.int32(word + missed)

    return words_reached


def of_magnitudes(behind):
    """The kernel for elements of a sign and a magnitude; a scale of 0 gives zeros."""

    @kernel
    def encode_blocks(bits, totals, boundaries, beyond, sign_bit, codes):
        words = np.empty((BOUNDARIES, STRIP), np.int32)
        for strip in range(0, totals.size, STRIP):
            last = min(strip + STRIP, totals.size)
            behind(words, totals[strip:last], boundaries[0], beyond[0])
            row, out = bits[strip:last], codes[strip:last]
            for k in range(last - strip):
                a, b, c, d = words[0, k], words[1, k], words[2, k], words[3, k]
                e, f, g = words[4, k], words[5, k], words[6, k]
                for i in range(bits.shape[1]):
                    count = reached(np.int32(row[k, i] & BINARY32_MAGNITUDE), a, b, c, d, e, f, g)
                    out[k, i] = np.int32(count | np.int32(shift_right_32(row[k, i], SIGN_SHIFT) & sign_bit))

    return encode_blocks


def of_signs(behind):
    """The same where numbers with a sign have scales of their own, or boundaries."""

    @kernel
    def encode_blocks(bits, positive, negative, boundaries, beyond, sign_bit, codes):
        words, others = np.empty((BOUNDARIES, STRIP), np.int32), np.empty((BOUNDARIES, STRIP), np.int32)
        for strip in range(0, positive.size, STRIP):
            last = min(strip + STRIP, positive.size)
            behind(words, positive[strip:last], boundaries[0], beyond[0])
            behind(others, negative[strip:last], boundaries[1], beyond[1])
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

    return encode_blocks


words_of_quotients, words_of_products = of_steps(divided, multiplied), of_steps(multiplied, divided)
encode, encode_by_sign = of_magnitudes(words_behind), of_signs(words_behind)
encode_quotients, encode_quotients_by_sign = of_magnitudes(words_of_quotients), of_signs(words_of_quotients)
encode_products, encode_products_by_sign = of_magnitudes(words_of_products), of_signs(words_of_products)


@scalar
def least_behind(number, total, beyond):
    """The least binary32 number at or above ``number * total``, above it if ``beyond`` is 1."""
    boundary = number * total
    nearest = np.float32(np.float32(boundary) + ZERO)  # of two zeros, the one whose word is 0
    back = np.float64(nearest)
    short = np.int32(back < boundary) | np.int32(np.int32(back == boundary) & beyond)
    word = as_int32(nearest)
    following = pick(word < NOTHING, np.int32(word - ONE), np.int32(word + ONE))
    return as_float32(pick(short == ONE, following, word))


@scalar
def numbers_behind(numbers, totals, boundaries, beyond, of_zero):
    """The numbers behind each boundary for some blocks, one row a boundary; ``of_zero`` for a total of 0."""
    for place in range(SIGNED_BOUNDARIES):
        number, strict, ordinary = boundaries[place], beyond[place], of_zero[place]
        for block in range(totals.size):
            numbers[place, block] = pick(totals[block] > 0, least_behind(number, totals[block], strict), ordinary)


@scalar
def passed(number, boundary, step):
    """The step to the next code where a number reaches a boundary."""
    return pick(number >= boundary, step, NOTHING)


@scalar
def four_passed(number, a, b, c, d, k, m, n, p):
    """Four such steps."""
    return np.int32(
        np.int32(passed(number, a, k) + passed(number, b, m)) + np.int32(passed(number, c, n) + passed(number, d, p))
    )


@kernel
def encode_signed(bits, totals, boundaries, beyond, of_zero, code_steps, first, codes):
    """Codes of elements from the code of the lowest value on: a step for each boundary that is reached."""
    numbers = np.empty((SIGNED_BOUNDARIES, STRIP), np.float32)
    steps = constants(code_steps, SIGNED_BOUNDARIES)
    lowest = np.int32(first)
    for strip in range(0, totals.size, STRIP):
        last = min(strip + STRIP, totals.size)
        numbers_behind(numbers, totals[strip:last], boundaries, beyond, of_zero)
        row, out = bits[strip:last], codes[strip:last]
        for k in range(last - strip):
            at = constants(numbers[:, k], SIGNED_BOUNDARIES)
            for i in range(bits.shape[1]):
                x = as_float32(row[k, i])
                code = four_passed(x, at[0], at[1], at[2], at[3], steps[0], steps[1], steps[2], steps[3])
                more = four_passed(x, at[4], at[5], at[6], at[7], steps[4], steps[5], steps[6], steps[7])
                code, most = np.int32(code + more), np.int32(lowest + passed(x, at[14], steps[14]))
                more = four_passed(x, at[8], at[9], at[10], at[11], steps[8], steps[9], steps[10], steps[11])
                code, most = np.int32(code + more), np.int32(most + passed(x, at[13], steps[13]))
                out[k, i] = np.int32(code + np.int32(most + passed(x, at[12], steps[12])))
