"""binary32 to floats of at most 16 bits under any policy, in 32-bit lanes.

The same steps as ``unpack_float`` and ``project_float`` with half as wide numbers: a declared exception to the int64
rule, which doubles the elements in a register. The vector is the one that ``lowbit.ops.cast.lowering`` makes, as int32.
``tests/agree`` proves it equal to the int64 kernels.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.cast import layout as at
from lowbit.kernels.cast.layout import SIZE
from lowbit.kernels.cast.project import by_sign
from lowbit.kernels.lib.bits import bit_length_32, shift_left_32, shift_right_32
from lowbit.kernels.lib.select import pick

MANTISSA_BITS = np.int32(23)
MANTISSA_MASK = np.int32(0x007FFFFF)
HIDDEN_BIT = np.int32(0x00800000)
MAGNITUDE_MASK = np.int32(0x7FFFFFFF)
INFINITY = np.int32(0x7F800000)
BASE = np.int32(-150)  # exponent of the ulp of exponent field 0, as if it had a hidden bit
LONGEST_SHIFT = np.int32(29)  # a longer shift leaves less than half a unit: magnitudes are below 2**25
ZERO, ONE, LOWEST_INDEX, SIGN_SHIFT = np.int32(0), np.int32(1), np.int32(-2), np.int32(31)


@scalar
def increment(unit, odd, negative, vector):
    """What rounding adds before ``unit`` is cut off, as in ``project.increment``."""
    if_even = np.int32(~np.int32(np.int32(-odd) & vector[at.ROUND_FULL_IF_EVEN]))
    full = np.int32(np.int32(np.int32(unit - ONE) & by_sign(negative, at.ROUND_FULL, vector)) & if_even)
    half = np.int32(shift_right_32(unit, ONE) & vector[at.ROUND_HALF])
    tie = np.int32(np.int32(odd ^ vector[at.ROUND_ODD_FLIP]) & vector[at.ROUND_ODD])
    return np.int32(np.int32(half + by_sign(negative, at.ROUND_ONE, vector)) + np.int32(tie + full))


@scalar
def stochastic_increment(wide, shift, random, vector):
    """The increment of the stochastic modes, as in ``project.stochastic_increment``."""
    count = vector[at.RANDOM_BITS]
    scaled = np.int32(shift_left_32(random, vector[at.RANDOM_SCALE]) + vector[at.RANDOM_OFFSET])
    down = max(np.int32(shift - count), ZERO)
    addend = shift_right_32(shift_left_32(scaled, down), max(np.int32(count - shift), ZERO))
    lowest = np.int32(shift_right_32(wide, down) & ONE)
    nearest = np.int32(np.int32(shift_right_32(shift_left_32(ONE, down), ONE) - ONE) + lowest)
    applies = (vector[at.RANDOM_NEAREST] != ZERO) & (down > ZERO)
    return np.int32(addend + pick(applies, nearest, ZERO))


@scalar
def jam(magnitude, count):
    """Shift right; bits that fall off leave a one in the last place."""
    kept = shift_right_32(magnitude, count)
    return np.int32(kept | pick(shift_left_32(kept, count) != magnitude, ONE, ZERO))


@scalar
def place(exponent, leading, vector):
    """Where the target's unit lies, as in ``project.place``: (index, shift, left, right, beyond)."""
    lowest = max(np.int32(np.int32(exponent + leading) - vector[at.PRECISION]), vector[at.CLAMP])
    index = np.int32(lowest - vector[at.SMALLEST])
    shift = np.int32(lowest - exponent)
    beyond = index > vector[at.MAX_INDEX]
    index = max(min(index, vector[at.MAX_INDEX]), LOWEST_INDEX)
    left = min(max(np.int32(-shift), ZERO), LONGEST_SHIFT)
    return index, shift, left, np.int32(min(max(shift, ZERO), LONGEST_SHIFT) + ONE), beyond


@scalar
def flushed(code, exponent, leading, vector):
    """The code, or zero where results are flushed."""
    flush = (code < vector[at.FLUSH_CODE]) | (np.int32(exponent + leading) <= vector[at.FLUSH_LEADING])
    return pick(flush, ZERO, code)


@scalar
def round_off(magnitude, exponent, negative, vector):
    """The magnitude code of a finite nonzero value, and whether it lies beyond the highest binade."""
    leading = bit_length_32(magnitude)
    index, _, left, right, beyond = place(exponent, leading, vector)
    wide = shift_left_32(magnitude, ONE)
    base = np.int32(shift_left_32(index, vector[at.MANTISSA_BITS]) - vector[at.HIDDEN])
    odd = np.int32(np.int32(shift_left_32(shift_right_32(wide, right), left) + base) & ONE)
    added = np.int32(wide + increment(shift_left_32(ONE, right), odd, negative, vector))
    code = np.int32(shift_left_32(shift_right_32(added, right), left) + base)
    return flushed(code, exponent, leading, vector), beyond


@scalar
def round_off_random(magnitude, exponent, random, vector):
    """The same by a stochastic mode."""
    leading = bit_length_32(magnitude)
    index, shift, left, right, beyond = place(exponent, leading, vector)
    longer = min(max(np.int32(shift - LONGEST_SHIFT), ZERO), LONGEST_SHIFT)
    wide = jam(shift_left_32(magnitude, ONE), longer)
    base = np.int32(shift_left_32(index, vector[at.MANTISSA_BITS]) - vector[at.HIDDEN])
    added = np.int32(wide + stochastic_increment(wide, right, random, vector))
    code = np.int32(shift_left_32(shift_right_32(added, right), left) + base)
    return flushed(code, exponent, leading, vector), beyond


@scalar
def take_apart(word, vector):
    """(magnitude of the word, negative, mantissa field, magnitude, exponent) of a binary32 word."""
    whole = np.int32(word & MAGNITUDE_MASK)
    keep_sign = np.int32(ONE - vector[at.SOURCE_DROP_SIGN])
    negative = np.int32(np.int32(shift_right_32(word, SIGN_SHIFT) & ONE) & keep_sign)
    field = shift_right_32(whole, MANTISSA_BITS)
    mantissa = np.int32(whole & MANTISSA_MASK)
    magnitude = np.int32(mantissa | pick(field > ZERO, HIDDEN_BIT, ZERO))
    magnitude = pick(whole < vector[at.SOURCE_FLUSH], ZERO, magnitude)
    return whole, negative, mantissa, magnitude, np.int32(max(field, ONE) + BASE)


@scalar
def finish(whole, negative, mantissa, magnitude, code, beyond, vector):
    """The final code of a rounded magnitude code, or of an input that is not rounded."""
    above = (negative != ZERO) & (code > vector[at.NEGATIVE_ABOVE])
    result = pick(above, vector[at.NEGATIVE], np.int32(code + by_sign(negative, at.SIGN, vector)))
    result = pick(code == vector[at.ZERO_MATCH], by_sign(negative, at.ZERO, vector), result)
    result = pick(code < ZERO, by_sign(negative, at.UNDERFLOW, vector), result)
    overflow = beyond | (code > vector[at.MAX_CODE])
    result = pick(overflow, by_sign(negative, at.OVERFLOW, vector), result)
    result = pick(magnitude == ZERO, by_sign(negative, at.ZERO_INPUT, vector), result)
    result = pick(whole == INFINITY, by_sign(negative, at.INFINITY, vector), result)
    payload = shift_right_32(shift_left_32(mantissa, vector[at.PAYLOAD_LEFT]), vector[at.PAYLOAD_RIGHT])
    payload = np.int32(payload & vector[at.PAYLOAD_MASK])
    return pick(whole > INFINITY, np.int32(by_sign(negative, at.NAN, vector) | payload), result)


@kernel
def encode(bits, vector, out):
    """binary32 bits to codes by a mode that is not stochastic."""
    vector = constants(vector, SIZE)
    for i in range(bits.size):
        whole, negative, mantissa, magnitude, exponent = take_apart(bits[i], vector)
        code, beyond = round_off(magnitude, exponent, negative, vector)
        out[i] = finish(whole, negative, mantissa, magnitude, code, beyond, vector)


@kernel
def encode_random(bits, random, vector, out):
    """binary32 bits to codes by a stochastic mode with at most 24 random bits."""
    vector = constants(vector, SIZE)
    for i in range(bits.size):
        whole, negative, mantissa, magnitude, exponent = take_apart(bits[i], vector)
        code, beyond = round_off_random(magnitude, exponent, random[i], vector)
        out[i] = finish(whole, negative, mantissa, magnitude, code, beyond, vector)
