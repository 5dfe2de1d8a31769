"""binary64 to binary32 rounded to odd, so that the 32-bit lanes can finish the cast.

Rounding to odd at 24 bits and then by any mode at 22 or fewer gives what one rounding gives (Boldo and Melquiond,
"When double rounding is odd", 2005): the last bit of the odd result tells on which side of every boundary the value
lies. Magnitudes beyond binary32 become its largest one, those below its smallest; the caller sees to it that the
target overflows and underflows well within them.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel
from lowbit.kernels.project import pick

MAGNITUDE_MASK = (1 << 63) - 1
INFINITY = 0x7FF << 52
DROPPED = 52 - 23  # mantissa bits that binary32 lacks
REBIAS = (1023 - 127) << 23
LARGEST = 0x7F7FFFFF
QUIET_NAN = 0x7FC00000
INFINITY_32 = 0x7F800000
MIN_NORMAL_32 = 0x00800000


@kernel
def narrow_to_odd(bits, out):
    """binary64 bits as int64 to binary32 bits as int32; every NaN becomes the quiet one of its sign."""
    for i in range(bits.size):
        magnitude = bits[i] & MAGNITUDE_MASK
        kept = (magnitude >> DROPPED) - REBIAS
        sticky = pick(magnitude & ((1 << DROPPED) - 1) != 0, 1, 0)
        word = min(kept | sticky, LARGEST)
        word = pick(kept < MIN_NORMAL_32, pick(magnitude != 0, 1, 0), word)
        word = pick(magnitude == INFINITY, INFINITY_32, word)
        word = pick(magnitude > INFINITY, QUIET_NAN, word)
        out[i] = np.int32(word | ((bits[i] >> 63) & (1 << 31)))
