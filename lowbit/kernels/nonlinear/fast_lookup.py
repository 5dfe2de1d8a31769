"""Rows of 8-bit codes through tables of 256 entries, portably: the twin of ``simd_lookup.py``.

Every function of an 8-bit code, or of the distance of an 8-bit code from its row's maximum, is a table. A table of wide
entries is given as byte planes, ``planes[p, i]`` being byte p of entry i: vector registers look up bytes.
"""

import numpy as np

from lowbit.kernels._jit import scalar


@scalar
def row_maximum(codes):
    """The largest of a row of int8 codes, as an int64."""
    largest = codes[0]
    for i in range(codes.size):
        largest = max(largest, codes[i])
    return np.int64(largest)


@scalar
def distance_sum(codes, maximum, planes):
    """The sum of a table of 32-bit entries, given as four planes, at the distances from the maximum."""
    total = np.int64(0)
    for i in range(codes.size):
        distance = maximum - codes[i]
        total += (
            np.int64(planes[0, distance])
            + (np.int64(planes[1, distance]) << 8)
            + (np.int64(planes[2, distance]) << 16)
            + (np.int64(planes[3, distance]) << 24)
        )
    return total


@scalar
def distance_bytes(codes, maximum, planes, out):
    """The entries of a table of one plane at the distances from the maximum."""
    for i in range(codes.size):
        out[i] = planes[0, maximum - codes[i]]


@scalar
def distance_words(codes, maximum, planes, out):
    """The 16-bit entries of a table of two planes at the distances from the maximum."""
    for i in range(codes.size):
        distance = maximum - codes[i]
        out[i] = np.int16(np.int64(planes[0, distance]) | (np.int64(planes[1, distance]) << 8))


@scalar
def distance_doubles(codes, maximum, planes, out):
    """The 32-bit entries of a table of four planes at the distances from the maximum."""
    for i in range(codes.size):
        distance = maximum - codes[i]
        low = np.int64(planes[0, distance]) | (np.int64(planes[1, distance]) << 8)
        high = np.int64(planes[2, distance]) | (np.int64(planes[3, distance]) << 8)
        out[i] = np.int32(low | (high << 16))


@scalar
def multiply_by_entry(codes, table, out):
    """Each code times its entry of a table of bytes, indexed by the code's bits."""
    for i in range(codes.size):
        code = np.int64(codes[i])
        out[i] = np.int32(code * np.int64(table[code & 255]))
