"""Rounding with error feedback, column after column, in binary64: an exception to the int64 rule.

The inner loop of GPTQ: a weight becomes the nearest level of its output and group, and what that costs is spread over
the columns after it. Outputs do not depend on each other: a few of them go through the columns side by side, so that
every loop inside is one over numbers that lie side by side and need nothing of each other, which becomes vectors.
Source: Frantar et al., "GPTQ", ICLR 2023, Algorithm 1; for weights that are kept apart Dettmers et al., "SpQR", ICLR
2024, Algorithm 1.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar

WIDTH = 64
"""Outputs side by side: their weights in 128 columns fill 64 KiB."""


@scalar
def margin_of(weight, levels, place):
    """How far a weight is from the tie between its level and the next one on its side, over the distance of both."""
    low = min(max(place - np.int64(weight <= levels[place]), 0), levels.size - 2)
    gap = levels[low + 1] - levels[low]
    return abs(weight - (levels[low] + levels[low + 1]) / 2) / gap if gap > 0 else 1.0


@kernel
def feed_back(weights, factor, levels, cuts, zeros, groups, cutoff, first, last, places, errors, apart, margins):
    """Round a block of columns of the outputs ``first`` to ``last - 1``, in place.

    ``weights`` (n, outputs) hold what is left to round, ``factor`` (n, n) the upper Cholesky factor of the inverse
    Hessian, ``levels`` (outputs, groups, count) the ascending values, ``cuts`` (outputs, groups, 2^m - 1) between each
    and the next one the largest number that is rounded down, infinite ones at the end, ``zeros`` (outputs, groups) the
    places of 0, ``groups`` (n,) the group of each column. ``places`` (n, outputs) get the places of the levels,
    ``errors`` (n, outputs) each error over the factor's diagonal, ``margins`` (outputs,) the smallest distance from a
    tie. ``weights`` keep each weight as it was when it was rounded.

    A weight whose squared error times ``cutoff`` is above 1 is kept apart: ``apart`` (n, outputs) is 1, its place that
    of 0, and its error 0. Without a cutoff, 0, nothing is.
    """
    columns, width = weights.shape[0], last - first
    own, error, place = np.empty((columns, width)), np.empty(width), np.empty(width, np.int64)
    for column in range(columns):
        own[column] = weights[column, first:last]
    for column in range(columns):
        group, pivot = groups[column], factor[column, column]
        place[:] = 0
        step = (cuts.shape[2] + 1) // 2
        while step > 0:  # a search by halves, without a branch on the weight
            for row in range(width):
                above = own[column, row] > cuts[first + row, group, place[row] + step - 1]
                place[row] += step * np.int64(above)
            step //= 2
        for row in range(width):
            weight, at = own[column, row], place[row]
            lost = (weight - levels[first + row, group, at]) / pivot
            excess = lost * lost * cutoff
            outlier = excess > 1
            margin = abs(excess - 1)
            if not outlier:
                margin = min(margin, margin_of(weight, levels[first + row, group], at))
            margins[first + row] = min(margins[first + row], margin)
            error[row] = 0.0 if outlier else lost
            apart[column, first + row] = outlier
            places[column, first + row] = zeros[first + row, group] if outlier else at
        errors[column, first:last] = error
        for later in range(column + 1, columns):
            share = factor[column, later]
            for row in range(width):
                own[later, row] -= error[row] * share
    for column in range(columns):
        weights[column, first:last] = own[column]
