"""Pyramid vector quantisation: vectors of 16 numbers and 16 pulses, found and counted, one thread."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from bench.measure import MEASUREMENTS, PAIRS, Table
from lowbit.quantizers.pyramid import nearest_vectors, vector_count, vector_indices, vectors_at
from lowbit.testing import activations

LENGTH = PULSES = 16
COUNT = 1 << 14


def _microseconds(call: Callable[[], object]) -> float:
    """A vector, the best time of a few: what others do on the machine only adds to it."""
    best = float("inf")
    for _ in range(PAIRS * MEASUREMENTS):
        start = time.thread_time()
        call()
        best = min(best, time.thread_time() - start)
    return best / COUNT * 1e6


@pytest.mark.parametrize("order", ["fischer", "opus"])
def test_a_million_vectors_are_encoded_in_a_second(table: Table, order: str) -> None:
    values = activations("gaussian", COUNT, LENGTH).astype(np.float64)

    def encode() -> np.ndarray:
        return vector_indices(nearest_vectors(values, PULSES), order=order)

    vectors, indices = nearest_vectors(values, PULSES), encode()
    assert indices.max() < vector_count(LENGTH, PULSES)
    np.testing.assert_array_equal(vectors_at(indices, LENGTH, PULSES, order=order), vectors)
    what = f"PVQ of (16, 16), {order}"
    assert table.limit(f"{what}: nearest vector and index, us a vector", _microseconds(encode), 1.0)
    back = _microseconds(lambda: vectors_at(indices, LENGTH, PULSES, order=order))
    table.limit(f"{what}: vector of an index, us a vector", back, float("inf"))
