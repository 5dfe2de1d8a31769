"""A scale for each block of elements out of a table by ggml's search, in binary32: an exception to the int64 rule.

``quantize_row_iq4_nl_impl`` of ggml-quants.c: as ``make_qx_quants``, with the integers of a table of 16. An element is
the nearest one, the larger of two that are equally near; ggml's differences are exact there, so a comparison with the
middle decides the same.
"""

import numpy as np

from lowbit.kernels._jit import constants, kernel, part, scalar
from lowbit.kernels.block.fast_lanes import LANES, NOTHING, ONE, squares, turned
from lowbit.kernels.block.fast_symmetric_search import (
    AMAX,
    BEST,
    INVERSE,
    PEAK,
    ROWS,
    SCALE,
    SMALLEST,
    SUM_L2,
    SUM_XL,
    keep_better,
    peaks,
)
from lowbit.kernels.lib.select import pick

ELEMENTS = 16
LAST = ELEMENTS - 1


@scalar
def element(number, middles, elements):
    """The element of the table that is nearest; the last one for NaN. An element a place, from the last one down."""
    value = elements[15]
    value = pick(number < middles[14], elements[14], value)
    value = pick(number < middles[13], elements[13], value)
    value = pick(number < middles[12], elements[12], value)
    value = pick(number < middles[11], elements[11], value)
    value = pick(number < middles[10], elements[10], value)
    value = pick(number < middles[9], elements[9], value)
    value = pick(number < middles[8], elements[8], value)
    value = pick(number < middles[7], elements[7], value)
    value = pick(number < middles[6], elements[6], value)
    value = pick(number < middles[5], elements[5], value)
    value = pick(number < middles[4], elements[4], value)
    value = pick(number < middles[3], elements[3], value)
    value = pick(number < middles[2], elements[2], value)
    value = pick(number < middles[1], elements[1], value)
    return pick(number < middles[0], elements[0], value)


@scalar
def of_first(peak, element):
    """The inverse scale of the first trial, by which the value of the largest magnitude becomes an element."""
    return np.float32(ONE / np.float32(peak / element))


@part
def sums(x, w, state, middles, elements):
    """The sums of the elements by an inverse scale, as those of ``fast_symmetric_search``."""
    for lane in range(LANES):
        state[SUM_XL, lane] = state[SUM_L2, lane] = NOTHING
    for i in range(x.shape[0]):
        for lane in range(LANES):
            value = element(np.float32(state[INVERSE, lane] * x[i, lane]), middles, elements)
            weighted = np.float32(w[i, lane] * value)
            state[SUM_XL, lane] += np.float32(weighted * x[i, lane])
            state[SUM_L2, lane] += np.float32(weighted * value)


@kernel
def search(values, weights, first, numerators, table_of_middles, table, scales, inverses):
    """Rows of values with their weights, to scales, and to the inverse scales of the first trial.

    No weights are x^2. ``first``: the element that the value of the largest magnitude becomes in it. ``numerators``:
    what that value divides in the others.
    """
    middles, elements = constants(table_of_middles, LAST), constants(table, ELEMENTS)
    x, w = np.empty((values.shape[1], LANES), np.float32), np.empty((values.shape[1], LANES), np.float32)
    state = np.empty((ROWS, LANES), np.float32)
    for strip in range(0, values.shape[0], LANES):
        count = min(LANES, values.shape[0] - strip)
        turned(values, strip, count, x)
        if weights.size:
            turned(weights, strip, count, w)
        else:
            squares(x, w)
        peaks(x, state)
        for lane in range(LANES):
            state[INVERSE, lane] = of_first(state[PEAK, lane], first)
        sums(x, w, state, middles, elements)
        for lane in range(LANES):
            sum_xl, sum_l2 = state[SUM_XL, lane], state[SUM_L2, lane]
            state[SCALE, lane] = pick(sum_l2 > NOTHING, np.float32(sum_xl / sum_l2), NOTHING)
            state[BEST, lane] = np.float32(state[SCALE, lane] * sum_xl)
        for trial in range(numerators.size):
            for lane in range(LANES):
                state[INVERSE, lane] = np.float32(numerators[trial] / state[PEAK, lane])
            sums(x, w, state, middles, elements)
            keep_better(state)
        for lane in range(count):
            empty = state[AMAX, lane] < SMALLEST
            scales[strip + lane] = pick(empty, NOTHING, state[SCALE, lane])
            inverses[strip + lane] = pick(empty, NOTHING, of_first(state[PEAK, lane], first))


@kernel
def encode(values, inverses, table_of_middles, codes):
    """The places in the table of the elements that are nearest to values times the inverse scale of their row."""
    middles = constants(table_of_middles, LAST)
    for block in range(values.shape[0]):
        inverse = inverses[block]
        for i in range(values.shape[1]):
            number, code = np.float32(inverse * values[block, i]), np.int32(LAST)
            for place in range(LAST):
                code = np.int32(code - pick(number < middles[place], np.int32(1), np.int32(0)))
            codes[block, i] = np.int8(code)
