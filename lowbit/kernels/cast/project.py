"""Project an unpacked value into a float or fixed-point target: round, then decide overflow, then encode.

The one place of the fast path where rounding and overflow are decided (as SoftFloat's roundPack is in its
library). An unpacked value is four integers: state (finite, infinite, NaN), negative (0 or 1), magnitude and
exponent; its value is ``magnitude * 2**exponent``, 0 <= magnitude < 2**56. A NaN's magnitude is its mantissa field.
Integer operators only, branch-free, so that the same functions run on Python ints and vectorise when compiled.
"""

from lowbit.kernels._jit import scalar
from lowbit.kernels.cast import layout as at
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.select import pick

LONGEST_MAGNITUDE = 55  # bits: the precision of binary64, half a unit and a sticky bit
LONGEST_SHIFT = 62  # a longer shift leaves less than half a unit whatever the bits: magnitudes are below 2**57


@scalar
def by_sign(negative, place, vector):
    """One of a pair of entries."""
    return pick(negative, vector[place + 1], vector[place])


@scalar
def increment(unit, odd, negative, vector):
    """What rounding adds before ``unit`` is cut off: to nearest, half a unit, less one where a tie stays, say."""
    full = (unit - 1) & by_sign(negative, at.ROUND_FULL, vector) & ~(-odd & vector[at.ROUND_FULL_IF_EVEN])
    half = (unit >> 1) & vector[at.ROUND_HALF]
    tie = (odd ^ vector[at.ROUND_ODD_FLIP]) & vector[at.ROUND_ODD]
    return half + by_sign(negative, at.ROUND_ONE, vector) + tie + full


@scalar
def stochastic_increment(wide, shift, random, vector):
    """The increment of P3109's StochasticA, B and C, in units of the last kept bit of ``wide``.

    floor(v * 2**N) + R >= 2**N carries exactly when ``(R << (shift - N))`` does. C first rounds the discarded
    fraction to N bits, which is one more addend below.
    """
    count = vector[at.RANDOM_BITS]
    scaled = (random << vector[at.RANDOM_SCALE]) + vector[at.RANDOM_OFFSET]
    down = max(shift - count, 0)
    addend = (scaled << down) >> max(count - shift, 0)
    nearest = ((1 << down) >> 1) - 1 + ((wide >> down) & 1)
    return addend + pick((vector[at.RANDOM_NEAREST] != 0) & (down > 0), nearest, 0)


@scalar
def place(exponent, leading, vector):
    """Where the target's unit lies: (index of the binade, left shift, right shift, beyond the highest binade)."""
    index = max(exponent + leading - vector[at.PRECISION], vector[at.CLAMP]) - vector[at.SMALLEST]
    shift = index + vector[at.SMALLEST] - exponent
    beyond = index > vector[at.MAX_INDEX]
    index = max(min(index, vector[at.MAX_INDEX]), -2)
    return index, min(max(-shift, 0), LONGEST_SHIFT), min(max(shift, 0), LONGEST_SHIFT - 1) + 1, beyond


@scalar
def signed_code(code, negative, overflow, underflow, vector):
    """The final code of a rounded magnitude code with its sign."""
    above = (negative != 0) & (code > vector[at.NEGATIVE_ABOVE])
    result = pick(above, vector[at.NEGATIVE], code + by_sign(negative, at.SIGN, vector))
    result = pick(code == vector[at.ZERO_MATCH], by_sign(negative, at.ZERO, vector), result)
    result = pick(underflow, by_sign(negative, at.UNDERFLOW, vector), result)
    return pick(overflow, by_sign(negative, at.OVERFLOW, vector), result)


@scalar
def special_code(state, negative, magnitude, vector):
    """The code of an input that is not rounded: NaN, infinity or zero."""
    payload = ((magnitude << vector[at.PAYLOAD_LEFT]) >> vector[at.PAYLOAD_RIGHT]) & vector[at.PAYLOAD_MASK]
    finite = by_sign(negative, at.ZERO_INPUT, vector)
    infinite = pick(state == at.STATE_INFINITE, by_sign(negative, at.INFINITY, vector), finite)
    return pick(state == at.STATE_NAN, by_sign(negative, at.NAN, vector) | payload, infinite)


@scalar
def special_flags(state, negative, vector):
    """Flags of an input that is not rounded."""
    infinite = pick(state == at.STATE_INFINITE, by_sign(negative, at.FLAG_INFINITY, vector), vector[at.FLAG_ZERO])
    return pick(state == at.STATE_NAN, vector[at.FLAG_NAN], infinite)


@scalar
def project_float(state, negative, magnitude, exponent, leading, vector):
    """Code of a float target. ``leading`` is the bit length of the magnitude."""
    index, left, right, beyond = place(exponent, leading, vector)
    wide = magnitude << 1  # one bit more, so that there is always a half
    base = (index << vector[at.MANTISSA_BITS]) - vector[at.HIDDEN]
    odd = (((wide >> right) << left) + base) & 1
    code = (((wide + increment(1 << right, odd, negative, vector)) >> right) << left) + base
    flush = (code < vector[at.FLUSH_CODE]) | (exponent + leading <= vector[at.FLUSH_LEADING])
    code = pick(flush, 0, code)
    overflow = beyond | (code > vector[at.MAX_CODE])
    result = signed_code(code, negative, overflow, code < 0, vector)
    ordinary = (state == 0) & (magnitude != 0)
    return pick(ordinary, result, special_code(state, negative, magnitude, vector))


@scalar
def jam(magnitude, count):
    """Shift right; bits that fall off leave a one in the last place (SoftFloat's shiftRightJam)."""
    kept = magnitude >> count
    return kept | pick((kept << count) != magnitude, 1, 0)


@scalar
def round_off(magnitude, right, long_shift, odd, negative, random, vector):
    """Cut ``right`` bits off twice the magnitude by any mode: (rounded, whether that was exact, the bits cut from)."""
    stochastic = vector[at.RANDOM_BITS] > 0
    wide = jam(magnitude << 1, pick(stochastic, min(max(long_shift, 0), LONGEST_SHIFT), 0))
    drawn = stochastic_increment(wide, right, random, vector)
    rounded = (wide + pick(stochastic, drawn, increment(1 << right, odd, negative, vector))) >> right
    return rounded, (rounded << right) == wide, wide


@scalar
def is_tiny(code, index, right, wide, exact, negative, vector):
    """Tininess after rounding (IEEE 754-2019 7.5).

    With an unbounded exponent the unit is half as large below the smallest normal value, so a result may be tiny
    although it was rounded up to that value.
    """
    finer = max(right - 1, 0)
    odd = (wide >> finer) & pick(vector[at.MANTISSA_BITS] > 0, 1, 0)  # a lone power of two has an even code below
    rounded = (wide + increment(1 << finer, odd, negative, vector)) >> finer
    reaches = (rounded >= (2 << vector[at.MANTISSA_BITS])) | (vector[at.RANDOM_BITS] > 0)
    at_limit = (code == vector[at.MIN_NORMAL_CODE]) & (
        wide < (1 << min(right + vector[at.MANTISSA_BITS], LONGEST_SHIFT))
    )
    return (code < vector[at.MIN_NORMAL_CODE]) | (at_limit & (index == 0) & (right > 1) & (exact == 0) & (reaches == 0))


@scalar
def project_float_fully(state, negative, magnitude, exponent, random, vector):
    """Code and flags of a float target, with random bits for the stochastic modes."""
    leading = bit_length(magnitude)
    index, left, right, beyond = place(exponent, leading, vector)
    base = (index << vector[at.MANTISSA_BITS]) - vector[at.HIDDEN]
    odd = ((((magnitude << 1) >> right) << left) + base) & 1
    long_shift = index + vector[at.SMALLEST] - exponent + 1 - LONGEST_SHIFT
    rounded, exact, wide = round_off(magnitude, right, long_shift, odd, negative, random, vector)
    code = (rounded << left) + base
    tiny = is_tiny(code, index, right, wide, exact, negative, vector)
    flush = (code < vector[at.FLUSH_CODE]) | (exponent + leading <= vector[at.FLUSH_LEADING])
    code = pick(flush, 0, code)
    overflow = beyond | (code > vector[at.MAX_CODE])
    underflow = code < 0
    result = signed_code(code, negative, overflow, underflow, vector)
    flags = pick(exact & (flush == 0), 0, at.INEXACT | pick(tiny | flush, at.UNDERFLOWED, 0))
    refused = (negative != 0) & (code > vector[at.NEGATIVE_ABOVE])
    flags = pick(refused, vector[at.FLAG_NEGATIVE], flags)
    flags = pick(underflow, by_sign(negative, at.FLAG_UNDERFLOW, vector), flags)
    flags = pick(overflow, by_sign(negative, at.FLAG_OVERFLOW, vector), flags)
    ordinary = (state == 0) & (magnitude != 0)
    return (
        pick(ordinary, result, special_code(state, negative, magnitude, vector)),
        pick(ordinary, flags, special_flags(state, negative, vector)),
    )


@scalar
def project_fixed_fully(state, negative, magnitude, exponent, random, vector):
    """Code and flags of an integer or fixed-point target."""
    leading = bit_length(magnitude)
    shift = vector[at.FIXED_ULP] - exponent
    left = min(max(-shift, 0), LONGEST_SHIFT)
    right = min(max(shift, 0), LONGEST_SHIFT - 1) + 1
    odd = pick(left == 0, ((magnitude << 1) >> right) & 1, 0)
    rounded, exact, _ = round_off(magnitude, right, shift + 1 - LONGEST_SHIFT, odd, negative, random, vector)
    # modulo 2**62: enough for every target that wraps here, and it cannot overflow
    kept = (rounded & ((1 << (LONGEST_SHIFT - left)) - 1)) << left
    outside = (leading - shift >= LONGEST_SHIFT) | (kept > by_sign(negative, at.FIXED_LIMIT, vector))
    value = pick(negative, -kept, kept)
    sign = vector[at.FIXED_WRAP_SIGN]
    wrapped = ((value + sign) & vector[at.FIXED_WRAP_MASK]) - sign
    # a narrow format has no code for what wraps to its missing lowest value
    wrapped = max(wrapped, -vector[at.FIXED_LIMIT + 1])
    beyond = pick(vector[at.FIXED_WRAP_MASK] != 0, wrapped, by_sign(negative, at.FIXED_OUT, vector))
    result = pick(outside, beyond, value)
    flags = pick(outside, by_sign(negative, at.FLAG_OVERFLOW, vector), pick(exact, 0, at.INEXACT))
    ordinary = (state == 0) & (magnitude != 0)
    return (
        pick(ordinary, result, special_code(state, negative, magnitude, vector)),
        pick(ordinary, flags, special_flags(state, negative, vector)),
    )
