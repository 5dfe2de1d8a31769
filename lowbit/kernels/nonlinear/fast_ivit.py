"""Shiftmax and ShiftGELU over rows of 8-bit codes, by tables.

Shiftmax's exponential is a table of the distance from the row's maximum: a row costs one pass for the maximum, one for
the sum, one division, 256 products, and one pass for the results. ShiftGELU's sigmoid is a table of the row's maximum
and the code. Proved equal to ``ivit.py``, which makes the tables. They cannot trap: the array layer takes the plain
kernels for that.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.lib.bits import shift_right_32
from lowbit.kernels.nonlinear.ivit import PRODUCT, RESULT, RESULT_SHIFT, SUM, factor_of, product_of
from lowbit.kernels.nonlinear.lookup import distance_bytes, distance_sum, distance_words, multiply_by_entry, row_maximum
from lowbit.kernels.nonlinear.steps import step

ENTRIES = 256
LARGEST = (1 << 31) - 1
BYTE = np.int32(8)


@scalar
def results(factor, table, narrow, constants, limits, mode, status, planes):
    """The result of every distance, as byte planes; ``narrow`` is the table in 32 bits, for products that fit them."""
    shift = constants[RESULT_SHIFT]
    largest = table[0] * factor  # the exponential falls with the distance
    if factor >= 0 and largest <= limits[PRODUCT, 1] and (largest >> shift) <= limits[RESULT, 1]:
        if largest <= LARGEST:
            small, places = np.int32(factor), np.int32(shift)
            for distance in range(ENTRIES):
                result = shift_right_32(np.int32(narrow[distance] * small), places)
                planes[0, distance] = np.uint8(result)
                planes[1, distance] = np.uint8(shift_right_32(result, BYTE))
            return
        for distance in range(ENTRIES):
            wide = (table[distance] * factor) >> shift
            planes[0, distance] = np.uint8(wide)
            planes[1, distance] = np.uint8(wide >> 8)
        return
    for distance in range(ENTRIES):
        product = product_of(table[distance], factor, constants, limits, mode, status, 0, 0)
        fitted = step(product >> shift, RESULT, limits, mode, status, 0, 0)
        planes[0, distance] = np.uint8(fitted & 255)
        planes[1, distance] = np.uint8((fitted >> 8) & 255)


@scalar
def factor_of_sum(total, constants, limits, mode, status, row):
    """The reciprocal of a row's sum; 0, and a note of the row, where it has wrapped to 0."""
    total = step(total, SUM, limits, mode, status, row, -1)
    return factor_of(total, constants, SUM, limits, mode, status, row, -1)


@kernel
def softmax_bytes(codes, table, narrow, table_planes, constants, limits, mode, out, status):
    """Results of at most 8 bits; ``status[0]`` becomes the first row whose sum is 0."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        total = distance_sum(codes[row], maximum, table_planes)
        factor = factor_of_sum(total, constants, limits, mode, status, row)
        results(factor, table, narrow, constants, limits, mode, status, planes)
        distance_bytes(codes[row], maximum, planes, out[row])


@kernel
def softmax_words(codes, table, narrow, table_planes, constants, limits, mode, out, status):
    """Results of 9 to 16 bits."""
    planes = np.empty((2, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        total = distance_sum(codes[row], maximum, table_planes)
        factor = factor_of_sum(total, constants, limits, mode, status, row)
        results(factor, table, narrow, constants, limits, mode, status, planes)
        distance_words(codes[row], maximum, planes, out[row])


@kernel
def gelu_rows(codes, table, out):
    """Results as int32; ``table`` holds bytes."""
    for row in range(codes.shape[0]):
        maximum = row_maximum(codes[row])
        multiply_by_entry(codes[row], table[maximum & 255], out[row])
