"""Vector quantisation: a few neighbouring weights share one code, which stands for a vector of a table."""

from __future__ import annotations

import re

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.weight import QuantizedWeight, VectorTable

CHUNK = 1 << 14
"""Vectors whose distances are computed at once, at most."""

PAIRWISE = 8
"""From so many numbers on NumPy adds them in another order than one after the other."""

DISTANCES = 1 << 17
"""Distances that are held at once: 1 MiB, and as much for the product that they are made of, which caches hold."""


def vector_quantization(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: str = "table8.vector4",
    variant: str = "nearest",
    seed: int = 0,
    iterations: int = 100,
) -> QuantizedWeight:
    """Replace vectors of neighbouring weights by the nearest of a table, which k-means finds.

    Parameters
    ----------
    to : str
        ``"table8.vector4"``: codes of eight bits for four weights each, two bits a weight.
    variant : str
        "nearest": each vector is the nearest of the table; "official": the same, of a table of at most a quarter as
        many vectors as there are, and a power of two. (:func:`vq4dit` goes on to choose among the nearest two by the
        error of outputs.)

    Returns
    -------
    QuantizedWeight
        ``report["candidates"]``, shape (outputs, vectors, 2): the two nearest vectors of each, by their distance.
        ``report["ratios"]``, shape (outputs, vectors): how much the nearest counts in the mixture of both that VQ4DiT
        starts from, ``d2 / (d1 + d2)`` with their distances.

    Raises
    ------
    InputError
        ``to`` is not such a table, or its vectors do not divide the inputs.

    Notes
    -----
    Source: Deng et al., "VQ4DiT" (arXiv 2408.17131), sections 3.1 and 3.2; dengjuncan/VQ4DiT 104c62c, coding.py (the
    size of the table) and CompressedLinear.py (the mixture): k-means++ and 100 iterations over the vectors along the
    inputs.

    Examples
    --------
    >>> result = vector_quantization([[1.0, 2.0, 1.0, 2.1, -3.0, 0.0]], to="table1.vector2")
    >>> result.dequantize().round(2).tolist()
    [[1.0, 2.049999952316284, 1.0, 2.049999952316284, -3.0, 0.0]]
    """
    count, length = _parsed(to)
    matrix = weight_matrix(weights)
    if matrix.shape[1] % length:
        raise InputError(f"vectors of {length} weights do not divide rows of {matrix.shape[1]}", hint="another length")
    vectors = matrix.reshape(-1, length)
    most = len(vectors) if variant == "nearest" else 1 << max(len(vectors) // 4, 1).bit_length() - 1
    table = _k_means(vectors, min(count, most), np.random.default_rng(seed), iterations)
    table = table.astype(np.float32).astype(np.float64)
    two = nearest_in_table(vectors, table, min(2, len(table)))
    grid = (len(matrix), matrix.shape[1] // length)
    full = np.zeros((count, length), np.float32)
    full[: len(table)] = table
    tensor = VectorTable(two[:, 0].reshape(grid).astype(np.uint16), full)
    first, second = (np.sqrt(((vectors - table[two[:, place]]) ** 2).sum(axis=1)) for place in (0, -1))
    share = np.divide(second, first + second, out=np.ones_like(first), where=(second > 0) & (len(table) > 1))
    report = {"candidates": two.reshape(*grid, -1), "ratios": share.reshape(grid)}
    return QuantizedWeight(tensor, report=report)


def _parsed(to: object) -> tuple[int, int]:
    match = re.fullmatch(r"table(\d|1[0-6])\.vector([1-9]\d?)", to) if isinstance(to, str) else None
    if match is None or int(match.group(1)) == 0:
        raise InputError(
            f"vector_quantization needs a table and the length of its vectors, and {to!r} does not say them",
            hint="table8.vector4: codes of eight bits for four weights each",
        )
    return 1 << int(match.group(1)), int(match.group(2))


def _k_means(vectors: Doubles, count: int, random: np.random.Generator, iterations: int) -> Doubles:
    distinct = np.unique(vectors, axis=0)
    if len(distinct) <= count:  # each is its own mean, whatever k-means starts from
        return distinct
    table = spread_start(vectors, count, random)
    codes = nearest_in_table(vectors, table, 1)[:, 0]
    for _ in range(iterations):
        sizes = np.bincount(codes, minlength=count)
        sums = np.stack([np.bincount(codes, column, count) for column in vectors.T], axis=1)
        table = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], table)
        moved = nearest_in_table(vectors, table, 1)[:, 0]
        if np.array_equal(moved, codes):
            break
        codes = moved
    return table


def spread_start(vectors: Doubles, count: int, random: np.random.Generator) -> Doubles:
    """k-means++: each next vector with a chance that grows with its squared distance from those before."""
    table = np.empty((count, vectors.shape[1]))
    columns = np.ascontiguousarray(vectors.T)
    table[0] = vectors[random.integers(len(vectors))]
    distance = _squared_distances(vectors, columns, table[0])
    for place in range(1, count):
        total = distance.sum()
        table[place] = vectors[_drawn(distance / total, random) if total > 0 else random.integers(len(vectors))]
        np.minimum(distance, _squared_distances(vectors, columns, table[place]), out=distance)
    return table


def _drawn(shares: Doubles, random: np.random.Generator) -> int:
    """``random.choice(len(shares), p=shares)`` without its checks of the shares, which take longer than it."""
    sums = shares.cumsum()
    sums /= sums[-1]
    return int(sums.searchsorted(random.random(), side="right"))


def _squared_distances(vectors: Doubles, columns: Doubles, center: Doubles) -> Doubles:
    """``((vectors - center) ** 2).sum(axis=1)``, for short vectors in ``columns``, in the same order of additions."""
    result: Doubles
    if len(columns) >= PAIRWISE:
        result = ((vectors - center) ** 2).sum(axis=1)
        return result
    result = (columns[0] - center[0]) ** 2
    for column, value in zip(columns[1:], center[1:], strict=True):
        result += (column - value) ** 2
    return result


def nearest_in_table(vectors: Doubles, table: Doubles, count: int) -> npt.NDArray[np.int64]:
    """The places of the nearest vectors of a table, nearest first, the first of equal ones."""
    result = np.empty((len(vectors), count), np.int64)
    squares = (table**2).sum(axis=1)
    step = min(CHUNK, max(1, DISTANCES // len(table)))
    for start in range(0, len(vectors), step):
        part = vectors[start : start + step]
        distance = squares - 2 * part @ table.T
        result[start : start + step, 0] = distance.argmin(axis=1)
        if count > 1:
            np.put_along_axis(distance, result[start : start + step, :1], np.inf, axis=1)
            result[start : start + step, 1] = distance.argmin(axis=1)
    return result


METHOD = Method(
    name="vector_quantization",
    quantize=vector_quantization,
    title="a code for a few weights, which stands for a vector of a table",
    source="Deng et al. (arXiv 2408.17131); dengjuncan/VQ4DiT 104c62c",
    variants={
        "nearest": "the nearest vector of the table",
        "official": "of a table that four vectors an entry at least make",
    },
    needs_activations=False,
    to="table8.vector4",
    report={
        "candidates": "the two nearest vectors of the table for each vector of weights",
        "ratios": "how much the nearest counts in the mixture of both that VQ4DiT starts from",
    },
)
