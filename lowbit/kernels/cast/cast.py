"""Array loops of the casts: take a float code apart, project it, store the code.

All arrays are int64 and contiguous, so each kernel has one signature; ``lowbit.ops.cast.cast`` converts chunks.
"""

from lowbit.kernels._jit import constants, kernel, scalar
from lowbit.kernels.cast import layout as at
from lowbit.kernels.cast.layout import SIZE
from lowbit.kernels.cast.project import LONGEST_MAGNITUDE, jam, project_fixed_fully, project_float, project_float_fully
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.select import pick


@scalar
def unpack_float(code, vector):
    """Take a float code apart: (state, negative, magnitude, exponent). The magnitude is not normalised."""
    negative = (code >> vector[at.SOURCE_SIGN_SHIFT]) & vector[at.SOURCE_SIGN_MASK]
    whole = code & vector[at.SOURCE_MAGNITUDE_MASK]
    field = whole >> vector[at.SOURCE_MANTISSA_BITS]
    mantissa = whole & vector[at.SOURCE_MANTISSA_MASK]
    hidden = pick(field >= vector[at.SOURCE_FIRST_NORMAL], 1, 0)
    magnitude = mantissa + (hidden << vector[at.SOURCE_MANTISSA_BITS])
    exponent = max(field, vector[at.SOURCE_FIRST_NORMAL]) + vector[at.SOURCE_BASE]
    magnitude = pick(whole < vector[at.SOURCE_FLUSH], 0, magnitude)
    lost_zero = (vector[at.SOURCE_NAN_AT_NEGATIVE_ZERO] != 0) & (negative != 0) & (whole == 0)
    nan = (whole > vector[at.SOURCE_BELOW_NAN]) | lost_zero
    state = pick(whole == vector[at.SOURCE_INFINITY], at.STATE_INFINITE, pick(nan, at.STATE_NAN, 0))
    return state, negative, pick(nan, mantissa, magnitude), exponent


@kernel
def encode_float(codes, vector, out):
    """Float codes to float codes by a mode that is not stochastic."""
    vector = constants(vector, SIZE)
    for i in range(codes.size):
        state, negative, magnitude, exponent = unpack_float(codes[i], vector)
        negative = negative & ~vector[at.SOURCE_DROP_SIGN]
        out[i] = project_float(state, negative, magnitude, exponent, bit_length(magnitude), vector)


@kernel
def encode_float_random(codes, random, vector, out):
    """Float codes to float codes by a stochastic mode."""
    vector = constants(vector, SIZE)
    for i in range(codes.size):
        state, negative, magnitude, exponent = unpack_float(codes[i], vector)
        negative = negative & ~vector[at.SOURCE_DROP_SIGN]
        out[i], _ = project_float_fully(state, negative, magnitude, exponent, random[i], vector)


@kernel
def encode_integer(values, vector, out):
    """Fixed-point codes as int64, INT64_MIN excepted, to codes of a float target; SOURCE_BASE is their exponent."""
    vector = constants(vector, SIZE)
    for i in range(values.size):
        whole = abs(values[i])
        drop = max(bit_length(whole) - LONGEST_MAGNITUDE, 0)
        magnitude = jam(whole, drop)
        negative = pick(values[i] < 0, 1, 0) & ~vector[at.SOURCE_DROP_SIGN]
        exponent = vector[at.SOURCE_BASE] + drop
        out[i] = project_float(0, negative, magnitude, exponent, bit_length(magnitude), vector)


@kernel
def unpack(codes, vector, state, magnitude, exponent):
    """Float codes to unpacked values; ``state`` holds 2 * state + negative."""
    vector = constants(vector, SIZE)
    for i in range(codes.size):
        kind, negative, magnitude[i], exponent[i] = unpack_float(codes[i], vector)
        state[i] = 2 * kind + negative


@kernel
def encode_unpacked_float(state, magnitude, exponent, random, vector):
    """Unpacked values to codes of a float target, in place: codes over ``magnitude``, flags over ``exponent``.

    ``random`` is as long as the others; its values count for the stochastic modes only.
    """
    vector = constants(vector, SIZE)
    for i in range(state.size):
        negative = state[i] & 1 & ~vector[at.SOURCE_DROP_SIGN]
        magnitude[i], exponent[i] = project_float_fully(
            state[i] >> 1, negative, magnitude[i], exponent[i], random[i], vector
        )


@kernel
def encode_unpacked_fixed(state, magnitude, exponent, random, vector):
    """Unpacked values to codes of an integer or fixed-point target, in place like ``encode_unpacked_float``."""
    vector = constants(vector, SIZE)
    for i in range(state.size):
        magnitude[i], exponent[i] = project_fixed_fully(
            state[i] >> 1, state[i] & 1, magnitude[i], exponent[i], random[i], vector
        )
