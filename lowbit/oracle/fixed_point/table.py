"""Table look-ups of TensorFlow Lite and TOSA: 256 entries for int8, 513 with interpolation for int16.

Source: tensorflow/tflite-micro, ``tensorflow/lite/kernels/internal/common.h`` (LUTLookup); TOSA specification 1.0,
operator TABLE.
"""

from __future__ import annotations

from collections.abc import Sequence

from lowbit.oracle.fixed_point.gemmlowp import wrap

FRACTION_BITS = 7


def look_up(code: int, table: Sequence[int]) -> int:
    """An entry of 256, for an int8 code: entry 0 belongs to -128."""
    return table[code + 128]


def interpolate(code: int, table: Sequence[int]) -> int:
    """Between two of 513 entries, for an int16 code, with 7 more fraction bits and no rounding: TOSA's TABLE."""
    index, fraction = divmod(code + 32768, 1 << FRACTION_BITS)
    return (table[index] << FRACTION_BITS) + (table[index + 1] - table[index]) * fraction


def interpolate_rounded(code: int, table: Sequence[int]) -> int:
    """Between two of 513 entries, for an int16 code, rounded half up to 16 bits: TFLite's LUTLookup.

    The product keeps the slope in 16 bits, where it wraps if two neighbours are further apart.
    """
    index, fraction = divmod(code + 32768, 1 << FRACTION_BITS)
    slope = wrap(table[index + 1] - table[index], 16)
    return wrap(table[index] + ((slope * fraction + (1 << (FRACTION_BITS - 1))) >> FRACTION_BITS), 16)
