"""Branch and bound for picks of one entry a node under K rows: the search of ``lowbit.allocate.search.branch``.

Depth first. Every node of the tree maximises its Lagrangian bound over the prices of the rows (``fast_bound``), removes
entries whose reduced cost says that no better plan has them, and splits the choices of the layer that the bound's
mixture disagrees on.

Bounds are binary64: an error of rounding is allowed for by a margin. What a plan uses is added in int64, exactly.
The whole state is in arrays, so that a call can stop after some nodes and the next one goes on.
"""

import numpy as np

from lowbit.kernels._jit import kernel, routine, scalar
from lowbit.kernels.allocate.fast_bound import COUNTERS, DEPTH, FINISHED, IMPROVED, INFINITE, TRAIL, VISITED, tighten

__all__ = ["COUNTERS", "DEPTH", "FINISHED", "IMPROVED", "VISITED", "branch"]

LIGHT = 1e-9
"""Points with less weight than this in the bound's mixture do not count."""


@routine
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


@routine
def undo(mark, ends, trail, counters):
    """Bring back what was removed since the mark."""
    while counters[TRAIL] > mark:
        counters[TRAIL] -= 1
        ends[trail[counters[TRAIL], 0]] = trail[counters[TRAIL], 1]


@routine
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
def mixture(node, basis_picks, is_point, weights, losses, ranks):
    """The mean rank of a node's entry in the bound's mixture, the lowest and highest rank, and the spread of losses."""
    mean, weight, lowest, highest = 0.0, 0.0, INFINITE, -INFINITE
    low_rank, high_rank = np.int64(1 << 60), np.int64(-1)
    for place in range(len(weights)):
        if is_point[place] == 1 and weights[place] > LIGHT:
            entry = basis_picks[place, node]
            mean += weights[place] * ranks[entry]
            weight += weights[place]
            lowest = min(lowest, losses[entry])
            highest = max(highest, losses[entry])
            low_rank = min(low_rank, ranks[entry])
            high_rank = max(high_rank, ranks[entry])
    return mean / max(weight, LIGHT), low_rank, high_rank, highest - lowest


@routine
def choose_split(space, losses, starts, ends, slots, ranks, magnitude):
    """The node on which the mixture disagrees most, weighed by the loss at stake; the rank to split at; the side first.

    -1 for the node if there is nothing left to split.
    """
    is_point, basis_picks, weights = space[4], space[5], space[6]
    chosen, split, upper_first = np.int64(-1), np.int64(0), np.int64(0)
    best_score = -1.0
    for node in range(len(starts)):
        if ends[node] - starts[node] < 2:
            continue
        mean, low_rank, high_rank, spread = mixture(node, basis_picks, is_point, weights, losses, ranks)
        if high_rank <= low_rank:
            continue
        cut = min(max(np.int64(np.floor(mean)), low_rank), high_rank - 1)
        distance = min(mean - low_rank, high_rank - mean) / (high_rank - low_rank)
        score = (distance + 1e-6) * (spread + 1e-12 * magnitude)
        if score > best_score:
            best_score, chosen, split = score, np.int64(node), cut
            upper_first = np.int64(1) if mean - cut > 0.5 else np.int64(0)
    if chosen < 0:
        # No disagreement is left but the bound is not reached: split any node that has two entries.
        for node in range(len(starts)):
            if ends[node] - starts[node] > 1:
                chosen = np.int64(node)
                split = np.int64(1 << 60)
                for place in range(starts[node], ends[node]):
                    split = min(split, ranks[slots[place]])
                break
    return chosen, split, upper_first


@routine
def go_back(frames, frame_bounds, frame_prices, prices_now, starts, ends, slots, ranks, trail, values, counters):
    """To the last frame with a side that was not taken and may hold a better plan; finished if there is none."""
    while True:
        if counters[DEPTH] == 0:
            counters[FINISHED] = 1
            return
        depth = counters[DEPTH] - 1
        undo(frames[depth, 4], ends, trail, counters)
        if frames[depth, 3] == 2 or frame_bounds[depth] >= values[0] - values[1] + values[2]:
            counters[DEPTH] = depth
            continue
        frames[depth, 3] = 2
        for row in range(len(prices_now)):
            prices_now[row] = frame_prices[depth, row]
        if restrict(
            frames[depth, 0], frames[depth, 1], frames[depth, 2] == 0, starts, ends, slots, ranks, trail, counters
        ):
            return


@routine
def note_undecided(costs, losses, safe, loose, starts, slots, values):
    """One entry a node is left: note its loss if int64 does not decide whether it keeps the limits."""
    undecided = False
    for row in range(len(safe)):
        total = np.int64(0)
        for node in range(len(starts)):
            total += costs[row, slots[starts[node]]]
        if total > loose[row]:
            return
        if total > safe[row]:
            undecided = True
    if undecided:
        loss = 0.0
        for node in range(len(starts)):
            loss += losses[slots[starts[node]]]
        values[3] = min(values[3], loss)


@kernel
def branch(
    losses, costs, scaled, limits, safe, loose, starts, whole_ends, ends, slots, ranks,
    best_picks, values, frames, frame_bounds, frame_prices, prices_now, trail, counters, most,
):  # fmt: skip
    """Visit at most ``most`` nodes of the tree.

    Parameters
    ----------
    losses, costs, scaled : arrays (E,), int64 (K, E), float64 (K, E)
        Of the entries; ``scaled`` is what bounds use: costs over the size of the limit.
    limits : float64 (K,)
        For bounds, scaled like the costs.
    safe, loose : int64 (K,)
        For plans: surely kept, and surely broken above. They differ where rows have lost their last bits.
    starts, whole_ends, ends : int64 (U,)
        Where a node's entries are in ``slots``: all of them, and those alive.
    slots, ranks : int64 (E,)
    best_picks : int64 (U,)
        The best plan's entries.
    values : float64 (4,)
        Best loss; by how much a plan must be better to be looked for; margin for rounding; least loss of a plan
        between the safe and the loose limits.
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
    best_prices = np.zeros(rows)
    space = (
        np.zeros((size, size)), np.zeros((size, size)), np.zeros((size, size)), np.zeros(size),
        np.zeros(size, dtype=np.int64), np.zeros((size, nodes), dtype=np.int64), np.zeros(size), np.zeros(size),
        np.zeros(rows), np.zeros(rows), np.zeros(rows), np.zeros(rows), np.zeros(nodes, dtype=np.int64),
    )  # fmt: skip
    trial, left = np.zeros(nodes, dtype=np.int64), np.zeros(rows, dtype=np.int64)
    entries = (losses, scaled, limits)
    alive = (starts, ends, slots)
    plans = (costs, safe, whole_ends, trial, left, best_picks, values, counters)
    visited = 0
    while counters[FINISHED] == 0 and visited < most:
        visited += 1
        counters[VISITED] += 1
        bound, pruned = tighten(space, prices_now, best_prices, entries, alive, plans)
        if not pruned:
            cutoff = values[0] - values[1] + values[2]
            remove_costly(best_prices, bound, cutoff, losses, scaled, starts, ends, slots, trail, counters)
            node, split, upper_first = choose_split(space, losses, starts, ends, slots, ranks, abs(values[0]))
            if node >= 0:
                depth = counters[DEPTH]
                frames[depth, 0] = node
                frames[depth, 1] = split
                frames[depth, 2] = upper_first
                frames[depth, 3] = 1
                frames[depth, 4] = counters[TRAIL]
                frame_bounds[depth] = bound
                for row in range(rows):
                    frame_prices[depth, row] = best_prices[row]
                    prices_now[row] = best_prices[row]
                counters[DEPTH] = depth + 1
                if restrict(node, split, upper_first == 1, starts, ends, slots, ranks, trail, counters):
                    continue
            else:
                note_undecided(costs, losses, safe, loose, starts, slots, values)
        go_back(frames, frame_bounds, frame_prices, prices_now, starts, ends, slots, ranks, trail, values, counters)
