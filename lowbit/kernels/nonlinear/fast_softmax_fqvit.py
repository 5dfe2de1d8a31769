"""Log-int-softmax over rows of 8-bit codes: exponential and logarithm are tables of the distance from the maximum.

Nothing can overflow 62 bits, which the array layer checks. Proved equal to ``softmax_fqvit.py``.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel
from lowbit.kernels.lib.divide import positive_quotient
from lowbit.kernels.nonlinear.exp_ibert import RESULT_BITS
from lowbit.kernels.nonlinear.lookup import distance_bytes, row_maximum
from lowbit.kernels.nonlinear.softmax_fqvit import CLIP, rounded_log2

ENTRIES = 256


@kernel
def log_softmax_bytes(codes, table, constants, out):
    """Results of at most 8 bits; ``table`` holds the exponentials."""
    planes = np.empty((1, ENTRIES), np.uint8)
    beyond = np.int64(1) << constants[RESULT_BITS]
    highest = beyond - constants[CLIP]
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        total = np.int64(0)
        lowest = maximum
        for i in range(codes.shape[1]):
            code = np.int64(codes[row, i])
            total += table[maximum - code]
            lowest = min(lowest, code)
        for distance in range(maximum - lowest + 1):
            logarithm = beyond
            exponential = table[distance]
            if exponential > 0:
                quotient = positive_quotient(total, exponential)
                twice = 2 * (total - quotient * exponential)
                quotient += (twice > exponential) | ((twice == exponential) & (quotient & 1))
                logarithm = rounded_log2(quotient)
            planes[0, distance] = np.uint8(min(logarithm, highest))
        distance_bytes(codes[row], maximum, planes, out[row])
