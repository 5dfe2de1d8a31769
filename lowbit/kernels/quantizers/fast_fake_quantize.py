"""Fake quantisation of blocks and its gradients, in the arrays' own precision: an exception to the int64 rule.

With the plain formula ``value = (clamp(rint(x / scale) + zero, low, high) - zero) * scale`` for every block. Sources of
the gradients: ``quantizers/learned/estimators.py``.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar

BEFORE, AFTER, CLIP_ONLY = 0, 1, 2
"""Whether a number is clamped is asked of the number, or of its rounded code; a clip alone learns from what it cuts."""


@scalar
def rounded(number):
    """The nearest integer, ties to even."""
    return np.rint(number)


@kernel
def fake_quantize(values, scales, zeros, low, high, result):
    """``result`` (blocks, size): the values of the codes of ``values``, ``scales`` and ``zeros`` (blocks,)."""
    for block in range(values.shape[0]):
        scale, zero = scales[block], zeros[block]
        for place in range(values.shape[1]):
            code = min(max(rounded(values[block, place] / scale) + zero, low), high)
            result[block, place] = (code - zero) * scale


@kernel
def fake_quantize_gradients(values, scales, zeros, low, high, rule, above, to_values, to_scales, to_zeros):
    """What ``above`` (blocks, size), a loss's slope by the results, is by the values, scales and zeros.

    With q the clamped code: by a value 1 inside and 0 outside; by the scale q - zero - x / scale inside (0 where a clip
    alone learns) and q - zero outside; by the zero 0 inside and -scale outside.
    """
    for block in range(values.shape[0]):
        scale, zero = scales[block], zeros[block]
        of_scale = of_zero = scale - scale  # in the arrays' precision
        for place in range(values.shape[1]):
            share = values[block, place] / scale
            code = rounded(share) + zero
            asked = code if rule == AFTER else share + zero
            slope = above[block, place]
            inside = low <= asked <= high
            code = min(max(code, low), high)
            to_values[block, place] = slope if inside else slope - slope
            if not inside:
                of_scale += slope * (code - zero)
                of_zero -= slope * scale
            elif rule != CLIP_ONLY:
                of_scale += slope * (code - zero - share)
        to_scales[block], to_zeros[block] = of_scale, of_zero
