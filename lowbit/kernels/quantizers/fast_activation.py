"""A learned range of activations, and the kurtosis of rows, with their slopes: an exception to the int64 rule.

In the arrays' own precision, sums in binary64. Sources: ``quantizers/learned/activation.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar


@scalar
def moments(values, row):
    """Mean, and the second to the fourth central moment of a row."""
    size, mean = values.shape[1], 0.0
    for place in range(size):
        mean += values[row, place]
    mean /= size
    second = third = fourth = 0.0
    for place in range(size):
        from_mean = values[row, place] - mean
        square = from_mean * from_mean
        second += square
        third += square * from_mean
        fourth += square * square
    return mean, second / size, third / size, fourth / size


@kernel
def fake_range(values, low, high, levels, result):
    """``result`` (size,): the values of the codes 0 to ``levels`` over [low, high], whose zero is a code."""
    scale = levels / (high - low)
    zero = np.rint(scale * low)
    for place in range(values.size):
        code = np.rint(scale * min(max(values[place], low), high) - zero)
        result[place] = (min(max(code, 0), levels) + zero) / scale


@kernel
def fake_range_slopes(values, low, high, levels, above, to_values, to_ends):
    """What ``above`` (size,) is by the values and by the two ends: (2,) of binary64.

    A number beyond an end hands its slope to it. One inside keeps it, and hands the ends the share of its rounding
    error, in codes, of all levels: more to the upper one, less to the lower one.
    """
    scale = levels / (high - low)
    zero = np.rint(scale * low)
    lower = upper = 0.0
    for place in range(values.size):
        number, slope = values[place], above[place]
        if number >= high:
            upper += slope
            to_values[place] = slope - slope
        elif number <= low:
            lower += slope
            to_values[place] = slope - slope
        else:
            share = scale * number - zero
            error = slope * ((np.rint(share) - share) / levels)
            upper += error
            lower -= error
            to_values[place] = slope
    to_ends[0], to_ends[1] = lower, upper


@kernel
def kurtosis_of_rows(values, result):
    """``result`` (rows,): the fourth central moment over the square of the second; 0 where that is 0."""
    for row in range(values.shape[0]):
        _, second, _, fourth = moments(values, row)
        result[row] = fourth / (second * second) if second > 0 else 0.0


@kernel
def kurtosis_slopes(values, above, result):
    """``result`` (rows, size): ``above`` (rows,) times 4 / n ((d^3 - m3) / m2^2 - m4 d / m2^3) of each distance d."""
    for row in range(values.shape[0]):
        mean, second, third, fourth = moments(values, row)
        inverse = 1 / (second * second) if second > 0 else 0.0
        factor, ratio = above[row] * 4 / values.shape[1] * inverse, fourth / second if second > 0 else 0.0
        for place in range(values.shape[1]):
            from_mean = values[row, place] - mean
            result[row, place] = factor * (from_mean * from_mean * from_mean - third - ratio * from_mean)
