"""Table look-ups with interpolation, in int64: the twin of ``oracle/fixed_point/table.py``."""

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.fixed_point.gemmlowp import wrap

FRACTION_BITS = 7


@scalar
def interpolate(code, table):
    """Between two of 513 entries, for an int16 code, with 7 more fraction bits."""
    place = code + 32768
    index = place >> FRACTION_BITS
    fraction = place & ((1 << FRACTION_BITS) - 1)
    return (table[index] << FRACTION_BITS) + (table[index + 1] - table[index]) * fraction


@scalar
def interpolate_rounded(code, table):
    """Between two of 513 entries, for an int16 code, rounded half up to 16 bits, the slope kept in 16 bits."""
    place = code + 32768
    index = place >> FRACTION_BITS
    fraction = place & ((1 << FRACTION_BITS) - 1)
    slope = wrap(table[index + 1] - table[index], 16)
    return wrap(table[index] + ((slope * fraction + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS), 16)


@kernel
def look_up_each(codes, table, out):
    """Entries of 256, for int8 codes."""
    for i in range(codes.size):
        out[i] = table[codes[i] + 128]


@kernel
def interpolate_each(codes, table, out):
    """TOSA's TABLE for int16 codes."""
    for i in range(codes.size):
        out[i] = interpolate(codes[i], table)


@kernel
def interpolate_rounded_each(codes, table, out):
    """TFLite's LUTLookup for int16 codes."""
    for i in range(codes.size):
        out[i] = interpolate_rounded(codes[i], table)
