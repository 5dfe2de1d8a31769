"""E2M1 in the arrays' own precision, and its differentiable estimator: an exception to the int64 rule.

Proved equal to the casts of ``float4_e2m1fn`` in ``tests/quantizers/test_float4_training.py``; where the estimator
comes from: ``quantizers/learned/float4.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar

LARGEST = 6
"""Of E2M1: between its values lie steps of 1/2 below 2, of 1 below 4, and of 2 (OCP MX v1.0, 5.3.3)."""


@scalar
def per_unit(size):
    """How many values there are in a distance of 1 around a magnitude."""
    return 2.0 if size < 2 else (1.0 if size < 4 else 0.5)


@scalar
def nearest(number, upwards):
    """The nearest value; of two, that with an even code or the larger one; beyond the ends, the end."""
    count = per_unit(abs(number))
    share = number * count
    whole = np.rint(share)
    if upwards and share - whole == 0.5:
        whole += 1
    return min(max(whole / count, -LARGEST), LARGEST)


@kernel
def fake_float4(values, scales, upwards, result):
    """``result`` (rows, size): the values nearest to ``values * scales``, over the scales (rows,)."""
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            result[row, place] = nearest(values[row, place] * scales[row], upwards) / scales[row]


@scalar
def slope_of(number, sharpness, limit, clamped):
    """Of the smooth staircase: ``min(|2 (x - low) / width - 1|^(1/k - 1) / k, limit)`` between two values.

    MS-AMP's intervals are closed below, the last one above too; below -6 the first one's formula goes on, and above 6
    the slope is 0. Clamped, a number beyond has the slope at the end.
    """
    if clamped:
        number = min(max(number, -LARGEST), LARGEST)
    if number > LARGEST:
        return number - number
    if number < -4:  # the interval from -6 to -4, and what lies below
        share = number + 5
    elif number >= 4:
        share = number - 5
    else:
        within = number * 2 if -2 <= number < 2 else number * 1
        share = 2 * (within - np.floor(within)) - 1
    return min(abs(share) ** (1 / sharpness - 1) / sharpness, limit)


@kernel
def float4_slopes(values, scales, sharpness, limit, clamped, above, result):
    """``result`` (rows, size): ``above`` times the slopes of the estimator at ``values * scales``."""
    for row in range(values.shape[0]):
        for place in range(values.shape[1]):
            slope = slope_of(values[row, place] * scales[row], sharpness, limit, clamped)
            result[row, place] = above[row, place] * slope
