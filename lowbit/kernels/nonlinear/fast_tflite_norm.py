"""TFLite's L2 normalisation over rows of int8 codes: a sum of squares, 256 results, and a look-up.

Proved equal to ``tflite_norm.py``. It cannot trap: the array layer takes the plain kernel for that.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.fixed_point.gemmlowp import (
    doubling_high_multiply,
    inverse_square_root,
    rounding_divide,
    saturate,
    wrap,
)
from lowbit.kernels.nonlinear.lookup import distance_bytes
from lowbit.kernels.nonlinear.steps import SATURATE

ENTRIES = 256
HIGHEST = 127


@scalar
def sum_of_squares(codes, zero_point):
    """Of the codes less their zero point; rows are short enough for 64 bits."""
    squares, total = np.int64(0), np.int64(0)
    for i in range(codes.size):
        code = np.int32(codes[i])
        squares += np.int64(np.int32(code * code))
        total += np.int64(code)
    return squares - 2 * zero_point * total + codes.size * zero_point * zero_point


@scalar
def results(inverse, left, zero_point, single, planes):
    """The result of every code, from the highest down."""
    for distance in range(ENTRIES):
        value = 127 - distance - zero_point
        if single:
            scaled = (value * inverse + (1 << (30 - left))) >> (31 - left)
        else:
            scaled = rounding_divide(doubling_high_multiply(value << max(left, 0), inverse, 32), max(-left, 0))
        planes[0, distance] = np.uint8(saturate(scaled, 8) & 255)


@kernel
def l2norm_bytes(codes, zero_point, single, mode, out):
    """Rows of int8 codes over the root of the sum of their squares."""
    planes = np.empty((1, ENTRIES), np.uint8)
    for row in range(codes.shape[0]):
        total = sum_of_squares(codes[row], zero_point)
        total = saturate(total, 32) if mode == SATURATE else wrap(total, 32)
        inverse, right = inverse_square_root(total)
        results(inverse, 7 - right, zero_point, single, planes)
        distance_bytes(codes[row], HIGHEST, planes, out[row])
