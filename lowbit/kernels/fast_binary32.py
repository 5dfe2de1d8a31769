"""binary32 to floats of at most 8 bits, to nearest, in 32-bit lanes: a declared exception to the int64 rule.

Sixteen elements go through one AVX-512 register. A normal result is rounded with integers; a subnormal one by a
binary32 addition: ``|x| / ulp + 2**23 - 2**23`` is |x| in units of the lowest binade, rounded to nearest even by
the hardware. ``tests/agree`` proves these loops equal to ``kernels/cast.py`` at every boundary.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._bits import shift_right_32
from lowbit.kernels._jit import constants, kernel

# Places of the parameters. A *_FLIP is xored onto its code for a negative input.
SHIFT, HALF, ODD, OFFSET, MIN_NORMAL, MAX_CODE, SIGN, ZERO_SIGN = range(8)
OVERFLOW, OVERFLOW_FLIP, INFINITE, INFINITE_FLIP, NAN, NAN_FLIP, NEGATIVE_FROM, NEGATIVE = range(8, 16)
SIGN_MASK, ZERO, ZERO_FLIP, LOWEST_TIE, PAYLOAD_MASK = range(16, 21)
SIZE = 21

BINARY32_INFINITY = np.int32(0x7F800000)
BINARY32_MAGNITUDE = np.int32(0x7FFFFFFF)
BINARY32_MIN_NORMAL = np.int32(0x00800000)
INTEGER_BOUNDARY = np.float32(2.0**23)  # adding it cuts off the fraction
SIGN_SHIFT = np.int32(31)


@kernel
def encode_with_subnormals(bits, values, unit, vector, out):
    """Targets with a subnormal binade, whose smallest normal value is a normal binary32 number.

    ``values`` are the same elements as ``bits``; ``unit`` is 1 / ulp of the lowest binade, a power of two.
    """
    parameters = constants(vector, SIZE)
    shift, half = np.int32(parameters[SHIFT]), np.int32(parameters[HALF])
    parity, offset = np.int32(parameters[ODD]), np.int32(parameters[OFFSET])
    min_normal, max_code = np.int32(parameters[MIN_NORMAL]), np.int32(parameters[MAX_CODE])
    sign, zero_sign = np.int32(parameters[SIGN]), np.int32(parameters[ZERO_SIGN])
    overflow, overflow_flip = np.int32(parameters[OVERFLOW]), np.int32(parameters[OVERFLOW_FLIP])
    infinite, infinite_flip = np.int32(parameters[INFINITE]), np.int32(parameters[INFINITE_FLIP])
    nan, nan_flip = np.int32(parameters[NAN]), np.int32(parameters[NAN_FLIP])
    refused_from, refused = np.int32(parameters[NEGATIVE_FROM]), np.int32(parameters[NEGATIVE])
    sign_mask, payload_mask = np.int32(parameters[SIGN_MASK]), np.int32(parameters[PAYLOAD_MASK])
    for i in range(bits.size):
        word = bits[i]
        magnitude = np.int32(word & BINARY32_MAGNITUDE)
        negative = np.int32(shift_right_32(word, SIGN_SHIFT) & sign_mask)
        odd = np.int32(np.int32(shift_right_32(magnitude, shift) - offset) & parity)
        rounded = np.int32(np.int32(magnitude + half) + odd)
        normal = np.int32(shift_right_32(rounded, shift) - offset)
        small = np.abs(values[i]) * unit if magnitude < min_normal else np.float32(0.0)
        subnormal = np.int32((small + INTEGER_BOUNDARY) - INTEGER_BOUNDARY)
        code = subnormal if magnitude < min_normal else normal
        result = np.int32(code | np.int32(negative & sign))
        result = np.int32(negative & zero_sign) if code == 0 else result
        result = refused if np.int32(negative & code) >= refused_from else result
        result = np.int32(overflow ^ np.int32(negative & overflow_flip)) if code > max_code else result
        result = np.int32(infinite ^ np.int32(negative & infinite_flip)) if magnitude == BINARY32_INFINITY else result
        special = np.int32(nan ^ np.int32(negative & nan_flip))
        special = np.int32(special | np.int32(shift_right_32(magnitude, shift) & payload_mask))
        out[i] = special if magnitude > BINARY32_INFINITY else result


@kernel
def encode_powers_of_two(bits, vector, out):
    """An unsigned format of powers of two whose exponent field is binary32's (float8_e8m0fnu)."""
    parameters = constants(vector, SIZE)
    shift, half, parity = np.int32(parameters[SHIFT]), np.int32(parameters[HALF]), np.int32(parameters[ODD])
    max_code, lowest_tie = np.int32(parameters[MAX_CODE]), np.int32(parameters[LOWEST_TIE])
    overflow, overflow_flip = np.int32(parameters[OVERFLOW]), np.int32(parameters[OVERFLOW_FLIP])
    infinite, infinite_flip = np.int32(parameters[INFINITE]), np.int32(parameters[INFINITE_FLIP])
    nan, nan_flip = np.int32(parameters[NAN]), np.int32(parameters[NAN_FLIP])
    zero, zero_flip = np.int32(parameters[ZERO]), np.int32(parameters[ZERO_FLIP])
    refused, sign_mask = np.int32(parameters[NEGATIVE]), np.int32(parameters[SIGN_MASK])
    for i in range(bits.size):
        word = bits[i]
        magnitude = np.int32(word & BINARY32_MAGNITUDE)
        negative = np.int32(shift_right_32(word, SIGN_SHIFT) & sign_mask)
        odd = np.int32(shift_right_32(magnitude, shift) & parity)
        code = shift_right_32(np.int32(np.int32(magnitude + half) + odd), shift)
        lowest = np.int32(1) if magnitude > lowest_tie else np.int32(0)
        code = lowest if magnitude < BINARY32_MIN_NORMAL else code
        result = refused if negative != 0 else code
        result = np.int32(overflow ^ np.int32(negative & overflow_flip)) if code > max_code else result
        result = np.int32(infinite ^ np.int32(negative & infinite_flip)) if magnitude == BINARY32_INFINITY else result
        result = np.int32(nan ^ np.int32(negative & nan_flip)) if magnitude > BINARY32_INFINITY else result
        result = np.int32(zero ^ np.int32(negative & zero_flip)) if magnitude == 0 else result
        out[i] = result
