"""binary64 to binary32 rounded to odd, so that the 32-bit lanes can finish the cast.

Rounding to odd at 24 bits and then by any mode at 22 or fewer gives what one rounding gives (Boldo and Melquiond,
"When double rounding is odd", 2005): the last bit of the odd result tells on which side of every boundary the value
lies. Magnitudes beyond binary32 become its largest one, those below its smallest; the caller sees to it that the
target overflows and underflows well within them.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import as_int32
from lowbit.kernels.lib.select import pick

MAGNITUDE_MASK = np.int32(0x7FFFFFFF)
SIGN = np.int32(-(1 << 31))
INFINITY = np.int32(0x7F800000)
ZERO, ONE = np.int32(0), np.int32(1)


@scalar
def narrowed(value):
    """The binary32 word of a binary64 value."""
    nearest = np.float32(value)
    back = np.float64(nearest)
    word = as_int32(nearest)
    magnitude = np.int32(word & MAGNITUDE_MASK)
    inexact = pick(back != value, ONE, ZERO)
    away = pick(np.abs(back) > np.abs(value), ONE, ZERO)
    odd = np.int32(np.int32(magnitude - away) | inexact)
    odd = pick(magnitude > INFINITY, magnitude, odd)
    return np.int32(odd | np.int32(word & SIGN))


@kernel
def narrow_to_odd(values, smallest, out):
    """binary64 values to binary32 bits as int32; magnitudes below ``smallest`` count as zero.

    The hardware rounds to nearest; where that went away from zero the magnitude steps back, which truncates, and an
    inexact result gets a one in its last place. NaNs stay NaNs of their sign.
    """
    for i in range(values.size):
        word = narrowed(values[i])
        out[i] = pick(np.abs(values[i]) < smallest, np.int32(word & SIGN), word)


@kernel
def narrow_integers_to_odd(values, unit, out):
    """int32 values times a power of two to binary32 bits as int32."""
    for i in range(values.size):
        out[i] = narrowed(np.float64(values[i]) * unit)
