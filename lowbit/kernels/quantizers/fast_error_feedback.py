"""Rounding with error feedback, column after column, in binary64: an exception to the int64 rule.

The inner loop of GPTQ: a weight becomes the nearest level of its row and group, and what that costs is spread over
the columns after it. Rows do not depend on each other. Source: Frantar et al., "GPTQ", ICLR 2023, Algorithm 1.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar


@scalar
def nearest_level(weight, levels, even, odd):
    """The place of the nearest of ascending levels; a tie goes to the even code, be it below or above."""
    first, last = np.int64(0), np.int64(levels.size - 1)
    while first < last:
        middle = (first + last) // 2
        boundary = (levels[middle] + levels[middle + 1]) / 2
        tie_above = weight == boundary and even[middle] == odd
        if weight > boundary or tie_above:
            first = middle + 1
        else:
            last = middle
    return first


@scalar
def margin_of(weight, levels, place):
    """How far a weight is from the next tie, over the distance of the two levels; 1 where there is none."""
    margin = np.float64(1)
    if place > 0 and levels[place] > levels[place - 1]:
        gap = levels[place] - levels[place - 1]
        margin = min(margin, abs(weight - levels[place - 1] - gap / 2) / gap)
    if place < levels.size - 1 and levels[place + 1] > levels[place]:
        gap = levels[place + 1] - levels[place]
        margin = min(margin, abs(levels[place] + gap / 2 - weight) / gap)
    return margin


@kernel
def feed_back(weights, factor, levels, groups, even, odd, places, errors, margins):
    """Round a block of columns, in place.

    ``weights`` (rows, n) hold what is left to round, ``factor`` (n, n) the upper Cholesky factor of the inverse
    Hessian, ``levels`` (rows, groups, count) the ascending values, ``groups`` (n,) the group of each column, ``even``
    (count,) 1 where a code is even, ``odd`` (rows, groups) 1 where a tie goes to odd codes instead. ``places`` (rows,
    n) get the places of the levels, ``errors`` (rows, n) each error over the factor's diagonal, ``margins`` (rows,) the
    smallest distance from a tie.
    """
    rows, columns = weights.shape
    for row in range(rows):
        smallest = margins[row]
        for column in range(columns):
            weight, group = weights[row, column], groups[column]
            own = levels[row, group]
            place = nearest_level(weight, own, even, odd[row, group])
            smallest = min(smallest, margin_of(weight, own, place))
            error = (weight - own[place]) / factor[column, column]
            places[row, column], errors[row, column] = place, error
            for later in range(column + 1, columns):
                weights[row, later] -= error * factor[column, later]
        margins[row] = smallest
