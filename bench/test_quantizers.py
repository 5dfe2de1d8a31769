"""Quantisers: GPTQ of a large layer, beside a plain loop and beside what it cannot do without; the best tables."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

import lowbit
from bench.measure import Row, Table
from lowbit.quantizers import gptq
from lowbit.quantizers.clusters import best_clusters
from lowbit.quantizers.objective import inverse_factor

Doubles = npt.NDArray[np.float64]

SIZE, GROUP, FORMAT = 4096, 128, "int4.g128"
EVERY = 64
"""The plain loop takes minutes: every 64th of its columns is timed."""
RUNS = 3
TABLE, VALUES, TABLES = 16, 4096, 20


def seconds(call: Callable[[], Any]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


def layer(size: int) -> tuple[npt.NDArray[np.float32], Doubles]:
    """Weights, and a Hessian that is not diagonal."""
    random = np.random.default_rng(0)
    rows = random.normal(size=(size // 4, size))
    return random.normal(size=(size, size)).astype(np.float32), rows.T @ rows + np.eye(size)


def column(left: Doubles, factor: Doubles, scales: Doubles, place: int) -> Doubles:
    """One column of the plain loop: codes; the error goes to every column after it."""
    codes = np.clip(np.rint(left[:, place] / scales), -8, 7)
    error = (left[:, place] - codes * scales) / factor[place, place]
    left[:, place + 1 :] -= np.outer(error, factor[place, place + 1 :])
    return codes


def scales_of(left: Doubles, start: int) -> Doubles:
    tensor = lowbit.quantize(left[:, start : start + GROUP].astype(np.float32), FORMAT, axis=1)
    return tensor.scales["block"][:, 0].astype(np.float64)


def plain_codes(weights: npt.NDArray[np.float32], hessian: Doubles) -> Doubles:
    """GPTQ, unblocked."""
    left, factor = weights.astype(np.float64), inverse_factor(hessian, 0.01)
    codes = np.empty_like(left)
    for start in range(0, left.shape[1], GROUP):
        scales = scales_of(left, start)
        for place in range(start, start + GROUP):
            codes[:, place] = column(left, factor, scales, place)
    return codes


def needed(left: Doubles, hessian: Doubles) -> None:
    """The Cholesky factor, and the product that brings the errors of each group to the columns after it."""
    factor = inverse_factor(hessian, 0.01)
    for start in range(0, SIZE, GROUP):
        stop = start + GROUP
        left[:, stop:] -= left[:, start:stop] @ factor[start:stop, stop:]


def test_gptq(table: Table) -> None:
    small = layer(2 * GROUP)
    np.testing.assert_array_equal(gptq(small[0], hessian=small[1], to=FORMAT).tensor.codes, plain_codes(*small))
    weights, hessian = layer(SIZE)
    left, factor = weights.astype(np.float64), inverse_factor(hessian, 0.01)
    scales, places = scales_of(left, 0), range(0, SIZE, EVERY)
    plain = EVERY * seconds(lambda: [column(left, factor, scales, place) for place in places])
    own, least = [], []
    for _ in range(RUNS):
        own.append(seconds(lambda: gptq(weights, hessian=hessian, to=FORMAT)))
        least.append(seconds(lambda: needed(weights.astype(np.float64), hessian)))
    ratio = statistics.median(ours / theirs for ours, theirs in zip(own, least, strict=True))
    row = Row(
        "gptq 4096 x 4096, int4.g128", "a plain loop over columns", [plain / min(own)], 10, min(own) / SIZE**2 * 1e9
    )
    table.rows.append(row)
    print(f"\ngptq {min(own):.2f} s, its Cholesky and products {min(least):.2f} s, the plain loop {plain:.0f} s")
    kept = table.limit("gptq 4096 x 4096, over its own Cholesky and matrix products", ratio, 1.5)
    assert row.met
    assert kept


def test_exact_tables(table: Table) -> None:
    random = np.random.default_rng(0)
    rows = random.standard_t(4, size=(TABLES, VALUES))
    shares = random.uniform(size=(TABLES, VALUES))
    best_clusters(rows[0], shares[0], TABLE)
    times = [seconds(lambda at=at: best_clusters(rows[at], shares[at], TABLE)) for at in range(TABLES)]
    assert table.limit("best table of 16 values for 4,096 weights, in ms", 1e3 * statistics.median(times), 10)
