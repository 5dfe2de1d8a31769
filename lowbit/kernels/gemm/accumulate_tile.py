"""How any accumulator runs over a tile of columns: one loop over columns for each step, so that lanes are columns.

Partial sums are rows of ``registers``, one entry a column; its dtype, int64 or int32, is that of the lanes, and
``lane`` narrows the result of each operation to it, since Numba widens. Where ``notes`` is an array and not None, each
step also counts its overflows and notes the time k of the first one, see ``lowbit.oracle.gemm.accumulate``.

The parameters are a flat int64 vector (places below). An overflow is found and mended without a branch: a register
holds a value in range, so a sum can only leave the range on the side of the addend's sign.
"""

import numpy as np

from lowbit.kernels._jit import routine, scalar
from lowbit.kernels.lib.select import pick

# A rule is four entries: lowest value, highest value, their difference (the mask of the width), saturating or not.
LOW, HIGH, MASK, SATURATE = range(4)
TERM_RULE, OWN_RULE, RESULT_RULE = 0, 4, 8
TERM_CUT, COMBINE, ORDER, BLOCK, LANES, REDUCTION, SPILL, PRELOADED, CORRECTED = range(12, 21)


SEQUENTIAL, PAIRWISE, BLOCKED, IN_LANES = range(4)
REDUCE_SEQUENTIAL, REDUCE_ADJACENT, REDUCE_HALVES, REDUCE_WIDENING = range(4)

# Rows of the registers. From FIRST_LANE on: the lanes, or the waiting sums of a tree, one a level.
TERM, WIDE, TOTAL, FIRST_LANE = range(4)
TREE_LEVELS = 32

NEVER = 1 << 62
"""The time of an overflow that has not happened."""


@scalar
def fitted(lane, total, addend, low, high, mask, saturating):
    """The sum in its register, and whether it overflowed."""
    exact = lane(total + addend)
    wrapped = lane(lane(lane(exact - low) & mask) + low)
    crossed = lane(lane(total ^ exact) & lane(addend ^ exact)) < 0
    overflowed = crossed | (wrapped != exact)
    limit = pick(addend < 0, low, high)
    return pick(overflowed & (saturating != 0), limit, wrapped), overflowed


@scalar
def note(notes, j, overflowed, time):
    """Count an overflow of column j: row 0 has the number, row 1 the time of the first."""
    if notes is not None:
        notes[0, j] += pick(overflowed, 1, 0)
        notes[1, j] = min(notes[1, j], pick(overflowed, time, NEVER))


@routine
def add(registers, into, source, rule, vector, notes, time):
    """Row ``into`` += row ``source``, one step."""
    lane = registers.dtype.type
    low, high = lane(vector[rule + LOW]), lane(vector[rule + HIGH])
    mask, saturating = lane(vector[rule + MASK]), lane(vector[rule + SATURATE])
    for j in range(registers.shape[1]):
        registers[into, j], overflowed = fitted(
            lane, registers[into, j], registers[source, j], low, high, mask, saturating
        )
        note(notes, j, overflowed, time)


@routine
def add_product(registers, into, a, b, i, k, tile, vector, notes):
    """Row ``into`` += one product, one step: what ``add`` would do to a term of one product."""
    lane = registers.dtype.type
    low, high = lane(vector[OWN_RULE + LOW]), lane(vector[OWN_RULE + HIGH])
    mask, saturating = lane(vector[OWN_RULE + MASK]), lane(vector[OWN_RULE + SATURATE])
    factor = lane(a[i, k])
    for j in range(registers.shape[1]):
        product = lane(factor * lane(b[tile, k, j]))
        registers[into, j], overflowed = fitted(lane, registers[into, j], product, low, high, mask, saturating)
        note(notes, j, overflowed, k)


@routine
def clear(registers, row):
    """A register to 0."""
    for j in range(registers.shape[1]):
        registers[row, j] = 0


@routine
def copy(registers, into, source):
    """A register from another."""
    for j in range(registers.shape[1]):
        registers[into, j] = registers[source, j]


@routine
def load_term(registers, a, b, i, begin, end, tile, vector, notes):
    """TERM = the exact sum of the products ``begin`` to ``end``, cut to its width where it has one."""
    lane = registers.dtype.type
    factor = lane(a[i, begin])
    for j in range(registers.shape[1]):
        registers[TERM, j] = lane(factor * lane(b[tile, begin, j]))
    for k in range(begin + 1, end):
        factor = lane(a[i, k])
        for j in range(registers.shape[1]):
            registers[TERM, j] = lane(registers[TERM, j] + lane(factor * lane(b[tile, k, j])))
    if vector[TERM_CUT] != 0:
        fit_term(registers, TERM_RULE, vector, notes, end - 1)


@routine
def fit_term(registers, rule, vector, notes, time):
    """TERM in a register of a width, one step."""
    lane = registers.dtype.type
    low, high = lane(vector[rule + LOW]), lane(vector[rule + HIGH])
    mask, saturating = lane(vector[rule + MASK]), lane(vector[rule + SATURATE])
    for j in range(registers.shape[1]):
        registers[TERM, j], overflowed = fitted(lane, lane(0), registers[TERM, j], low, high, mask, saturating)
        note(notes, j, overflowed, time)


@routine
def push(registers, index, vector, notes, time):
    """Put TERM, the ``index``-th leaf, into the tree: sums of equal size are added as soon as both are there."""
    fit_term(registers, OWN_RULE, vector, notes, time)
    level = 0
    while (index >> level) & 1:
        add(registers, TERM, FIRST_LANE + level, OWN_RULE, vector, notes, time)
        level += 1
    copy(registers, FIRST_LANE + level, TERM)


@routine
def collapse(registers, leaves, vector, notes, time):
    """TERM = the sum of what waits in the tree, smallest first."""
    found = False
    for level in range(TREE_LEVELS):
        if (leaves >> level) & 1:
            if found:
                add(registers, TERM, FIRST_LANE + level, OWN_RULE, vector, notes, time)
            else:
                copy(registers, TERM, FIRST_LANE + level)
            found = True


@routine
def reduce(registers, vector, notes, time):
    """Lane 0 = the sum of the lanes; widening: WIDE += each of them."""
    count = vector[LANES]
    if vector[REDUCTION] == REDUCE_SEQUENTIAL:
        for other in range(1, count):
            add(registers, FIRST_LANE, FIRST_LANE + other, OWN_RULE, vector, notes, time)
    elif vector[REDUCTION] == REDUCE_WIDENING:
        for other in range(count):
            add(registers, WIDE, FIRST_LANE + other, RESULT_RULE, vector, notes, time)
    elif vector[REDUCTION] == REDUCE_ADJACENT:
        step = 1
        while step < count:
            for other in range(0, count - step, 2 * step):
                add(registers, FIRST_LANE + other, FIRST_LANE + other + step, OWN_RULE, vector, notes, time)
            step *= 2
    else:
        while count > 1:
            half = (count + 1) // 2
            for other in range(half, count):
                add(registers, FIRST_LANE + other - half, FIRST_LANE + other, OWN_RULE, vector, notes, time)
            count = half


@routine
def run_chunk(registers, a, b, i, start, stop, tile, vector, notes):
    """The products of a chunk, in order; returns the row that holds their sum."""
    order, combine = vector[ORDER], vector[COMBINE]
    index = 0
    for begin in range(start, stop, combine):
        end = min(begin + combine, stop)
        into = FIRST_LANE
        if order == IN_LANES:
            into = FIRST_LANE + index % vector[LANES]
        if combine == 1 and order != PAIRWISE and vector[TERM_CUT] == 0:
            add_product(registers, into, a, b, i, begin, tile, vector, notes)
        else:
            load_term(registers, a, b, i, begin, end, tile, vector, notes)
            if order == PAIRWISE:
                push(registers, index, vector, notes, end - 1)
            else:
                add(registers, into, TERM, OWN_RULE, vector, notes, end - 1)
        if order == BLOCKED and ((end - start) % vector[BLOCK] == 0 or end == stop):
            add(registers, TOTAL, FIRST_LANE, OWN_RULE, vector, notes, end - 1)
            clear(registers, FIRST_LANE)
        index += 1
    if order == PAIRWISE:
        collapse(registers, index, vector, notes, stop - 1)
        return TERM
    if order == IN_LANES:
        reduce(registers, vector, notes, stop - 1)
    return pick(order == BLOCKED, TOTAL, FIRST_LANE)


@routine
def begin_row(registers, rows, tile, bias, vector, notes):
    """Clear the registers, and load the bias into the one that starts from it."""
    for row in range(rows):
        clear(registers, row)
    if notes is not None:
        for j in range(registers.shape[1]):
            notes[0, j] = 0
            notes[1, j] = NEVER
    if vector[PRELOADED] != 0:
        low, high = vector[RESULT_RULE + LOW], vector[RESULT_RULE + HIGH]
        mask, saturating = vector[RESULT_RULE + MASK], vector[RESULT_RULE + SATURATE]
        into = pick(vector[SPILL] != 0, WIDE, FIRST_LANE)
        for j in range(registers.shape[1]):
            value, overflowed = fitted_wide(0, bias[tile, j], low, high, mask, saturating)
            registers[into, j] = value
            note(notes, j, overflowed, 0)


@routine
def finish_row(registers, row, i, tile, zeros, bias, products, vector, notes, out):
    """The correction for zero points and the bias, in 64 bits, and the result."""
    low, high = vector[RESULT_RULE + LOW], vector[RESULT_RULE + HIGH]
    mask, saturating = vector[RESULT_RULE + MASK], vector[RESULT_RULE + SATURATE]
    a_zeros, a_sums, b_zeros, b_sums = zeros
    by_row, zero = products * a_zeros[i] - a_sums[i], a_zeros[i]
    for j in range(registers.shape[1]):
        value = np.int64(registers[row, j])
        if vector[CORRECTED] != 0:
            correction = by_row * b_zeros[tile, j] - zero * b_sums[tile, j]
            value, overflowed = fitted_wide(value, correction, low, high, mask, saturating)
            note(notes, j, overflowed, products)
        if vector[PRELOADED] == 0:
            value, overflowed = fitted_wide(value, bias[tile, j], low, high, mask, saturating)
            note(notes, j, overflowed, products)
        out[i, tile, j] = value


@routine
def run_row(a, b, i, tile, zeros, bias, vector, registers, notes, out):
    """One row of ``a`` times a tile of columns."""
    products, chunk = a.shape[1], vector[SPILL]
    begin_row(registers, registers.shape[0], tile, bias, vector, notes)
    row = FIRST_LANE
    if chunk == 0:
        if products > 0:
            row = run_chunk(registers, a, b, i, 0, products, tile, vector, notes)
    else:
        for start in range(0, products, chunk):
            stop = min(start + chunk, products)
            source = run_chunk(registers, a, b, i, start, stop, tile, vector, notes)
            if vector[REDUCTION] != REDUCE_WIDENING:
                add(registers, WIDE, source, RESULT_RULE, vector, notes, stop - 1)
            if vector[ORDER] != PAIRWISE:  # a tree overwrites what it used
                for other in range(TOTAL, registers.shape[0]):
                    clear(registers, other)
        row = WIDE
    finish_row(registers, row, i, tile, zeros, bias, products, vector, notes, out)


@scalar
def fitted_wide(total, addend, low, high, mask, saturating):
    """``fitted`` in 64 bits whatever the lanes: zero points and biases may need them."""
    exact = total + addend
    wrapped = ((exact - low) & mask) + low
    overflowed = (((total ^ exact) & (addend ^ exact)) < 0) | (wrapped != exact)
    limit = pick(addend < 0, low, high)
    return pick(overflowed & (saturating != 0), limit, wrapped), overflowed
