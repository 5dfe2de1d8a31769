"""Floats of at most 8 bits to binary32 in 32-bit lanes: a declared exception to the int64 rule.

A normal code needs only its fields moved and its exponent rebiased; a subnormal one is its mantissa, an integer,
times a power of two, which binary32 holds exactly. Code 0 has a value of its own: zero, or the lowest power of two
of float8_e8m0fnu, which binary32 has as a subnormal number. No operand is a binary32 subnormal: those cost hundreds
of cycles on some processors. Processors that look bytes up in vector registers take ``simd_decode.py`` instead.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel
from lowbit.kernels.lib.bits import as_float32, shift_left_32, shift_right_32

SHIFT, REBIAS, MIN_NORMAL, MAX_CODE, MAGNITUDE, INFINITE, NAN, NAN_FLIP = range(8)
PAYLOAD_MASK, SIGN_SHIFT, SIGN_MASK, ZERO_NAN, LOWEST, SIZE = range(8, 14)

BINARY32_SIGN = np.int32(-(1 << 31))
BINARY32_INFINITY = np.int32(0x7F800000)


@kernel
def decode(codes, unit, vector, out):
    """uint8 codes to binary32; ``unit`` is the ulp of the subnormal binade."""
    parameters = constants(vector, SIZE)
    shift, rebias = parameters[SHIFT], parameters[REBIAS]
    min_normal, max_code = parameters[MIN_NORMAL], parameters[MAX_CODE]
    magnitude_mask, infinite = parameters[MAGNITUDE], parameters[INFINITE]
    nan, nan_flip = parameters[NAN], parameters[NAN_FLIP]
    payload_mask, zero_nan = parameters[PAYLOAD_MASK], parameters[ZERO_NAN]
    lowest = parameters[LOWEST]
    sign_shift, sign_mask = parameters[SIGN_SHIFT], parameters[SIGN_MASK]
    for i in range(codes.size):
        code = np.int32(codes[i])
        magnitude = np.int32(code & magnitude_mask)
        negative = np.int32(np.int32(-shift_right_32(code, sign_shift)) & sign_mask)
        sign = np.int32(negative & BINARY32_SIGN)
        fields = shift_left_32(magnitude, shift)
        normal = np.int32(np.int32(fields + rebias) | sign)
        special = np.int32(np.int32(nan ^ np.int32(negative & nan_flip)) | np.int32(fields & payload_mask))
        special = np.int32(BINARY32_INFINITY | sign) if magnitude == infinite else special
        beyond = (magnitude > max_code) | ((np.int32(code & zero_nan) != 0) & (magnitude == 0))
        signed = np.int32(magnitude ^ negative) - negative
        subnormal = np.float32(np.int32(signed)) * unit
        small = as_float32(np.int32(lowest | sign)) if magnitude == 0 else subnormal
        value = small if magnitude < min_normal else as_float32(normal)
        out[i] = as_float32(special) if beyond else value
