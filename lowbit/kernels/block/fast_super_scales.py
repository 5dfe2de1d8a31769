"""Codes for the scales of a super-block by ggml's search, in binary32: an exception to the int64 rule.

``make_qp_quants`` of ggml-quants.c: of nine inverse factors that of the least weighted squared error, the best factor
for its codes, and then codes are moved as in ``fast_symmetric_search.search_by_moves``. Codes are kept in 8 bits
without a sign, so that those of negative scales wrap, while sums are of the codes as they were.
"""

import numpy as np

from lowbit.kernels._jit import kernel, scalar
from lowbit.kernels.block.fast_lanes import NOTHING, ONE, TO_WHOLE, WHOLE, ZERO_WORD
from lowbit.kernels.block.fast_symmetric_search import PASSES, SMALLEST
from lowbit.kernels.lib.bits import as_int32
from lowbit.kernels.lib.select import pick

KEPT = np.int32(0xFF)


@scalar
def whole(number):
    """The nearest integer, as ggml's ``nearest_int``; an int32."""
    return np.int32(np.int32(as_int32(np.float32(number + TO_WHOLE)) & WHOLE) - ZERO_WORD)


@scalar
def error_of(number, factor, code, weight):
    """The weighted square of an error."""
    off = np.float32(number - np.float32(factor * np.float32(code)))
    return np.float32(np.float32(weight * off) * off)


@scalar
def best_inverse(x, w, numerators, peak, most):
    """The inverse factor of the smallest error; the first of them limits no code."""
    best = np.float32(numerators[0] / peak)
    factor, least = np.float32(ONE / best), NOTHING
    for i in range(x.size):
        least = np.float32(least + error_of(x[i], factor, np.int32(whole(np.float32(best * x[i])) & KEPT), w[i]))
    for trial in range(1, numerators.size):
        inverse, error = np.float32(numerators[trial] / peak), NOTHING
        factor = np.float32(ONE / inverse)
        for i in range(x.size):
            code = min(most, whole(np.float32(inverse * x[i])))
            error = np.float32(error + error_of(x[i], factor, code, w[i]))
        if error < least:
            least, best = error, inverse
    return best


@scalar
def descend(x, w, codes, sum_xl, sum_l2, most):
    """One pass over the codes; the two sums, and whether a code was moved."""
    change = False
    for i in range(x.size):
        old, slope = np.float32(codes[i]), np.float32(w[i] * x[i])
        other_xl = np.float32(sum_xl - np.float32(slope * old))
        other_l2 = np.float32(sum_l2 - np.float32(np.float32(w[i] * old) * old))
        if other_xl > NOTHING and other_l2 > NOTHING:
            moved = min(most, whole(np.float32(np.float32(x[i] * other_l2) / other_xl)))
            if moved != np.int32(codes[i]):
                number = np.float32(moved)
                other_xl = np.float32(other_xl + np.float32(slope * number))
                other_l2 = np.float32(other_l2 + np.float32(np.float32(w[i] * number) * number))
                left = np.float32(np.float32(other_xl * other_xl) * sum_l2)
                if left > np.float32(np.float32(sum_xl * sum_xl) * other_l2):
                    codes[i] = np.uint8(moved & KEPT)
                    sum_xl, sum_l2, change = other_xl, other_l2, True
    return sum_xl, sum_l2, change


@kernel
def search(scales, weights, numerators, most, factors, codes):
    """Rows of scales with their weights, to a factor for each row, and to codes of at most ``most``."""
    for row in range(scales.shape[0]):
        x, w, own = scales[row], weights[row], codes[row]
        peak = NOTHING
        for i in range(x.size):
            peak = pick(peak > x[i], peak, x[i])
        own[:] = np.uint8(0)
        factors[row] = NOTHING
        if not peak < SMALLEST:
            best = best_inverse(x, w, numerators, peak, most)
            sum_xl, sum_l2 = NOTHING, NOTHING
            for i in range(x.size):
                code = min(most, whole(np.float32(best * x[i])))
                number = np.float32(code)
                own[i] = np.uint8(code & KEPT)
                sum_xl = np.float32(sum_xl + np.float32(np.float32(w[i] * x[i]) * number))
                sum_l2 = np.float32(sum_l2 + np.float32(np.float32(w[i] * number) * number))
            for _ in range(PASSES):
                sum_xl, sum_l2, change = descend(x, w, own, sum_xl, sum_l2, most)
                if not change:
                    break
            if sum_l2 > NOTHING:
                factors[row] = np.float32(sum_xl / sum_l2)
