"""Names for the places of the flat int64 vector that a cast kernel takes.

One vector describes how codes of the source are taken apart, how a magnitude is rounded into the target, and the
final codes for everything that is not rounded. Pairs hold the entry for positive values first, for negative next.
"""

# --- the source: how a float code is taken apart ---------------------------------------------------------------
SOURCE_SIGN_SHIFT = 0  # position of the sign bit
SOURCE_SIGN_MASK = 1  # 1, or 0 for an unsigned source
SOURCE_MAGNITUDE_MASK = 2  # exponent and mantissa field
SOURCE_MANTISSA_BITS = 3
SOURCE_MANTISSA_MASK = 4
SOURCE_FIRST_NORMAL = 5  # lowest exponent field with a hidden bit: 1 with subnormals, 0 without
SOURCE_BASE = 6  # exponent of the ulp of exponent field 0, as if it had a hidden bit
SOURCE_INFINITY = 7  # magnitude of infinity, -1 for none
SOURCE_BELOW_NAN = 8  # the magnitude below the lowest NaN; the largest int64 where there is none
SOURCE_NAN_AT_NEGATIVE_ZERO = 9  # 1 where the code of -0 is the NaN
SOURCE_FLUSH = 10  # magnitudes below this count as zero (DAZ)
SOURCE_DROP_SIGN = 12  # 1 where the target takes the absolute value

# --- rounding: what is added before the discarded bits are cut off ---------------------------------------------
ROUND_HALF = 13  # mask on half a unit
ROUND_ODD = 14  # mask (0 or 1) on the parity of the truncated code
ROUND_ODD_FLIP = 15  # 1: even codes count as odd
ROUND_ONE = 16  # pair: 0 or -1, makes a tie stay
ROUND_FULL = 18  # pair: mask on a unit less one
ROUND_FULL_IF_EVEN = 20  # mask: the full unit is added to even codes only

# --- a float target --------------------------------------------------------------------------------------------
PRECISION = 21
MANTISSA_BITS = 22
SMALLEST = 23  # exponent of the ulp of the lowest binade
CLAMP = 24  # the ulp never lies below this: SMALLEST with subnormals, far below everything without
HIDDEN = 25  # taken off the code where the lowest binade has a hidden bit
MAX_INDEX = 26  # (ulp exponent - SMALLEST) of the highest binade
MAX_CODE = 27
FLUSH_CODE = 28  # codes below this after rounding become zero
FLUSH_LEADING = 29  # values below 2**this before rounding become zero
SIGN = 30  # pair: what the sign adds to a code
ZERO = 32  # pair: codes of a zero result
OVERFLOW = 34  # pair
UNDERFLOW = 36  # pair: a format without zero, below its smallest value
NEGATIVE_ABOVE = 38  # a negative result above this magnitude code gets NEGATIVE
NEGATIVE = 39
ZERO_MATCH = 40  # magnitude code that is a zero: 0, or one that does not occur where the format has none
NAN = 41  # pair: NaN inputs
INFINITY = 43  # pair: infinite inputs
ZERO_INPUT = 45  # pair: zero inputs
PAYLOAD_LEFT = 47  # NaN payloads: shifted left, then right, then masked
PAYLOAD_RIGHT = 48
PAYLOAD_MASK = 49
MIN_NORMAL_CODE = 50

# --- a fixed-point target --------------------------------------------------------------------------------------
FIXED_ULP = 51  # exponent of a unit: minus the fraction bits
FIXED_LIMIT = 52  # pair: largest magnitude on either side
FIXED_OUT = 54  # pair: code beyond the limit where it does not wrap
FIXED_WRAP_MASK = 56  # 2**bits - 1 where it wraps, 0 where not
FIXED_WRAP_SIGN = 57  # 2**(bits - 1) for a signed format that wraps, else 0

# --- stochastic rounding ---------------------------------------------------------------------------------------
RANDOM_BITS = 58  # bits kept of the discarded fraction; 0 for a mode that is not stochastic
RANDOM_SCALE = 59  # R is shifted left by this ...
RANDOM_OFFSET = 60  # ... and this added (StochasticB takes 2R + 1)
RANDOM_NEAREST = 61  # 1 where the fraction is first rounded to nearest even (StochasticC)

# --- which flags a special outcome raises ----------------------------------------------------------------------
FLAG_NAN = 62
FLAG_INFINITY = 63  # pair
FLAG_ZERO = 65
FLAG_OVERFLOW = 66  # pair
FLAG_UNDERFLOW = 68  # pair
FLAG_NEGATIVE = 70

SIZE = 71

# --- flags of a result: RISC-V's order, and two bits that never leave the library ------------------------------
INVALID, OVERFLOWED, UNDERFLOWED, INEXACT = 16, 4, 2, 1
EXCEPTIONS = 31  # all of RISC-V's
SATURATED = 64  # a value beyond the range, or an infinity, came out as the end of the range
REFUSED = 128  # the policy says "error"

# --- the state of an unpacked value ----------------------------------------------------------------------------
STATE_INFINITE, STATE_NAN = 1, 2
