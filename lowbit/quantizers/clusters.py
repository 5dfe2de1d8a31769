"""Tables of a few values for the numbers of a row: the best ones, and those that Lloyd's iteration finds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lowbit.quantizers.inputs import Doubles

Places = npt.NDArray[np.int64]


def best_clusters(values: Doubles, weights: Doubles, count: int) -> tuple[Doubles, Places]:
    """The table with the least weighted squared error of all, and the place of each number in it.

    Parameters
    ----------
    values, weights : ndarray of float64, shape (n,)
        Weights are not negative.
    count : int
        Entries of the table.

    Returns
    -------
    table : ndarray of float64, shape (count,)
        Ascending; an entry that nothing needs is one of the numbers.
    places : ndarray of int64, shape (n,)
    """
    from lowbit.kernels.quantizers.fast_clusters import clusters

    order = np.argsort(values, kind="stable")
    ascending, shares = values[order], weights[order]
    middle = ascending.mean()  # sums of squares around it lose fewer digits
    moved = ascending - middle
    sums = [np.concatenate(([0.0], np.cumsum(part))) for part in (shares, shares * moved, shares * moved * moved)]
    bounds = np.empty(count + 1, np.int64)
    clusters(*sums, bounds)
    table, places = ascending[np.minimum(bounds[:-1], len(values) - 1)], np.empty(len(values), np.int64)
    for place in range(count):
        inside = slice(bounds[place], bounds[place + 1])
        if bounds[place] < bounds[place + 1]:
            table[place] = np.average(ascending[inside], weights=shares[inside] if shares[inside].any() else None)
        places[order[inside]] = place
    return table, places


def lloyd(values: Doubles, weights: Doubles, count: int, *, iterations: int = 50) -> tuple[Doubles, Places]:
    """The table that Lloyd's iteration arrives at from even steps over the range; never worse than those."""
    table = np.linspace(values.min(), values.max(), count)
    places = nearest_places(values, table)
    for _ in range(iterations):
        total, sums = np.bincount(places, weights, count), np.bincount(places, weights * values, count)
        table = np.sort(np.where(total > 0, sums / np.where(total > 0, total, 1), table))
        moved = nearest_places(values, table)
        if np.array_equal(moved, places):
            break
        places = moved
    return table, places


def nearest_places(values: Doubles, table: Doubles) -> Places:
    """The place of the nearest entry of an ascending table, the lower one of two."""
    return np.searchsorted((table[1:] + table[:-1]) / 2, values, side="left").astype(np.int64)
