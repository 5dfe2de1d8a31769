"""i-softmax, the code's variant, over rows of 8-bit codes: the weight is a table of the distance from the maximum.

Nothing can overflow: weights have 16 bits, so sums stay below 2^36 and products at most 2^32. Proved equal to
``ibert.py``, which makes the table.
"""

import numpy as np

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.divide import positive_quotient
from lowbit.kernels.nonlinear.ibert import NUMERATOR, RESULT_BITS
from lowbit.kernels.nonlinear.lookup import distance_bytes, distance_sum, row_maximum

ENTRIES = 256


@kernel
def softmax_bytes(codes, table, table_planes, constants, out):
    """Results of at most 8 bits, unsigned."""
    planes = np.empty((1, ENTRIES), np.uint8)
    shift = 32 - constants[RESULT_BITS]
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        factor = positive_quotient(constants[NUMERATOR], distance_sum(codes[row], maximum, table_planes))
        for distance in range(ENTRIES):
            planes[0, distance] = np.uint8((table[distance] * factor) >> shift)
        distance_bytes(codes[row], maximum, planes, out[row])
