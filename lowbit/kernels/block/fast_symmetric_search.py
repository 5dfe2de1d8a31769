"""A scale for each block of integers by ggml's searches, in binary32: an exception to the int64 rule.

``make_qx_quants`` of ggml-quants.c tries scales beside that of the value of the largest magnitude, whose sign they
have; for the codes that each of them gives it knows the best scale by weighted least squares. ``make_q3_quants`` keeps
the first of these and moves one code after the other where that lowers the error. Sums over a block are of w x^2 by
its weights w: ``sum_xl`` of w x l for the codes l, ``sum_l2`` of w l^2; sum_xl^2 / sum_l2 is what a scale saves.
"""

import numpy as np

from lowbit.kernels._jit import kernel, part, routine
from lowbit.kernels.block.fast_lanes import LANES, NOTHING, ONE, ZERO_WORD, nearest, squares, turned
from lowbit.kernels.lib.select import pick

SMALLEST = np.float32(1e-15)
"""A block whose largest magnitude is below this has the scale 0 (GROUP_MAX_EPS)."""
PASSES = 5

# Rows of the state: one number a block each.
PEAK, AMAX, INVERSE, SUM_XL, SUM_L2, SCALE, BEST, BEST_INVERSE, MOVES = range(9)
ROWS = 9


@part
def peaks(x, state):
    """The first value of the largest magnitude, and the magnitude."""
    for lane in range(LANES):
        state[PEAK, lane] = state[AMAX, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            size = abs(x[i, lane])
            state[PEAK, lane] = pick(size > state[AMAX, lane], x[i, lane], state[PEAK, lane])
            state[AMAX, lane] = pick(size > state[AMAX, lane], size, state[AMAX, lane])


@part
def sums(x, w, codes, state, numerator, bottom, top):
    """The codes by an inverse scale, and their sums."""
    for lane in range(LANES):
        state[INVERSE, lane] = np.float32(numerator / state[PEAK, lane])
        state[SUM_XL, lane] = state[SUM_L2, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            code = nearest(np.float32(state[INVERSE, lane] * x[i, lane]), bottom, top)
            codes[i, lane] = code
            state[SUM_XL, lane] += np.float32(np.float32(w[i, lane] * x[i, lane]) * code)
            state[SUM_L2, lane] += np.float32(np.float32(w[i, lane] * code) * code)


@routine
def keep_better(state):
    """The best scale for the codes of a trial, where it saves more than that of those before."""
    for lane in range(LANES):
        sum_xl, sum_l2 = state[SUM_XL, lane], state[SUM_L2, lane]
        better = np.float32(sum_xl * sum_xl) > np.float32(state[BEST, lane] * sum_l2)
        better = better & (sum_l2 > NOTHING)
        scale = np.float32(sum_xl / sum_l2)
        state[SCALE, lane] = pick(better, scale, state[SCALE, lane])
        state[BEST, lane] = pick(better, np.float32(scale * sum_xl), state[BEST, lane])
        state[BEST_INVERSE, lane] = pick(better, state[INVERSE, lane], state[BEST_INVERSE, lane])


@kernel
def search(values, weights, numerators, half, scales, codes):
    """Rows of values with their weights, to scales, and to codes from ``-half`` to ``half - 1``.

    No weights are x^2. ``numerators``: what is divided by the value of the largest magnitude, ``-half`` first.
    """
    shape = values.shape[1], LANES
    x, w, tried = np.empty(shape, np.float32), np.empty(shape, np.float32), np.empty(shape, np.float32)
    state, bottom, top = np.empty((ROWS, LANES), np.float32), np.int32(ZERO_WORD - half), np.int32(ZERO_WORD + half - 1)
    for strip in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - strip)
        turned(values, strip, count, x)
        if weights.size:
            turned(weights, strip, count, w)
        else:
            squares(x, w)
        peaks(x, state)
        sums(x, w, tried, state, numerators[0], bottom, top)
        for lane in range(LANES):
            none = state[SUM_L2, lane] == NOTHING
            scale = pick(none, NOTHING, np.float32(state[SUM_XL, lane] / state[SUM_L2, lane]))
            state[SCALE, lane] = scale
            state[BEST, lane] = np.float32(scale * state[SUM_XL, lane])
            state[BEST_INVERSE, lane] = state[INVERSE, lane]
        for trial in range(1, numerators.size):
            sums(x, w, tried, state, numerators[trial], bottom, top)
            keep_better(state)
        for lane in range(count):
            empty = state[AMAX, lane] < SMALLEST
            scales[strip + lane] = pick(empty, NOTHING, state[SCALE, lane])
            for i in range(values.shape[1]):
                code = nearest(np.float32(state[BEST_INVERSE, lane] * x[i, lane]), bottom, top)
                codes[strip + lane, i] = pick(empty, np.int8(-half), np.int8(code))


@part
def descend(x, w, slopes, codes, state, bottom, top):
    """One pass over the codes of a block, each of which moves to where the error is smallest; the number of moves."""
    for lane in range(LANES):
        state[MOVES, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            number, weight, slope, code = x[i, lane], w[i, lane], slopes[i, lane], codes[i, lane]
            sum_xl, sum_l2 = state[SUM_XL, lane], state[SUM_L2, lane]
            other_xl = np.float32(sum_xl - np.float32(slope * code))
            other_l2 = np.float32(sum_l2 - np.float32(np.float32(weight * code) * code))
            moved = nearest(np.float32(np.float32(number * other_l2) / other_xl), bottom, top)
            open_ = (other_xl > NOTHING) & (moved != code)
            other_xl = np.float32(other_xl + np.float32(slope * moved))
            other_l2 = np.float32(other_l2 + np.float32(np.float32(weight * moved) * moved))
            left = np.float32(np.float32(other_xl * other_xl) * sum_l2)
            right = np.float32(np.float32(sum_xl * sum_xl) * other_l2)
            better = open_ & (other_l2 > NOTHING) & (left > right)
            codes[i, lane] = pick(better, moved, code)
            state[SUM_XL, lane] = pick(better, other_xl, sum_xl)
            state[SUM_L2, lane] = pick(better, other_l2, sum_l2)
            state[MOVES, lane] += pick(better, ONE, NOTHING)
    moves = NOTHING
    for lane in range(LANES):
        moves += state[MOVES, lane]
    return moves


@routine
def gathered(rows, blocks, start, count, lanes):
    """The rows of some blocks into lanes, the last of them again in those that are left."""
    for lane in range(LANES):
        block = blocks[start + min(lane, count - 1)]
        for i in range(rows.shape[1]):
            lanes[i, lane] = rows[block, i]


@routine
def multiplied(left, right, out):
    """The products of lanes."""
    for i in range(left.shape[0]):
        for lane in range(LANES):
            out[i, lane] = np.float32(left[i, lane] * right[i, lane])


@part
def store_moved(x, tried, state, blocks, start, count, half, scales, codes):
    """What was found for some blocks, out of the lanes."""
    for lane in range(count):
        block, sum_l2 = blocks[start + lane], state[SUM_L2, lane]
        filled = state[AMAX, lane] >= SMALLEST
        scale = np.float32(state[SUM_XL, lane] / sum_l2)
        scales[block] = pick(filled & (sum_l2 > NOTHING), scale, NOTHING)
        for i in range(x.shape[0]):
            codes[block, i] = pick(filled, np.int8(tried[i, lane]), np.int8(-half))


@kernel
def search_by_moves(values, half, scales, codes):
    """As ``search`` without weights, by moves of single codes.

    After the first pass the blocks of which a code was moved, a fifth of the usual ones, are put together for the other
    passes. A pass that moves nothing would move nothing again.
    """
    shape, total = (values.shape[1], LANES), values.shape[0]
    x, w = np.empty(shape, np.float32), np.empty(shape, np.float32)
    slopes, tried = np.empty(shape, np.float32), np.empty(shape, np.float32)
    state, bottom, top = np.empty((ROWS, LANES), np.float32), np.int32(ZERO_WORD - half), np.int32(ZERO_WORD + half - 1)
    blocks, kept = np.arange(total), np.empty((total, 2), np.float32)
    unfinished, passes = 0, 1
    for _ in range(2):
        for start in range(0, total, LANES):
            count = min(LANES, total - start)
            gathered(values, blocks, start, count, x)
            squares(x, w)
            peaks(x, state)
            multiplied(x, w, slopes)
            if passes == 1:
                sums(x, w, tried, state, np.float32(-half), bottom, top)
            else:
                gathered(codes, blocks, start, count, tried)
                for lane in range(LANES):
                    block = blocks[start + min(lane, count - 1)]
                    state[SUM_XL, lane], state[SUM_L2, lane] = kept[block, 0], kept[block, 1]
            for _ in range(passes):
                if descend(x, w, slopes, tried, state, bottom, top) == NOTHING:
                    break
            store_moved(x, tried, state, blocks, start, count, half, scales, codes)
            if passes == 1:
                for lane in range(count):
                    block = start + lane
                    kept[block, 0], kept[block, 1] = state[SUM_XL, lane], state[SUM_L2, lane]
                    if state[MOVES, lane] > NOTHING:
                        blocks[unfinished] = block
                        unfinished += 1
        total, passes = unfinished, PASSES - 1
