"""Places of the entries in the constants of the requantisation kernels; all are 64-bit integers."""

ZERO_BEFORE = 0  # subtracted from the accumulator
PRE_SHIFT = 1  # 1 where the accumulator is shifted, rounded and saturated to int16 before the product
WRAP_LEFT = 2  # 1 where a left shift is modulo 2^32
HIGH_HALF = 3  # 1 where the product is first cut off at 2^31
PRECISION = 4  # bits that the product is rounded to; 0 for an exact one
TIE_AWAY = 5  # -1 where ties go away from zero
TIE_EVEN = 6  # -1 where ties go to even
HALF_ADDED = 7  # 1 where 1/2 is added and the sum rounded to PRECISION bits, then cut off
NARROW_WRAP = 8  # 1 where the rounded value is kept modulo 2^32
NARROW_LIMIT = 9  # the largest rounded value where it saturates; 2^62 where it does not
ZERO_SUM = 10  # added to the rounded value, and narrowed with it
ZERO_CLAMPED = 11  # added to the clamped value
LOW, HIGH = 12, 13  # the range of the result
WRAP_MASK = 14  # 2^bits - 1 where results are modulo 2^bits, 0 where they saturate
HIGH_NUDGE = 15  # added to the product before its high half is taken
CONSTANTS = 16

MULTIPLIER, LEFT, PRE_RIGHT, RIGHT = 0, 1, 2, 3  # rows of the parameters, one column a channel
PARAMETERS = 4

FLAG_SATURATED, FLAG_WRAPPED = 1, 2
