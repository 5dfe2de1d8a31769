"""A scale and a minimum for each block by ggml's search, in binary32: an exception to the int64 rule.

``make_qkx2_quants`` and ``make_qkx3_quants`` of ggml-quants.c: for each of some numbers of steps between the minimum
and the maximum, the codes of the nearest levels, and the scale and the minimum that have the least weighted squared
error for these codes; the pair of the smallest error is taken. A better minimum takes part in the trials that follow.
"""

import numpy as np

from lowbit.kernels._jit import kernel, part, scalar
from lowbit.kernels.block.fast_lanes import LANES, NOTHING, ONE, ZERO_WORD, nearest, turned
from lowbit.kernels.lib.select import pick

INFINITE = np.float32(np.inf)

# Rows of the state: one number a block each.
LOW, HIGH, SUM_W, SUM_X, INVERSE, SUM_L, SUM_L2, SUM_XL = range(8)
TRIED_SCALE, TRIED_LOW, ERROR, SCALE, BEST_ERROR, BEST_INVERSE, BEST_ORIGIN, EMPTY = range(8, 16)
ROWS = 16


@scalar
def error_of(weight, code, scale, low, number, absolute):
    """The weighted error of an element, or its square."""
    off = np.float32(np.float32(np.float32(scale * code) + low) - number)
    return np.float32(weight * pick(absolute, abs(off), np.float32(off * off)))


@part
def weigh(x, w, state, absolute):
    """The weights where none are given: |x|, or that and the root mean square of the block."""
    for lane in range(LANES):
        state[SUM_W, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            state[SUM_W, lane] += np.float32(x[i, lane] * x[i, lane])
    for lane in range(LANES):
        root = np.sqrt(np.float32(state[SUM_W, lane] / np.float32(x.shape[0])))
        state[SUM_W, lane] = pick(absolute, NOTHING, root)
    for i in range(x.shape[0]):
        for lane in range(LANES):
            w[i, lane] = np.float32(state[SUM_W, lane] + abs(x[i, lane]))


@part
def begin(x, w, state, most, top, absolute):
    """The range of each block, and the error of the levels between its ends."""
    for lane in range(LANES):
        state[LOW, lane] = state[HIGH, lane] = x[0, lane]
        state[SUM_W, lane] = w[0, lane]
        state[SUM_X, lane] = np.float32(w[0, lane] * x[0, lane])
    for i in range(1, x.shape[0]):
        for lane in range(LANES):
            number = x[i, lane]
            state[LOW, lane] = pick(number < state[LOW, lane], number, state[LOW, lane])
            state[HIGH, lane] = pick(number > state[HIGH, lane], number, state[HIGH, lane])
            state[SUM_W, lane] += w[i, lane]
            state[SUM_X, lane] += np.float32(w[i, lane] * number)
    for lane in range(LANES):
        low = pick(state[LOW, lane] > NOTHING, NOTHING, state[LOW, lane])
        inverse = np.float32(most / np.float32(state[HIGH, lane] - low))
        state[EMPTY, lane] = pick(state[HIGH, lane] == low, ONE, NOTHING)
        state[LOW, lane] = state[BEST_ORIGIN, lane] = low
        state[INVERSE, lane] = state[BEST_INVERSE, lane] = inverse
        state[SCALE, lane] = np.float32(ONE / inverse)
        state[BEST_ERROR, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            number, low = x[i, lane], state[LOW, lane]
            code = nearest(np.float32(state[INVERSE, lane] * np.float32(number - low)), ZERO_WORD, top)
            state[BEST_ERROR, lane] += error_of(w[i, lane], code, state[SCALE, lane], low, number, absolute)


@part
def fit(x, w, codes, state, numerator, top):
    """The codes for a number of steps, and the scale and the minimum that are best for them."""
    for lane in range(LANES):
        state[INVERSE, lane] = np.float32(numerator / np.float32(state[HIGH, lane] - state[LOW, lane]))
        state[SUM_L, lane] = state[SUM_L2, lane] = state[SUM_XL, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            from_low = np.float32(x[i, lane] - state[LOW, lane])
            code = nearest(np.float32(state[INVERSE, lane] * from_low), ZERO_WORD, top)
            weighted = np.float32(w[i, lane] * code)
            codes[i, lane] = code
            state[SUM_L, lane] += weighted
            state[SUM_L2, lane] += np.float32(weighted * code)
            state[SUM_XL, lane] += np.float32(weighted * x[i, lane])
    for lane in range(LANES):
        sum_w, sum_x, sum_l = state[SUM_W, lane], state[SUM_X, lane], state[SUM_L, lane]
        sum_l2, sum_xl = state[SUM_L2, lane], state[SUM_XL, lane]
        determinant = np.float32(np.float32(sum_w * sum_l2) - np.float32(sum_l * sum_l))
        scale = np.float32(np.float32(np.float32(sum_w * sum_xl) - np.float32(sum_x * sum_l)) / determinant)
        low = np.float32(np.float32(np.float32(sum_l2 * sum_x) - np.float32(sum_l * sum_xl)) / determinant)
        state[TRIED_SCALE, lane] = pick(low > NOTHING, np.float32(sum_xl / sum_l2), scale)
        state[TRIED_LOW, lane] = pick(low > NOTHING, NOTHING, low)
        state[ERROR, lane] = pick(determinant > NOTHING, NOTHING, INFINITE)


@part
def keep_better(x, w, codes, state, absolute):
    """The error of what was fitted, which is taken where it is smaller."""
    for i in range(x.shape[0]):
        for lane in range(LANES):
            scale, low = state[TRIED_SCALE, lane], state[TRIED_LOW, lane]
            state[ERROR, lane] += error_of(w[i, lane], codes[i, lane], scale, low, x[i, lane], absolute)
    for lane in range(LANES):
        better = state[ERROR, lane] < state[BEST_ERROR, lane]
        state[BEST_ERROR, lane] = pick(better, state[ERROR, lane], state[BEST_ERROR, lane])
        state[BEST_INVERSE, lane] = pick(better, state[INVERSE, lane], state[BEST_INVERSE, lane])
        state[BEST_ORIGIN, lane] = pick(better, state[LOW, lane], state[BEST_ORIGIN, lane])
        state[SCALE, lane] = pick(better, state[TRIED_SCALE, lane], state[SCALE, lane])
        state[LOW, lane] = pick(better, state[TRIED_LOW, lane], state[LOW, lane])


@kernel
def search(values, weights, numerators, most, absolute, scales, minima, codes):
    """Rows of values with their weights, to scales, to what is subtracted, and to codes from 0 to ``most``.

    ``numerators``: the numbers of steps that are tried. ``absolute``: errors are magnitudes, not squares. No weights
    are |x| then, else that and the root mean square.
    """
    shape = values.shape[1], LANES
    x, w, tried = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    state, top = np.empty((ROWS, LANES), np.float32), np.int32(ZERO_WORD + np.int32(most))
    for strip in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - strip)
        turned(values, strip, count, x)
        if weights.size:
            turned(weights, strip, count, w)
        else:
            weigh(x, w, state, absolute)
        begin(x, w, state, most, top, absolute)
        for step in range(numerators.size):
            fit(x, w, tried, state, numerators[step], top)
            keep_better(x, w, tried, state, absolute)
        for lane in range(count):
            block, empty = strip + lane, state[EMPTY, lane] > NOTHING
            scales[block] = pick(empty, NOTHING, state[SCALE, lane])
            minima[block] = -pick(empty, state[BEST_ORIGIN, lane], state[LOW, lane])
            for i in range(values.shape[1]):
                from_low = np.float32(x[i, lane] - state[BEST_ORIGIN, lane])
                code = nearest(np.float32(state[BEST_INVERSE, lane] * from_low), ZERO_WORD, top)
                codes[block, i] = pick(empty, np.int8(0), np.int8(code))
