"""The best k clusters of numbers on a line, exactly, in binary64: an exception to the int64 rule.

Clusters of sorted numbers are intervals. With cost(i, j) the weighted squared error of the numbers i..j-1 around their
mean, the least cost of the first j numbers in c clusters is ``min over i of best[c - 1][i] + cost(i, j)``. The best i
does not fall as j rises, so each layer takes n log n costs: the middle j is solved first and bounds the others. Source:
Grønlund et al., "Fast Exact k-Means, k-Medians and Bregman Divergence Clustering in 1D" (arXiv 1701.07204).
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar

DEPTH = 64
"""Ranges that wait: more than the logarithm of any length."""


@scalar
def cost(first, last, weight, moment, square):
    """The weighted squared error of numbers ``first`` to ``last - 1`` around their mean, out of sums from the left."""
    total = weight[last] - weight[first]
    sums = moment[last] - moment[first]
    error = square[last] - square[first]
    if total > 0:
        error -= sums * sums / total
    return max(error, 0.0)


@kernel
def layer(before, after, starts, weight, moment, square, ranges):
    """One more cluster: ``after[j]``, and in ``starts[j]`` where the last of the clusters of the first j begins."""
    size = before.size - 1
    waiting = np.int64(1)
    ranges[0, 0], ranges[0, 1], ranges[0, 2], ranges[0, 3] = 0, size, 0, size
    while waiting > 0:
        waiting -= 1
        low, high = ranges[waiting, 0], ranges[waiting, 1]
        first, last = ranges[waiting, 2], ranges[waiting, 3]
        middle = (low + high) // 2
        best, place = np.inf, first
        for start in range(first, min(middle, last) + 1):
            error = before[start] + cost(start, middle, weight, moment, square)
            if error < best:
                best, place = error, start
        after[middle], starts[middle] = best, place
        if middle > low:
            ranges[waiting, 0], ranges[waiting, 1], ranges[waiting, 2], ranges[waiting, 3] = (
                low,
                middle - 1,
                first,
                place,
            )
            waiting += 1
        if middle < high:
            ranges[waiting, 0], ranges[waiting, 1], ranges[waiting, 2], ranges[waiting, 3] = (
                middle + 1,
                high,
                place,
                last,
            )
            waiting += 1


@kernel
def clusters(weight, moment, square, bounds):
    """``bounds`` (count + 1,): where each of the best clusters begins, and the number of numbers at the end."""
    size, count = weight.size - 1, bounds.size - 1
    before, after = np.empty(size + 1), np.empty(size + 1)
    starts = np.empty((count, size + 1), np.int64)
    ranges = np.empty((DEPTH, 4), np.int64)
    for last in range(size + 1):
        before[last] = cost(0, last, weight, moment, square)
        starts[0, last] = 0
    for cluster in range(1, count):
        layer(before, after, starts[cluster], weight, moment, square, ranges)
        before, after = after, before
    bounds[count] = size
    for cluster in range(count - 1, -1, -1):
        bounds[cluster] = starts[cluster, bounds[cluster + 1]]
    return before[size]
