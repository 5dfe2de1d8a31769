"""The Lagrangian bound of one node of the search tree in ``fast_branch``, maximised over the prices of the rows.

Source: the cutting planes of ``lowbit.allocate.search.dual``, within a box around the parent's prices (R. Marsten, W.
Hogan, J. Blankenship, "The boxstep method for large-scale optimization", Operations Research 23, 1975).
"""

import numpy as np

from lowbit.kernels._jit import routine, scalar

INFINITE = 1e300
PIVOT = 1e-11
"""A pivot below this is taken for zero (rows are scaled to about 1)."""

COUNTERS = 5
DEPTH, TRAIL, VISITED, FINISHED, IMPROVED = range(COUNTERS)
"""Places in ``counters``: open frames, undo records, nodes visited, whether the tree is done, improvements."""

SIMPLEX_STEPS = 60
ENOUGH = 0.02
"""The prices are good enough when what they could still gain is this part of what is missing to prune."""

BOX = 4.0
"""Prices may grow or shrink by this factor at one node of the tree; more is found further down."""

SLACK = 1e-9
"""Prices this close (relatively) to an end of the box are inside it."""


@routine
def evaluate(prices, losses, scaled, limits, starts, ends, slots, picks, used):
    """The bound at these prices; fills the picks and what they use (scaled, minus the limits). Also their loss."""
    rows = len(prices)
    total = 0.0
    for row in range(rows):
        used[row] = -limits[row]
    for node in range(len(starts)):
        best = INFINITE
        chosen = slots[starts[node]]
        for place in range(starts[node], ends[node]):
            entry = slots[place]
            value = losses[entry]
            for row in range(rows):
                value += prices[row] * scaled[row, entry]
            if value < best:
                best = value
                chosen = entry
        picks[node] = chosen
        total += losses[chosen]
        for row in range(rows):
            used[row] += scaled[row, chosen]
    bound = total
    for row in range(rows):
        bound += prices[row] * used[row]
    return bound, total


@routine
def invert(matrix, inverse, work):
    """The inverse of a small matrix by Gauss and Jordan with pivoting; False if there is none."""
    size = matrix.shape[0]
    for i in range(size):
        for j in range(size):
            work[i, j] = matrix[i, j]
            inverse[i, j] = 1.0 if i == j else 0.0
    for column in range(size):
        pivot = column
        for i in range(column + 1, size):
            if abs(work[i, column]) > abs(work[pivot, column]):
                pivot = i
        if abs(work[pivot, column]) < PIVOT:
            return False
        for j in range(size):
            work[pivot, j], work[column, j] = work[column, j], work[pivot, j]
            inverse[pivot, j], inverse[column, j] = inverse[column, j], inverse[pivot, j]
        factor = 1.0 / work[column, column]
        for j in range(size):
            work[column, j] *= factor
            inverse[column, j] *= factor
        for i in range(size):
            if i != column and work[i, column] != 0.0:
                factor = work[i, column]
                for j in range(size):
                    work[i, j] -= factor * work[column, j]
                    inverse[i, j] -= factor * inverse[column, j]
    return True


@routine
def try_plan(picks, costs, losses, safe, starts, whole_ends, slots, trial, left, best_picks, values, counters):
    """If the picks keep the limits: spend what is left, best gain first come, and remember the plan if it is better."""
    rows = len(safe)
    for row in range(rows):
        total = np.int64(0)
        for node in range(len(picks)):
            total += costs[row, picks[node]]
        left[row] = safe[row] - total
        if left[row] < 0:
            return
    total_loss = 0.0
    for node in range(len(picks)):
        chosen = picks[node]
        best = chosen
        for place in range(starts[node], whole_ends[node]):
            entry = slots[place]
            if losses[entry] < losses[best]:
                fits = True
                for row in range(rows):
                    if costs[row, entry] - costs[row, chosen] > left[row]:
                        fits = False
                if fits:
                    best = entry
        if best != chosen:
            for row in range(rows):
                left[row] -= costs[row, best] - costs[row, chosen]
        trial[node] = best
        total_loss += losses[best]
    if total_loss < values[0]:
        values[0] = total_loss
        counters[IMPROVED] += 1
        for node in range(len(picks)):
            best_picks[node] = trial[node]


@scalar
def price_out(space, values):
    """The prices and the top of the master problem in its current basis, and which column of the box enters (or -1)."""
    inverse, value_of, weights, prices, low, high = space[1], space[3], space[6], space[9], space[10], space[11]
    rows = len(prices)
    size = rows + 1
    top = 0.0
    for place in range(size):
        weights[place] = inverse[place, rows]
        top += value_of[place] * inverse[place, rows]
    entering = -1
    for row in range(rows):
        price = 0.0
        for place in range(size):
            price -= value_of[place] * inverse[place, row]
        prices[row] = price
        if price < low[row] * (1.0 - SLACK) - SLACK * SLACK * abs(values[0]):
            entering = 2 * row
        elif price > high[row] * (1.0 + SLACK):
            entering = 2 * row + 1
    return top, entering


@scalar
def leaving_place(space, size):
    """Which column leaves the basis for ``column``; -1 if none limits it."""
    inverse, weights, column = space[1], space[6], space[7]
    leaving = -1
    ratio = INFINITE
    for place in range(size):
        along = 0.0
        for row in range(size):
            along += inverse[place, row] * column[row]
        if along > PIVOT and max(weights[place], 0.0) < ratio * along:
            ratio = max(weights[place], 0.0) / along
            leaving = place
    return leaving


@scalar
def start_basis(space, used, loss, picks, size):
    """One point, and for every row what is over its limit (at the high price) or left of it (at the low one)."""
    matrix, value_of, is_point, basis_picks, weights = space[0], space[3], space[4], space[5], space[6]
    low, high = space[10], space[11]
    rows = size - 1
    for place in range(size):
        is_point[place] = 0
        weights[place] = 0.0
        for row in range(size):
            matrix[row, place] = 0.0
    for row in range(rows):
        matrix[row, row] = -1.0 if used[row] > 0.0 else 1.0
        value_of[row] = high[row] if used[row] > 0.0 else -low[row]
        matrix[row, rows] = used[row]
    matrix[rows, rows] = 1.0
    value_of[rows] = loss
    is_point[rows] = 1
    weights[rows] = 1.0
    for node in range(len(picks)):
        basis_picks[rows, node] = picks[node]


@routine
def tighten(space, prices_now, best_prices, entries, alive, plans):
    """Maximise the bound of the node from the prices of its parent; the bound and whether it prunes the node.

    ``space``: matrix, inverse, work, values, which columns are points, their picks, weights, entering column, used,
    prices, low and high ends of the box, picks. ``prices_now`` and ``best_prices``: where to start; where the bound is
    best. ``entries``: ``losses, scaled, limits`` of :func:`lowbit.kernels.allocate.fast_branch.branch`. ``alive``:
    ``starts, ends, slots``. ``plans``: ``costs, safe, whole_ends, trial, left, best_picks, values, counters``.
    """
    matrix, inverse, work, value_of, is_point, basis_picks = space[0], space[1], space[2], space[3], space[4], space[5]
    column, used, prices, low, high, picks = space[7], space[8], space[9], space[10], space[11], space[12]
    losses, scaled, limits = entries
    starts, ends, slots = alive
    costs, safe, whole_ends, trial, left, best_picks, values, counters = plans
    rows = len(prices)
    size = rows + 1
    for row in range(rows):
        prices[row] = prices_now[row]
        low[row] = prices[row] / BOX
        high[row] = prices[row] * BOX + SLACK * abs(values[0])
    bound, loss = evaluate(prices, losses, scaled, limits, starts, ends, slots, picks, used)
    best_bound = bound
    for row in range(rows):
        best_prices[row] = prices[row]
    if bound >= values[0] - values[1] + values[2]:
        return best_bound, True
    try_plan(picks, costs, losses, safe, starts, whole_ends, slots, trial, left, best_picks, values, counters)
    start_basis(space, used, loss, picks, size)
    for _ in range(SIMPLEX_STEPS):
        if not invert(matrix, inverse, work):
            break
        top, entering = price_out(space, values)
        for row in range(size):
            column[row] = 0.0
        if entering >= 0:
            row = entering // 2
            column[row] = -1.0 if entering % 2 == 1 else 1.0
            value = high[row] if entering % 2 == 1 else -low[row]
        else:
            for row in range(rows):
                prices[row] = max(prices[row], 0.0)
            bound, value = evaluate(prices, losses, scaled, limits, starts, ends, slots, picks, used)
            try_plan(picks, costs, losses, safe, starts, whole_ends, slots, trial, left, best_picks, values, counters)
            cutoff = values[0] - values[1] + values[2]
            if bound > best_bound:
                best_bound = bound
                for row in range(rows):
                    best_prices[row] = prices[row]
                if bound >= cutoff:
                    return best_bound, True
            if top - best_bound <= ENOUGH * (cutoff - best_bound) or bound >= top - values[2]:
                break
            for row in range(rows):
                column[row] = used[row]
            column[rows] = 1.0
        leaving = leaving_place(space, size)
        if leaving < 0:
            break
        for row in range(size):
            matrix[row, leaving] = column[row]
        value_of[leaving] = value
        is_point[leaving] = 0 if entering >= 0 else 1
        if entering < 0:
            for node in range(len(picks)):
                basis_picks[leaving, node] = picks[node]
    return best_bound, False
