"""Branch and bound for picks of one entry a node under K rows: the search of ``lowbit.allocate.branch``.

Depth first. Every node of the tree maximises its Lagrangian bound over the prices of the rows (the simplex method on
K + 1 columns, as in ``lowbit.allocate.dual``, within a box around the parent's prices), removes entries whose reduced
cost says that no better plan has them, and splits the choices of the layer that the bound's mixture disagrees on.

Bounds are binary64: an error of rounding is allowed for by ``margin``. What a plan uses is added in int64, exactly.
The whole state is in arrays, so that a call can stop after some nodes and the next one goes on.
"""

from __future__ import annotations

import numpy as np

from lowbit.kernels._jit import kernel, scalar

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


@scalar
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


@scalar
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


@scalar
def restrict(node, split, upper, starts, ends, slots, ranks, trail, counters):
    """Keep a node's entries with a rank above the split (``upper``) or not above it; whether any is left."""
    end = ends[node]
    place = starts[node]
    while place < end:
        entry = slots[place]
        if (ranks[entry] > split) == upper:
            place += 1
        else:
            end -= 1
            slots[place] = slots[end]
            slots[end] = entry
    if end < ends[node]:
        trail[counters[TRAIL], 0] = node
        trail[counters[TRAIL], 1] = ends[node]
        counters[TRAIL] += 1
        ends[node] = end
    return end > starts[node]


@scalar
def undo(mark, ends, trail, counters):
    """Bring back what was removed since the mark."""
    while counters[TRAIL] > mark:
        counters[TRAIL] -= 1
        ends[trail[counters[TRAIL], 0]] = trail[counters[TRAIL], 1]


@scalar
def remove_costly(prices, bound, cutoff, losses, scaled, starts, ends, slots, trail, counters):
    """Remove the entries that no plan better than the cutoff has: bound plus reduced cost is at or above it."""
    rows = len(prices)
    room = cutoff - bound
    for node in range(len(starts)):
        if ends[node] - starts[node] < 2:
            continue
        least = INFINITE
        for place in range(starts[node], ends[node]):
            entry = slots[place]
            value = losses[entry]
            for row in range(rows):
                value += prices[row] * scaled[row, entry]
            least = min(least, value)
        end = ends[node]
        place = starts[node]
        while place < end:
            entry = slots[place]
            value = losses[entry]
            for row in range(rows):
                value += prices[row] * scaled[row, entry]
            if value - least < room:
                place += 1
            else:
                end -= 1
                slots[place] = slots[end]
                slots[end] = entry
        if end < ends[node]:
            trail[counters[TRAIL], 0] = node
            trail[counters[TRAIL], 1] = ends[node]
            counters[TRAIL] += 1
            ends[node] = end


@scalar
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


@kernel
def branch(
    losses, costs, scaled, limits, safe, starts, whole_ends, ends, slots, ranks,
    best_picks, values, frames, frame_bounds, frame_prices, prices_now, trail, counters, most,
):  # fmt: skip
    """Visit at most ``most`` nodes of the tree.

    Parameters
    ----------
    losses, costs, scaled : arrays (E,), int64 (K, E), float64 (K, E)
        Of the entries; ``scaled`` is what bounds use: costs over the size of the limit.
    limits : float64 (K,)
        For bounds, scaled like the costs.
    safe : int64 (K,)
        For plans.
    starts, whole_ends, ends : int64 (U,)
        Where a node's entries are in ``slots``: all of them, and those alive.
    slots, ranks : int64 (E,)
    best_picks : int64 (U,)
        The best plan's entries.
    values : float64 (3,)
        Best loss; by how much a plan must be better to be looked for; relative margin for rounding.
    frames : int64 (D, 5)
        Node, split, side taken first, how many sides were taken, undo mark.
    frame_bounds, frame_prices : float64 (D,), (D, K)
    prices_now : float64 (K,)
        Where the next node starts.
    trail : int64 (T, 2)
    counters : int64 (COUNTERS,)
    """
    rows, nodes = scaled.shape[0], len(starts)
    size = rows + 1
    matrix = np.zeros((size, size))
    inverse = np.zeros((size, size))
    work = np.zeros((size, size))
    value_of = np.zeros(size)
    is_point = np.zeros(size, dtype=np.int64)
    basis_picks = np.zeros((size, nodes), dtype=np.int64)
    weights = np.zeros(size)
    column = np.zeros(size)
    direction = np.zeros(size)
    prices = np.zeros(rows)
    best_prices = np.zeros(rows)
    low = np.zeros(rows)
    high = np.zeros(rows)
    used = np.zeros(rows)
    picks = np.zeros(nodes, dtype=np.int64)
    trial = np.zeros(nodes, dtype=np.int64)
    left = np.zeros(rows, dtype=np.int64)
    visited = 0
    while counters[FINISHED] == 0 and visited < most:
        visited += 1
        counters[VISITED] += 1
        # The node: the simplex method from one point at the parent's prices, dearer and cheaper prices at the box.
        pruned = False
        for row in range(rows):
            prices[row] = prices_now[row]
            low[row] = prices[row] / BOX
            high[row] = prices[row] * BOX + 1e-9 * abs(values[0])
        bound, loss = evaluate(prices, losses, scaled, limits, starts, ends, slots, picks, used)
        best_bound = bound
        for row in range(rows):
            best_prices[row] = prices[row]
        cutoff = values[0] - values[1] + values[2]
        if bound >= cutoff:
            pruned = True
        else:
            try_plan(picks, costs, losses, safe, starts, whole_ends, slots, trial, left, best_picks, values, counters)
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
            for node in range(nodes):
                basis_picks[rows, node] = picks[node]
            for step in range(SIMPLEX_STEPS):
                if not invert(matrix, inverse, work):
                    break
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
                    if price < low[row] * (1.0 - 1e-9) - 1e-300:
                        entering = 2 * row
                    elif price > high[row] * (1.0 + 1e-9):
                        entering = 2 * row + 1
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
                    try_plan(
                        picks, costs, losses, safe, starts, whole_ends, slots, trial, left, best_picks, values, counters
                    )
                    cutoff = values[0] - values[1] + values[2]
                    if bound > best_bound:
                        best_bound = bound
                        for row in range(rows):
                            best_prices[row] = prices[row]
                        if bound >= cutoff:
                            pruned = True
                            break
                    if top - best_bound <= ENOUGH * (cutoff - best_bound) or bound >= top - values[2]:
                        break
                    for row in range(rows):
                        column[row] = used[row]
                    column[rows] = 1.0
                leaving = -1
                ratio = INFINITE
                for place in range(size):
                    along = 0.0
                    for row in range(size):
                        along += inverse[place, row] * column[row]
                    direction[place] = along
                    if along > PIVOT and max(weights[place], 0.0) < ratio * along:
                        ratio = max(weights[place], 0.0) / along
                        leaving = place
                if leaving < 0:
                    break
                for row in range(size):
                    matrix[row, leaving] = column[row]
                value_of[leaving] = value
                is_point[leaving] = 0 if entering >= 0 else 1
                if entering < 0:
                    for node in range(nodes):
                        basis_picks[leaving, node] = picks[node]
        if not pruned:
            remove_costly(best_prices, best_bound, cutoff, losses, scaled, starts, ends, slots, trail, counters)
            # Split the choices of the node on which the mixture disagrees most, weighed by what is at stake.
            chosen, split, upper_first, best_score = -1, 0, 0, -1.0
            for node in range(nodes):
                if ends[node] - starts[node] < 2:
                    continue
                mean, weight, lowest, highest = 0.0, 0.0, INFINITE, -INFINITE
                low_rank, high_rank = np.int64(1 << 60), np.int64(-1)
                for place in range(size):
                    if is_point[place] == 1 and weights[place] > 1e-9:
                        entry = basis_picks[place, node]
                        mean += weights[place] * ranks[entry]
                        weight += weights[place]
                        lowest = min(lowest, losses[entry])
                        highest = max(highest, losses[entry])
                        low_rank = min(low_rank, ranks[entry])
                        high_rank = max(high_rank, ranks[entry])
                if high_rank <= low_rank:
                    continue
                mean /= weight
                cut = min(max(np.int64(np.floor(mean)), low_rank), high_rank - 1)
                distance = min(mean - low_rank, high_rank - mean) / (high_rank - low_rank)
                score = (distance + 1e-6) * (highest - lowest + 1e-12 * abs(values[0]))
                if score > best_score:
                    best_score, chosen, split = score, node, cut
                    upper_first = 1 if mean - cut > 0.5 else 0
            if chosen < 0:
                # No disagreement is left but the bound is not reached: split any node that has two entries.
                for node in range(nodes):
                    if ends[node] - starts[node] > 1:
                        chosen = node
                        split = np.int64(1 << 60)
                        for place in range(starts[node], ends[node]):
                            split = min(split, ranks[slots[place]])
                        break
            if chosen >= 0:
                depth = counters[DEPTH]
                frames[depth, 0] = chosen
                frames[depth, 1] = split
                frames[depth, 2] = upper_first
                frames[depth, 3] = 1
                frames[depth, 4] = counters[TRAIL]
                frame_bounds[depth] = best_bound
                for row in range(rows):
                    frame_prices[depth, row] = best_prices[row]
                    prices_now[row] = best_prices[row]
                counters[DEPTH] = depth + 1
                if restrict(chosen, split, upper_first == 1, starts, ends, slots, ranks, trail, counters):
                    continue
        # Back to the last frame with a side that was not taken.
        while True:
            if counters[DEPTH] == 0:
                counters[FINISHED] = 1
                break
            depth = counters[DEPTH] - 1
            undo(frames[depth, 4], ends, trail, counters)
            if frames[depth, 3] == 2 or frame_bounds[depth] >= values[0] - values[1] + values[2]:
                counters[DEPTH] = depth
                continue
            frames[depth, 3] = 2
            for row in range(rows):
                prices_now[row] = frame_prices[depth, row]
            if restrict(
                frames[depth, 0], frames[depth, 1], frames[depth, 2] == 0, starts, ends, slots, ranks, trail, counters
            ):
                break
