"""binary32 to floats of at most 8 bits, to nearest, in 32-bit lanes: a declared exception to the int64 rule.

Sixteen elements go through one AVX-512 register, so each instruction counts. Rounding is one binary32 addition: to
|x| is added the power of two ``anchor`` whose unit in the last place is the target's at |x|, and the hardware rounds
the sum to nearest even. The difference of the bits of sum and anchor is |x| in those units, rounded. Subnormal
results are not a case of their own: there the anchor stays that of the lowest binade.

The parameters are int32, since one 64-bit number among them would widen the lanes. ``tests/agree`` proves these loops
equal to ``kernels/cast/cast.py`` at every boundary.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.lib.bits import as_float32, as_int32, shift_right_32, shift_right_logical_32
from lowbit.kernels.lib.memory import LINE_BYTES, prefetch
from lowbit.kernels.lib.select import pick

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

LINE = LINE_BYTES // 4  # elements of a cache line
STRIP = 64  # elements of a strip; longer ones ask for too many lines at once
AHEAD = 1536  # elements, 6 KiB: 4 and 8 KiB measure alike, 1 KiB gains less


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


@scalar
def symmetric(bits, parameters):
    """Signed targets that treat both signs alike, where overflow gives the largest value or the code after it."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    code = min(round_magnitude(magnitude, NO_PARITY, parameters), parameters[OVERFLOW])
    code = pick(magnitude > BINARY32_INFINITY, parameters[NAN], code)
    return np.int32(code | np.int32(shift_right_32(bits, SIGN_SHIFT) & parameters[SIGN]))


@scalar
def nan_beyond(bits, parameters):
    """Signed targets without -0, where all that overflows becomes the one NaN (FNUZ)."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    code = round_magnitude(magnitude, NO_PARITY, parameters)
    sign = np.int32(shift_right_32(bits, SIGN_SHIFT) & parameters[SIGN])
    result = np.int32(code | pick(code == np.int32(0), code, sign))
    return pick(code > parameters[MAX_CODE], parameters[NAN], result)


@scalar
def signed(bits, parameters):
    """Signed targets that have -0, for policies that keep it."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    negative = shift_right_32(bits, SIGN_SHIFT)
    code = round_magnitude(magnitude, NO_PARITY, parameters)
    result = np.int32(code | np.int32(negative & parameters[SIGN]))
    return with_specials(magnitude, negative, code, result, parameters)


@scalar
def signed_with_payload(bits, parameters):
    """The same for targets whose NaNs take over the leading payload bits."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    negative = shift_right_32(bits, SIGN_SHIFT)
    code = round_magnitude(magnitude, NO_PARITY, parameters)
    result = np.int32(code | np.int32(negative & parameters[SIGN]))
    result = with_specials(magnitude, negative, code, result, parameters)
    payload = np.int32(shift_right_32(magnitude, parameters[SHIFT]) & parameters[PAYLOAD_MASK])
    return pick(magnitude > BINARY32_INFINITY, np.int32(result | payload), result)


@scalar
def with_sign(magnitude, negative, code, parameters):
    """The result where zeros and negative values have codes of their own."""
    result = np.int32(code | np.int32(negative & parameters[SIGN]))
    refused = np.int32(negative & code) > parameters[NEGATIVE_ABOVE]
    result = pick(refused, parameters[NEGATIVE], result)
    zero = np.int32(parameters[ZERO] ^ np.int32(negative & parameters[ZERO_FLIP]))
    result = pick(code == np.int32(0), zero, result)
    return with_specials(magnitude, negative, code, result, parameters)


@scalar
def any_sign(bits, parameters):
    """Targets without -0, and unsigned ones."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    negative = shift_right_32(bits, SIGN_SHIFT)
    return with_sign(magnitude, negative, round_magnitude(magnitude, NO_PARITY, parameters), parameters)


@scalar
def without_mantissa(bits, parameters):
    """Targets of powers of two and zero, signed or not."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    negative = shift_right_32(bits, SIGN_SHIFT)
    return with_sign(magnitude, negative, round_magnitude(magnitude, ONE, parameters), parameters)


@scalar
def round_exponent(magnitude, parameters):
    """The code of a target with binary32's exponent field and no mantissa; up to LOWEST_TIE it is 0."""
    odd = np.int32(shift_right_32(magnitude, parameters[SHIFT]) & parameters[ODD])
    rounded = np.int32(np.int32(magnitude + parameters[HALF]) + odd)  # a NaN may carry into the sign
    code = shift_right_logical_32(rounded, parameters[SHIFT])
    return pick(magnitude > parameters[LOWEST_TIE], code, np.int32(0))


@scalar
def exponent(bits, parameters):
    """float8_e8m0fnu for policies that drop the sign, where overflow gives the NaN: both are the code after the top."""
    code = round_exponent(np.int32(bits & BINARY32_MAGNITUDE), parameters)
    return min(code, parameters[OVERFLOW])


@scalar
def exponent_any_sign(bits, parameters):
    """float8_e8m0fnu under any policy."""
    magnitude = np.int32(bits & BINARY32_MAGNITUDE)
    negative = shift_right_32(bits, SIGN_SHIFT)
    code = round_exponent(magnitude, parameters)
    result = pick(negative > parameters[NEGATIVE_ABOVE], code, parameters[NEGATIVE])
    zero = np.int32(parameters[ZERO] ^ np.int32(negative & parameters[ZERO_FLIP]))
    result = pick(magnitude == np.int32(0), zero, result)
    return with_specials(magnitude, negative, code, result, parameters)


def in_strips(encode):
    """The kernel ``out[i] = encode(bits[i], parameters)``, reading ahead.

    The processor's own prefetching does not keep up with a loop this short: from memory it took a fifth more time
    without the hints. LLVM does not vectorise a loop with a hint in it, hence the strips: a few lines are asked for,
    then a vectorised loop without a remainder runs.
    """

    @kernel
    def encode_strips(bits, vector, out):
        parameters = constants(vector, SIZE)
        whole = bits.size - bits.size % STRIP
        for start in range(0, whole, STRIP):
            for line in range(STRIP // LINE):
                prefetch(bits, start + AHEAD + line * LINE)
            for i in range(start, start + STRIP):
                out[i] = encode(bits[i], parameters)
        for i in range(whole, bits.size):
            out[i] = encode(bits[i], parameters)

    return encode_strips


encode_symmetric = in_strips(symmetric)
encode_nan_beyond = in_strips(nan_beyond)
encode_signed = in_strips(signed)
encode_signed_with_payload = in_strips(signed_with_payload)
encode_any_sign = in_strips(any_sign)
encode_without_mantissa = in_strips(without_mantissa)
encode_exponent = in_strips(exponent)
encode_exponent_any_sign = in_strips(exponent_any_sign)
