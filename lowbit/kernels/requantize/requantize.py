"""Requantisation in 64-bit integers: every scheme, with flags. The fast loops are proved equal to these.

``constants`` says what a scheme does, a column of ``parameters`` is one channel's multiplier and shifts. Binary
floating-point steps are integers too: a significand, an exponent, and round to nearest even.
"""

from __future__ import annotations

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.select import pick
from lowbit.kernels.requantize import layout as at

CONSTANTS = at.CONSTANTS  # numba wants the size as a global of this file
INT16_MAX = (1 << 15) - 1
HIGH_SHIFT = 31  # SRDHM keeps the product's bits from 2^31 on
BEYOND = 1 << 62  # stands for every magnitude that is larger still
ACCUMULATOR_BITS = 32  # of a binary product's accumulator
LOW_BITS = 26  # a 53-bit significand is multiplied in two parts
TINY = 60  # a 53-bit number shifted right by more is below a quarter


@scalar
def wrap_32(value):
    """The value modulo 2^32, two's complement."""
    return ((value + (1 << 31)) & ((1 << 32) - 1)) - (1 << 31)


@scalar
def limit(value, largest):
    """The value, saturated to -largest - 1 .. largest."""
    return min(max(value, -largest - 1), largest)


@scalar
def half_up(value, count):
    """``value / 2**count`` to nearest, a tie toward +infinity."""
    return (value + ((1 << count) >> 1)) >> count


@scalar
def to_nearest(value, count, v):
    """``value / 2**count`` to nearest, a tie as the scheme says."""
    odd = (value >> count) & 1
    change = (pick(value < 0, -1, 0) & v[at.TIE_AWAY]) + ((odd - 1) & v[at.TIE_EVEN])
    return (value + ((1 << count) >> 1) + pick(count > 0, change, 0)) >> count


@scalar
def to_precision(magnitude, sticky, bits):
    """A magnitude (and whether there is more below) to ``bits`` bits, ties to even: (significand, exponent)."""
    drop = max(bit_length(magnitude) - bits, 0)
    doubled = (magnitude << 1) | sticky
    odd = (magnitude >> drop) & 1
    inexact = pick(drop > 0, (1 << drop) - 1 + odd, 0)
    return (doubled + inexact) >> (drop + 1), drop


@scalar
def integer_product(accumulator, multiplier, left, pre_right, right, v):
    """The rounded product with an integer multiplier: (rounded, whether a step left its width)."""
    start = accumulator - v[at.ZERO_BEFORE]
    shifted = half_up(start << left, pre_right)
    narrow = pick(
        v[at.WRAP_LEFT] != 0, wrap_32(shifted), pick(v[at.PRE_SHIFT] != 0, limit(shifted, INT16_MAX), shifted)
    )
    product = narrow * multiplier
    magnitude, exponent = to_precision(abs(product), 0, pick(v[at.PRECISION] > 0, v[at.PRECISION], 63))
    product = pick(product < 0, -1, 1) * (magnitude << exponent)
    product = pick(v[at.HIGH_HALF] != 0, (product + v[at.HIGH_NUDGE]) >> HIGH_SHIFT, product)
    return to_nearest(product, right, v), narrow != shifted


@scalar
def binary_product(accumulator, significand, right, v):
    """|accumulator| * significand * 2**-right in binary floating point: (significand, exponent).

    The significand has 53 bits, the accumulator at most 32.
    """
    magnitude, exponent = to_precision(abs(accumulator), 0, v[at.PRECISION])
    missing = ACCUMULATOR_BITS - bit_length(magnitude)
    normal = magnitude << missing
    lower = normal * (significand & ((1 << LOW_BITS) - 1))
    top = normal * (significand >> LOW_BITS) + (lower >> LOW_BITS)
    sticky = pick((lower & ((1 << LOW_BITS) - 1)) != 0, 1, 0)
    product, drop = to_precision(top, sticky, v[at.PRECISION])
    return product, drop + exponent + LOW_BITS - missing - right


@scalar
def nearest_integer(significand, exponent, negative, v):
    """``±significand * 2**exponent`` to nearest, a tie as the scheme says."""
    count = min(max(-exponent, 0), TINY)
    room = 62 - bit_length(significand)
    whole = significand << min(max(exponent, 0), room)
    whole = pick((exponent > room) & (significand != 0), BEYOND, whole)
    signed = pick(negative, -whole, whole)
    return pick(-exponent > TINY, 0, to_nearest(signed, count, v))


@scalar
def floor_half_added(significand, exponent, negative, v):
    """floor(±significand * 2**exponent + 1/2), where the sum is rounded to the precision first."""
    small = exponent < -40  # at most 24 bits: the value is below 2^-16
    large = exponent > 35
    unit = min(max(exponent, -40), -1)
    whole = significand << min(max(exponent - unit, 0), 36)
    total = pick(negative, -whole, whole) + (1 << (-1 - unit))
    rounded, drop = to_precision(abs(total), 0, v[at.PRECISION])
    rounded = pick(total < 0, -1, 1) * (rounded << drop)
    result = pick(large, pick(negative, -BEYOND, BEYOND), rounded >> -unit)
    return pick(small | (significand == 0), 0, result)


@scalar
def finish(rounded, v):
    """Narrow, add the zero point and clamp: (code, whether it was clamped, whether it left its width)."""
    value = pick(v[at.NARROW_WRAP] != 0, wrap_32(rounded), limit(rounded, v[at.NARROW_LIMIT]))
    total = value + v[at.ZERO_SUM]
    kept = pick(v[at.NARROW_WRAP] != 0, wrap_32(total), limit(total, v[at.NARROW_LIMIT]))
    shifted = kept + v[at.ZERO_CLAMPED]
    clamped = min(max(shifted, v[at.LOW]), v[at.HIGH])
    code = pick(v[at.WRAP_MASK] != 0, ((shifted - v[at.LOW]) & v[at.WRAP_MASK]) + v[at.LOW], clamped)
    return code, code != shifted, (value != rounded) | (kept != total)


@scalar
def flags_of(saturated, wrapped):
    """The two flags of a result."""
    return pick(saturated, at.FLAG_SATURATED, 0) | pick(wrapped, at.FLAG_WRAPPED, 0)


@kernel
def requantize_integer(accumulators, parameters, vector, out, flags):
    """Rows of accumulators, a column a channel, by integer multipliers."""
    v = constants(vector, CONSTANTS)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            rounded, wrapped = integer_product(
                accumulators[i, j], parameters[0, j], parameters[1, j], parameters[2, j], parameters[3, j], v
            )
            code, saturated, narrowed = finish(rounded, v)
            out[i, j] = code
            flags[i, j] = flags_of(saturated, wrapped | narrowed)


@kernel
def requantize_binary(accumulators, parameters, vector, out, flags):
    """Rows of accumulators, a column a channel, by binary32 or binary64 scales."""
    v = constants(vector, CONSTANTS)
    for i in range(accumulators.shape[0]):
        for j in range(accumulators.shape[1]):
            negative = accumulators[i, j] < 0
            significand, exponent = binary_product(accumulators[i, j], parameters[0, j], parameters[3, j], v)
            nearest = nearest_integer(significand, exponent, negative, v)
            rounded = pick(v[at.HALF_ADDED] != 0, floor_half_added(significand, exponent, negative, v), nearest)
            code, saturated, narrowed = finish(rounded, v)
            out[i, j] = code
            flags[i, j] = flags_of(saturated, narrowed)
