"""binary32 into blocks of floats of at most 8 bits under float8_e8m0fnu scales: an exception to the int64 rule.

A scale follows from the words of a block: the largest magnitude is the largest integer, its exponent field is the
exponent, and every scale rule adds one where the mantissa has reached some number. A value times the reciprocal of a
power of two is exact but where it becomes subnormal, which is far below what any element format of 8 bits rounds to
zero; the element then is a cast of ``kernels/cast/fast_binary32.py``.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.cast.fast_binary32 import BINARY32_INFINITY, BINARY32_MAGNITUDE, SIZE, signed, symmetric
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
USUAL_BLOCK = 32
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


def in_blocks(encode, length):
    """The kernel for one encoding of elements, and for blocks of ``length``; 0 is any length."""

    @kernel
    def encode_blocks(bits, rule_vector, vector, codes, scales):
        rule, parameters = constants(rule_vector, SIZE_OF_RULE), constants(vector, SIZE)
        for block in range(bits.shape[0]):
            amax = NOTHING
            for i in range(length or bits.shape[1]):
                amax = max(amax, np.int32(bits[block, i] & BINARY32_MAGNITUDE))
            code = scale_code(amax, rule)
            scales[block] = code
            if code == NAN_SCALE:  # what a product of NaNs is differs between processors
                for i in range(length or bits.shape[1]):
                    absent = np.int32(bits[block, i] & BINARY32_MAGNITUDE) > BINARY32_INFINITY
                    codes[block, i] = encode(pick(absent, bits[block, i], QUIET_NAN), parameters)
            else:
                factor = reciprocal(code)
                for i in range(length or bits.shape[1]):
                    codes[block, i] = encode(as_int32(as_float32(bits[block, i]) * factor), parameters)

    return encode_blocks


symmetric_blocks = in_blocks(symmetric, USUAL_BLOCK)
symmetric_blocks_of_any_length = in_blocks(symmetric, 0)
signed_blocks = in_blocks(signed, USUAL_BLOCK)
signed_blocks_of_any_length = in_blocks(signed, 0)
