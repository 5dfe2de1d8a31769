"""Matrix products in accumulators that saturate at each step, 512 cubed, one thread: at least 1 G MAC/s.

Operands are such that overflows happen, or cannot be ruled out: otherwise the exact product is the answer, and is what
runs. The peers are `lowbit.gemm` in int32 and NumPy's float64 product of the same integers, for orientation.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
import pytest

import lowbit
from bench.measure import PAIRS, Table
from lowbit.oracle.gemm.gemm import dot
from lowbit.policy.accumulator import Accumulator, get_accumulator

SIZE = 512
SLOWEST = 1.0  # nanoseconds for a multiplication and its saturating addition
Codes = npt.NDArray[np.generic]

SATURATING = {
    "fpga_20_saturate": (np.int8, np.int8),
    "fpga_24_saturate": (np.int16, np.int8),
    "int32_saturate": (np.int16, np.int16),
    "x86_vpmaddubsw": (np.uint8, np.int8),
    "x86_vpmaddubsw_int16": (np.uint8, np.int8),
    "fbgemm_acc16": (np.uint8, np.int8),
    "x86_vpdpwssds": (np.int16, np.int16),
}
SHAPES = {
    "pairwise": Accumulator(width=20, overflow="saturate", order="pairwise"),
    "blocked": Accumulator(width=20, overflow="saturate", order="blocked", block=64),
    "lanes": Accumulator(width=20, overflow="saturate", order="lanes", lanes=16, reduction="halves"),
    "int48": get_accumulator("int48_saturate"),
}


def operands(left: type, right: type) -> tuple[Codes, Codes]:
    random = np.random.default_rng(1)
    made = []
    for dtype, shape in ((left, (SIZE, SIZE)), (right, (SIZE, SIZE))):
        limits = np.iinfo(dtype)
        made.append(random.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype))
    return made[0], made[1]


def measured(table: Table, name: str, accumulator: Accumulator, a: Codes, b: Codes) -> float:
    """Nanoseconds a step, of the calls that a comparison with the exact product times; the answer is right."""
    answer = lowbit.gemm(a, b, accumulator=accumulator)
    for row, column in ((0, 0), (SIZE - 1, 17), (200, SIZE - 1)):
        assert answer[row, column] == dot(a[row].tolist(), b[:, column].tolist(), accumulator).value
    row = table.compare(
        f"{name}, {a.dtype} x {b.dtype}, 512 cubed",
        lambda: lowbit.gemm(a, b, accumulator=accumulator),
        "lowbit.gemm, int32",
        lambda: lowbit.gemm(a, b),
        0.0,
        SIZE**3,
    )
    return row.nanoseconds


@pytest.mark.parametrize("name", SATURATING)
def test_saturating(table: Table, name: str) -> None:
    a, b = operands(*SATURATING[name])
    assert lowbit.gemm(a, b, accumulator=name, return_counts=True)[1]["overflows"] > 0
    fastest = measured(table, name, get_accumulator(name), a, b)
    assert table.limit(f"{name}: nanoseconds a multiply-accumulate", fastest, SLOWEST)


@pytest.mark.parametrize("name", SHAPES)
def test_other_orders(table: Table, name: str) -> None:
    a, b = operands(np.int8, np.int8) if name != "int48" else operands(np.int16, np.int16)
    fastest = measured(table, f"{name}, saturating", SHAPES[name], a, b)
    table.limit(f"{name}, saturating: nanoseconds a multiply-accumulate", fastest, float("inf"))


def test_where_nothing_can_overflow(table: Table) -> None:
    """The magnitudes say so, and the exact product is taken."""
    a, b = operands(np.uint8, np.int8)
    measured(table, "x86_vpdpbusds", get_accumulator("x86_vpdpbusds"), a, b)


def test_counting_and_threads(table: Table) -> None:
    a, b = operands(np.int8, np.int8)
    accumulator = get_accumulator("fpga_20_saturate")
    calls = {
        "with counts": lambda: lowbit.gemm(a, b, accumulator=accumulator, return_counts=True),
        "two threads": lambda: lowbit.gemm(a, b, accumulator=accumulator, threads=2),
    }
    for name, call in calls.items():
        call()
        times = []
        for _ in range(PAIRS):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        table.limit(f"fpga_20_saturate, {name}: nanoseconds", min(times) / SIZE**3 * 1e9, float("inf"))


def test_against_numpy(table: Table) -> None:
    a, b = operands(np.int8, np.int8)
    table.compare(
        "fpga_20_saturate, int8 x int8, 512 cubed",
        lambda: lowbit.gemm(a, b, accumulator="fpga_20_saturate"),
        "numpy float64 matmul",
        lambda: a.astype(np.float64) @ b.astype(np.float64),
        0.0,
        SIZE**3,
    )
