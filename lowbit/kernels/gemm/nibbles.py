"""Two four-bit codes of a byte, as a byte each."""

import numpy as np

from lowbit.kernels._jit import kernel

NIBBLE = 15


@kernel
def split_nibbles(packed, first_high, sign, codes):
    """``sign`` is 8 for signed codes and 0 for unsigned ones: (x ^ sign) - sign extends the sign."""
    if first_high == 0:
        for i in range(packed.size):
            low, high = np.int64(packed[i]) & NIBBLE, np.int64(packed[i]) >> 4
            codes[2 * i] = (low ^ sign) - sign
            codes[2 * i + 1] = (high ^ sign) - sign
    else:
        for i in range(packed.size):
            low, high = np.int64(packed[i]) & NIBBLE, np.int64(packed[i]) >> 4
            codes[2 * i] = (high ^ sign) - sign
            codes[2 * i + 1] = (low ^ sign) - sign
