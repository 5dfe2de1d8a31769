"""binary32 to floats of at most 8 bits, to nearest, in 32-bit lanes: a declared exception to the int64 rule.

Sixteen elements go through one AVX-512 register, so each instruction counts. Rounding is one binary32 addition: to
|x| is added the power of two ``anchor`` whose unit in the last place is the target's at |x|, and the hardware rounds
the sum to nearest even. The difference of the bits of sum and anchor is |x| in those units, rounded. Subnormal
results are no case of their own: there the anchor stays that of the lowest binade.

The parameters are int32, since one 64-bit number among them would widen the lanes. ``tests/agree`` proves these loops
equal to ``kernels/cast.py`` at every boundary.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._bits import as_float32, as_int32, shift_right_32, shift_right_logical_32
from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.project import pick

# Places of the parameters. A *_FLIP is xored onto its code for a negative input.
SHIFT, TO_ANCHOR, FIRST_ANCHOR, MIN_NORMAL, BEYOND, MAX_CODE, SIGN, PAYLOAD_MASK = range(8)
OVERFLOW, OVERFLOW_FLIP, NAN, NAN_FLIP, NEGATIVE_ABOVE, NEGATIVE, ZERO, ZERO_FLIP = range(8, 16)
HALF, ODD, LOWEST_TIE = range(16, 19)
SIZE = 19

BINARY32_INFINITY = np.int32(0x7F800000)
BINARY32_MAGNITUDE = np.int32(0x7FFFFFFF)
SIGN_SHIFT = np.int32(31)
ONE = np.int32(1)
NO_PARITY = np.int32(0)


@scalar
def round_magnitude(magnitude, parity, parameters):
    """The magnitude code of a binary32 magnitude, rounded to nearest even; beyond the top, some code beyond it.

    ``parity`` is 1 for a target without mantissa, where the parity of the code decides a tie: the anchor takes it over.
    """
    limited = min(magnitude, parameters[BEYOND])
    anchor = np.int32(max(np.int32(limited & BINARY32_INFINITY), parameters[MIN_NORMAL]) + parameters[TO_ANCHOR])
    base = shift_right_32(np.int32(anchor - parameters[FIRST_ANCHOR]), parameters[SHIFT])
    anchor = np.int32(anchor + np.int32(base & parity))
    total = as_int32(as_float32(limited) + as_float32(anchor))
    return np.int32(np.int32(total - anchor) + base)


@scalar
def with_specials(magnitude, negative, code, result, parameters):
    """The result, unless the input overflows, is infinite (which overflows too) or is NaN."""
    overflow = np.int32(parameters[OVERFLOW] ^ np.int32(negative & parameters[OVERFLOW_FLIP]))
    nan = np.int32(parameters[NAN] ^ np.int32(negative & parameters[NAN_FLIP]))
    result = pick(code > parameters[MAX_CODE], overflow, result)
    return pick(magnitude > BINARY32_INFINITY, nan, result)


@kernel
def encode_symmetric(bits, vector, out):
    """Signed targets that treat both signs alike, where overflow gives the largest value or the code after it."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        code = min(round_magnitude(magnitude, NO_PARITY, parameters), parameters[OVERFLOW])
        code = pick(magnitude > BINARY32_INFINITY, parameters[NAN], code)
        out[i] = np.int32(code | np.int32(shift_right_32(bits[i], SIGN_SHIFT) & parameters[SIGN]))


@kernel
def encode_nan_beyond(bits, vector, out):
    """Signed targets without -0, where all that overflows becomes the one NaN (FNUZ)."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        code = round_magnitude(magnitude, NO_PARITY, parameters)
        sign = np.int32(shift_right_32(bits[i], SIGN_SHIFT) & parameters[SIGN])
        result = np.int32(code | pick(code == np.int32(0), code, sign))
        out[i] = pick(code > parameters[MAX_CODE], parameters[NAN], result)


@kernel
def encode_signed(bits, vector, out):
    """Signed targets that have -0, for policies that keep it."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        negative = shift_right_32(bits[i], SIGN_SHIFT)
        code = round_magnitude(magnitude, NO_PARITY, parameters)
        result = np.int32(code | np.int32(negative & parameters[SIGN]))
        out[i] = with_specials(magnitude, negative, code, result, parameters)


@kernel
def encode_signed_with_payload(bits, vector, out):
    """The same for targets whose NaNs take over the leading payload bits."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        negative = shift_right_32(bits[i], SIGN_SHIFT)
        code = round_magnitude(magnitude, NO_PARITY, parameters)
        result = np.int32(code | np.int32(negative & parameters[SIGN]))
        result = with_specials(magnitude, negative, code, result, parameters)
        payload = np.int32(shift_right_32(magnitude, parameters[SHIFT]) & parameters[PAYLOAD_MASK])
        out[i] = pick(magnitude > BINARY32_INFINITY, np.int32(result | payload), result)


@scalar
def with_sign(magnitude, negative, code, parameters):
    """The result where zeros and negative values have codes of their own."""
    result = np.int32(code | np.int32(negative & parameters[SIGN]))
    refused = np.int32(negative & code) > parameters[NEGATIVE_ABOVE]
    result = pick(refused, parameters[NEGATIVE], result)
    zero = np.int32(parameters[ZERO] ^ np.int32(negative & parameters[ZERO_FLIP]))
    result = pick(code == np.int32(0), zero, result)
    return with_specials(magnitude, negative, code, result, parameters)


@kernel
def encode_any_sign(bits, vector, out):
    """Targets without -0, and unsigned ones."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        negative = shift_right_32(bits[i], SIGN_SHIFT)
        out[i] = with_sign(magnitude, negative, round_magnitude(magnitude, NO_PARITY, parameters), parameters)


@kernel
def encode_without_mantissa(bits, vector, out):
    """Targets of powers of two and zero, signed or not."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        negative = shift_right_32(bits[i], SIGN_SHIFT)
        out[i] = with_sign(magnitude, negative, round_magnitude(magnitude, ONE, parameters), parameters)


@scalar
def round_exponent(magnitude, parameters):
    """The code of a target with binary32's exponent field and no mantissa; up to LOWEST_TIE it is 0."""
    odd = np.int32(shift_right_32(magnitude, parameters[SHIFT]) & parameters[ODD])
    rounded = np.int32(np.int32(magnitude + parameters[HALF]) + odd)  # a NaN may carry into the sign
    code = shift_right_logical_32(rounded, parameters[SHIFT])
    return pick(magnitude > parameters[LOWEST_TIE], code, np.int32(0))


@kernel
def encode_exponent(bits, vector, out):
    """float8_e8m0fnu for policies that drop the sign, where overflow gives the NaN: both are the code after the top."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        code = round_exponent(np.int32(bits[i] & BINARY32_MAGNITUDE), parameters)
        out[i] = min(code, parameters[OVERFLOW])


@kernel
def encode_exponent_any_sign(bits, vector, out):
    """float8_e8m0fnu under any policy."""
    parameters = constants(vector, SIZE)
    for i in range(bits.size):
        magnitude = np.int32(bits[i] & BINARY32_MAGNITUDE)
        negative = shift_right_32(bits[i], SIGN_SHIFT)
        code = round_exponent(magnitude, parameters)
        result = pick(negative > parameters[NEGATIVE_ABOVE], code, parameters[NEGATIVE])
        zero = np.int32(parameters[ZERO] ^ np.int32(negative & parameters[ZERO_FLIP]))
        result = pick(magnitude == np.int32(0), zero, result)
        out[i] = with_specials(magnitude, negative, code, result, parameters)
