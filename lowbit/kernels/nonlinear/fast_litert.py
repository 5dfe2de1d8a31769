"""LiteRT's optimised softmax of int8 codes: a declared exception, since the product itself computes in binary32.

Proved equal to ``oracle/nonlinear/litert.py``, which rounds exact fractions.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.nonlinear.lookup import distance_bytes, distance_words, row_maximum

ENTRIES = 256
ONE = np.float32(1.0)
HALF = 0.5


@scalar
def inverse_of_sum(codes, maximum, table, unit):
    """One over the sum of the exponentials in units of the result, added from the left."""
    total = np.float32(0.0)
    for i in range(codes.size):
        total = np.float32(total + table[maximum - np.int64(codes[i])])
    return np.float32(ONE / np.float32(total * unit))


@scalar
def results(inverse, table, bits, planes):
    """The result of every distance, ties away from zero, as byte planes: binary64 holds the sum with a half exactly."""
    lowest = -(1 << (bits - 1))
    for distance in range(ENTRIES):
        units = np.float64(np.float32(table[distance] * inverse))
        code = min(np.int64(np.floor(units + HALF)) + lowest, -lowest - 1)
        planes[0, distance] = np.uint8(code & 255)
        planes[1, distance] = np.uint8((code >> 8) & 255)


@kernel
def softmax_bytes(codes, table, unit, out):
    """Results of 8 bits; ``unit`` is what one of them is worth."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        results(inverse_of_sum(codes[row], maximum, table, unit), table, 8, planes)
        distance_bytes(codes[row], maximum, planes, out[row])


@kernel
def softmax_words(codes, table, unit, out):
    """Results of 16 bits."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        results(inverse_of_sum(codes[row], maximum, table, unit), table, 16, planes)
        distance_words(codes[row], maximum, planes, out[row])
