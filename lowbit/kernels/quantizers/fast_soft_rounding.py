"""Soft rounding between neighbours of a grid and its gradients, in the arrays' own precision: an exception to int64.

With the plain formula ``value = lower + step * clamp(width * sigmoid(raw) + start, 0, 1)`` for every element. Source:
``quantizers/learned/soft_rounding.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar


@scalar
def sigmoid(raw, one):
    """``1 / (1 + exp(-raw))``."""
    return one / (one + np.exp(-raw))


@kernel
def soft_rounding(lower, steps, raw, start, width, one, result, slopes):
    """``result``: the values of ``lower``, ``steps`` and ``raw``, all (count,); ``slopes``: each one's by ``raw``.

    The slope is 0 where the share is clamped.
    """
    nothing = one - one
    for place in range(raw.size):
        curve = sigmoid(raw[place], one)
        share = width * curve + start
        result[place] = lower[place] + steps[place] * min(max(share, nothing), one)
        slope = steps[place] * width * curve * (one - curve)
        slopes[place] = slope if nothing <= share <= one else nothing


@kernel
def undecided(raw, start, width, one, power, slopes):
    """The sum of ``1 - |2 share - 1|^power``; ``slopes``: each term's by its raw."""
    total, nothing = 0.0, one - one
    for place in range(raw.size):
        curve = sigmoid(raw[place], one)
        share = width * curve + start
        if not nothing < share < one:
            slopes[place] = nothing
            continue
        away = (one + one) * share - one
        below = abs(away) ** (power - one)
        total += one - below * abs(away)
        slope = power * below * (one + one) * width * curve * (one - curve)
        slopes[place] = slope if away < 0 else -slope
    return total
