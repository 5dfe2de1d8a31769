"""binary32 into blocks of floats of at most 8 bits under float8_e8m0fnu scales: an exception to the int64 rule.

A scale follows from the words of a block: the largest magnitude is the largest integer, its exponent field is the
exponent, and every scale rule adds one where the mantissa has reached some number. A value times the reciprocal of a
power of two is exact but where it becomes subnormal, which is far below what any element format of 8 bits rounds to
zero; the element then is a cast of ``kernels/cast/fast_binary32.py``.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.cast.fast_binary32 import (
    BINARY32_INFINITY,
    BINARY32_MAGNITUDE,
    FIRST_ANCHOR,
    OVERFLOW,
    SHIFT,
    SIGN,
    SIGN_SHIFT,
    SIZE,
    TO_ANCHOR,
    signed,
    symmetric,
)
from lowbit.kernels.cast.fast_binary32 import MIN_NORMAL as MIN_ANCHORED
from lowbit.kernels.lib.bits import as_float32, as_int32, shift_left_32, shift_right_32
from lowbit.kernels.lib.select import pick

# Places of the rule: what is added to the exponent field, the mantissa from which on one more is, and final codes.
OFFSET, BUMP, BELOW, BEYOND, INFINITE, NAN, ZERO, SIZE_OF_RULE = range(8)

MANTISSA = np.int32(0x007FFFFF)
MIN_NORMAL = np.int32(0x00800000)
MANTISSA_BITS = np.int32(23)
SUBNORMAL = np.int32(149)  # a subnormal word is a number of units of 2^-149
LARGEST = np.int32(254)
NAN_SCALE = 255
QUIET_NAN = np.int32(0x7FC00000)
HALF_OF_MIN_NORMAL = np.int32(0x00400000)  # 2^-127
NOTHING, ONE = np.int32(0), np.int32(1)


@scalar
def scale_code(amax, rule):
    """The scale of a block whose largest magnitude has this word."""
    small = amax < MIN_NORMAL
    word = pick(small, as_int32(np.float32(amax)), amax)
    code = np.int32(shift_right_32(word, MANTISSA_BITS) - pick(small, SUBNORMAL, NOTHING))
    code = np.int32(np.int32(code + rule[OFFSET]) + pick(np.int32(word & MANTISSA) >= rule[BUMP], ONE, NOTHING))
    code = pick(code < NOTHING, rule[BELOW], pick(code > LARGEST, rule[BEYOND], code))
    code = pick(amax == NOTHING, rule[ZERO], code)
    return pick(amax >= BINARY32_INFINITY, pick(amax == BINARY32_INFINITY, rule[INFINITE], rule[NAN]), code)


@scalar
def reciprocal(code):
    """The power of two that values are multiplied by, for a scale that is not NaN."""
    word = shift_left_32(np.int32(LARGEST - code), MANTISSA_BITS)
    return as_float32(pick(code == LARGEST, HALF_OF_MIN_NORMAL, word))


@scalar
def finite(bits, parameters):
    """The code of a number that is not far beyond the largest element, where both signs are treated alike.

    As ``round_magnitude`` of ``kernels/cast/fast_binary32.py`` has it, without the cases that a finite block has not.
    """
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    anchor = np.int32(max(np.int32(magnitude & BINARY32_INFINITY), parameters[MIN_ANCHORED]) + parameters[TO_ANCHOR])
    base = shift_right_32(np.int32(anchor - parameters[FIRST_ANCHOR]), parameters[SHIFT])
    total = as_int32(as_float32(magnitude) + as_float32(anchor))
    code = min(np.int32(np.int32(total - anchor) + base), parameters[OVERFLOW])
    return np.int32(code | np.int32(shift_right_32(bits, SIGN_SHIFT) & parameters[SIGN]))


def in_blocks(encode):
    """The kernel for blocks, a row each, whose elements are encoded so where a block is not finite."""

    @kernel
    def encode_blocks(bits, rule_vector, vector, codes, scales):
        rule, parameters = constants(rule_vector, SIZE_OF_RULE), constants(vector, SIZE)
        for block in range(bits.shape[0]):
            amax = NOTHING
            for i in range(bits.shape[1]):
                magnitude = np.int32(bits[block, i] & BINARY32_MAGNITUDE)
                amax = pick(magnitude > amax, magnitude, amax)
            code = scale_code(amax, rule)
            scales[block] = code
            if amax < BINARY32_INFINITY and code != NAN_SCALE:
                factor = reciprocal(code)
                for i in range(bits.shape[1]):
                    codes[block, i] = finite(as_int32(as_float32(bits[block, i]) * factor), parameters)
            elif code == NAN_SCALE:  # what a product of NaNs is differs between processors
                for i in range(bits.shape[1]):
                    absent = np.int32(bits[block, i] & BINARY32_MAGNITUDE) > BINARY32_INFINITY
                    codes[block, i] = encode(pick(absent, bits[block, i], QUIET_NAN), parameters)
            else:
                factor = reciprocal(code)
                for i in range(bits.shape[1]):
                    codes[block, i] = encode(as_int32(as_float32(bits[block, i]) * factor), parameters)

    return encode_blocks


symmetric_blocks = in_blocks(symmetric)
signed_blocks = in_blocks(signed)
