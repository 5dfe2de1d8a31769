"""Attention and rotary embeddings of one sequence, a head and a position at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lowbit.oracle.fixed_point.gemmlowp import wrap
from lowbit.oracle.layers.requantize import Rescaling

Rows = Sequence[Sequence[int]]
Softmax = Callable[[list[int]], list[int]]
"""The codes of a row of scores, zero point included."""


def attention(  # noqa: PLR0913 (the layer's parameters)
    queries: Rows,
    keys: Rows,
    values: Rows,
    scores: Rescaling,
    softmax: Softmax,
    output: Rescaling | None,
    *,
    heads: int,
    key_value_heads: int,
    causal: bool,
    probability_zero_point: int = 0,
    mask: Sequence[int] | None = None,
) -> list[list[int]]:
    """The results of rows of codes less their zero points, a row for each query; no query sees a key of mask 0."""
    size = len(queries[0]) // heads
    results = []
    for position, query in enumerate(queries):
        last = len(keys) - len(queries) + position + 1 if causal else len(keys)
        seen = [place for place in range(last) if mask is None or mask[place]]
        row = []
        for head in range(heads):
            mine = query[head * size : (head + 1) * size]
            first = head * key_value_heads // heads * size
            products = [sum(a * b for a, b in zip(mine, keys[key][first : first + size], strict=True)) for key in seen]
            codes = softmax([scores(wrap(sum_, 32)) for sum_ in products]) if seen else []
            shares = [code - probability_zero_point for code in codes]
            for place in range(first, first + size):
                total = wrap(sum(share * values[key][place] for share, key in zip(shares, seen, strict=True)), 32)
                row.append(total if output is None else output(total))
        results.append(row)
    return results


def rotary(rows: Rows, cosines: Rows, sines: Rows, output: Rescaling) -> list[list[int]]:
    """Rows of codes less their zero point, the halves of each head turned."""
    half = len(cosines[0])
    results = []
    for row, cosine, sine in zip(rows, cosines, sines, strict=False):
        turned = []
        for start in range(0, len(row), 2 * half):
            for place in range(2 * half):
                i = place % half
                first, second = row[start + i], row[start + half + i]
                pair = (first, -second) if place < half else (second, first)
                turned.append(output(pair[0] * cosine[i] + pair[1] * sine[i]))
        results.append(turned)
    return results
