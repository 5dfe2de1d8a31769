"""Softmax, LayerNorm and RMSNorm rounded correctly, or a mark where that many bits do not decide the rounding.

Every result is enclosed between two integers; the rounding is monotonic, so a result to which both ends round is the
right one. The caller decides the others with more bits (Ziv, "Fast evaluation of elementary mathematical functions with
correctly rounded last bit", ACM TOMS 17, 1991).
"""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import bit_length
from lowbit.kernels.lib.divide import floor_square_root

UNDECIDED = -(1 << 40)

# Places of the constants: the result's fraction bits, its lowest and highest code, what rounding adds (four entries).
FRACTION, LOWEST, HIGHEST, ADDENDS = range(4)

STICKY = 2  # a bit below half a unit, and one that says that something is below that
NORM_GUARD = 20  # bits below the result's unit
SLACK = 2  # an entry of the table is at most that many units below the exponential
QUOTIENT_SLACK = 2
ROOT_BITS = 62
MOST_PLACES = 60
NUMERATOR_BITS = 60


@scalar
def rounded(value, guard, constants):
    """A number with ``guard`` bits below its unit, rounded and limited to the result's width."""
    below = value >> guard
    entry = ADDENDS + 2 * (value < 0) + (below & 1)
    return max(constants[LOWEST], min((value + constants[entry]) >> guard, constants[HIGHEST]))


@scalar
def decided(low, high, guard, constants):
    """What both ends of an enclosure round to."""
    result = rounded(low, guard, constants)
    return result if rounded(high, guard, constants) == result else UNDECIDED


@scalar
def quotient(numerator, denominator, places):
    """``floor(numerator * 2**places / denominator)``, for a numerator below twice the denominator (61 bits)."""
    result = int(numerator >= denominator)
    rest = numerator - (denominator & -result)
    for _ in range(places):
        rest = rest << 1
        bit = int(rest >= denominator)
        rest -= denominator & -bit
        result = (result << 1) | bit
    return result


@kernel
def softmax(places, table, constants, out):
    """Softmax of rows of places in a table of exponentials with 40 fraction bits; place 0 is the row's maximum."""
    length = places.shape[1]
    count = constants[FRACTION] + 1
    for row in range(places.shape[0]):
        total = 0
        highest = 0
        for i in range(length):
            total += table[places[row, i]]
            highest += places[row, i] == 0
        # 1 / highest, which the largest result falls short of, unless there is nothing but maxima.
        limit = ((1 << count) - 1) // highest
        for i in range(length):
            place = places[row, i]
            if highest == length:
                low = (1 << count) // length
                enough = int(low * length < 1 << count)
                high = low
            else:
                low = quotient(table[place], total + SLACK * length, count)
                high = quotient(table[place] + SLACK, total, count)
                if place == 0:
                    high = min(high, limit)
                enough = 1
            # Between the exact function, which is irrational here, and its floor, something is left.
            out[row, i] = decided(2 * low + enough, 2 * high + enough, STICKY, constants)


@scalar
def root(value):
    """sqrt(value) * 2**(30 + halves) to within a unit, of 61 bits, and ``halves``; the value is from 1 to 2^62 - 1."""
    halves = (ROOT_BITS - bit_length(value)) >> 1
    scaled = value << (2 * halves)
    whole = floor_square_root(scaled)
    # The first term of the series of sqrt(whole^2 + rest); the second one is below half a unit.
    return (whole << 30) + ((scaled - whole * whole) << 29) // whole, halves


@scalar
def normalised(deviation, divisor, halves, mantissa, exponent, bias, slack, constants):
    """``mantissa * 2^exponent * deviation / divisor + bias``, rounded; a negative ``slack``: the bias is too large."""
    product = abs(deviation * mantissa)
    if product == 0:
        return decided(bias, bias + slack, NORM_GUARD, constants) if slack >= 0 else UNDECIDED
    shift = NUMERATOR_BITS - bit_length(product)
    places = exponent + 30 + halves - shift
    if slack < 0 or places > MOST_PLACES:
        return UNDECIDED
    value = quotient(product << shift, divisor, max(places, 0)) if places >= 0 else 0
    middle = bias + (value if (deviation < 0) == (mantissa < 0) else -value)
    return decided(middle - QUOTIENT_SLACK, middle + QUOTIENT_SLACK + slack, NORM_GUARD, constants)


@kernel
def norm(codes, centred, mantissas, exponents, biases, slacks, constants, out):
    """LayerNorm (``centred`` is 1) or RMSNorm (0) of rows of codes of 16 bits.

    gamma is ``mantissas * 2**(exponents - fraction bits - guard)``; beta is ``biases`` in units of the guard, or up to
    ``slacks`` more.
    """
    length = codes.shape[1]
    for row in range(codes.shape[0]):
        total = 0
        squares = 0
        for i in range(length):
            total += codes[row, i]
            squares += codes[row, i] * codes[row, i]
        total *= centred
        # (x - mean) / deviation is y / sqrt(V), with y = n x - sum and V = n sum(x^2) - sum^2.
        variance = length * squares - total * total
        divisor, halves = root(max(variance, 1))
        for i in range(length):
            deviation = length * codes[row, i] - total if variance else 0
            out[row, i] = normalised(
                deviation, divisor, halves, mantissas[i], exponents[i], biases[i], slacks[i], constants
            )
