"""The bit allocator: HAWQ's instances, large ones against HiGHS, coupled ones against greedy and CBC."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from bench.measure import Row, Table
from lowbit.allocate import Plan, Problem, example, pareto_front, solve
from lowbit.allocate.search.core import reduce
from lowbit.allocate.search.primal import Walker
from lowbit.errors import AllocationError
from tests.allocate.generators import coupled, large

SEEDS = (0, 1, 2)
ROUNDS = 3
"""Every seed as often as that: nine interleaved pairs in all."""

PATIENCE = 120.0
"""Seconds that a peer may take."""

HAWQ = """
import json, time
from lowbit.allocate import EXAMPLES, example, solve
times = []
for name in EXAMPLES:
    for budget in ("bytes", "bops", "latency"):
        for share in ("75%", "50%", "25%"):
            problem = example(name).with_limits({budget: share})
            start = time.perf_counter()
            plan = solve(problem)
            times.append(time.perf_counter() - start)
            assert plan.status == "optimal", (name, budget, share)
print(json.dumps(times))
"""

LARGEST = """
import json, re, time
from pathlib import Path
from tests.allocate.generators import large
from lowbit.allocate import solve
problem = large(10_000, 16, 0, budgets=1)
start = time.perf_counter()
plan = solve(problem, method="lagrangian", gap=1e-4)
seconds = time.perf_counter() - start
# The peak of this process alone (VmHWM): getrusage's would begin with that of the process which started it.
peak = re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
print(json.dumps([seconds, plan.gap, int(peak[1]) / 1024]))
"""


def seconds(call: Callable[[], Plan]) -> tuple[float, Plan]:
    start = time.perf_counter()
    plan = call()
    return time.perf_counter() - start, plan


def fresh(code: str) -> list[float]:
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    numbers: list[float] = json.loads(done.stdout)
    return numbers


def test_hawq_in_a_fresh_process(table: Table) -> None:
    slowest = statistics.median(max(fresh(HAWQ)) for _ in range(3))
    assert table.limit("slowest of HAWQ's 18 instances, proven optimal", slowest, 0.050)


def test_two_budgets_certified(table: Table) -> None:
    runs = [seconds(lambda seed=seed: solve(two_budgets(seed), method="lagrangian", gap=1e-3)) for seed in SEEDS]
    assert table.limit("500 x 12, 2 budgets: largest gap in %", 100 * max(plan.gap for _, plan in runs), 0.1)
    assert table.limit("500 x 12, 2 budgets: seconds to that", max(time for time, _ in runs), 0.5)


def test_two_budgets_proven_against_milp(table: Table) -> None:
    pytest.importorskip("scipy")
    solve(two_budgets(0), gap=1e-6)  # compiles the kernel
    ratios, ours, peers = [], [], []
    for seed in SEEDS * ROUNDS:
        problem = two_budgets(seed)
        own, plan = seconds(lambda problem=problem: solve(problem, gap=1e-6))
        other, peer = seconds(lambda problem=problem: solve(problem, method="milp", gap=1e-6, time_limit=PATIENCE))
        assert plan.status == "optimal"
        assert plan.loss <= peer.loss * (1 + 2e-6)
        ratios.append(other / own)
        ours.append(own)
        peers.append(other)
    print(f"\n500 x 12, 2 budgets, proven to 1e-6: ours {_range(ours)} s, milp {_range(peers)} s")
    row = Row("500 x 12, 2 budgets: proven to 1e-6", "scipy.optimize.milp", [statistics.median(ratios)], 1, min(ours))
    table.rows.append(row)
    assert row.met


def test_ten_thousand_layers(table: Table) -> None:
    time_taken, gap, megabytes = fresh(LARGEST)
    assert table.limit("10,000 x 16, 1 budget: gap in %", 100 * gap, 0.01)
    assert table.limit("10,000 x 16, 1 budget: seconds to that", time_taken, 2)
    assert table.limit("10,000 x 16, 1 budget: MB of the whole process", megabytes, 500)


def test_ten_thousand_layers_against_pulp_and_highs(table: Table) -> None:
    pytest.importorskip("highspy")
    problem = large(10_000, 16, 0, budgets=1)
    own, plan = seconds(lambda: solve(problem, method="lagrangian", gap=1e-4))
    other, peer = seconds(lambda: solve(problem, method="highs", gap=1e-4, time_limit=PATIENCE))
    assert plan.loss <= peer.loss * (1 + 1e-4)
    print(f"\n10,000 x 16, 1 budget, to 1e-4: ours {own:.2f} s, PuLP and HiGHS {other:.1f} s")
    table.rows.append(Row("10,000 x 16, 1 budget: certified to 1e-4", "PuLP + HiGHS", [other / own], 0, own))


def test_front_of_resnet50(table: Table) -> None:
    start = time.perf_counter()
    front = pareto_front(example("hawq_v3_resnet50"), "bytes", 50)
    assert table.limit("front of 50 points, ResNet50", time.perf_counter() - start, 2)
    assert all(plan.status == "optimal" for plan in front)


COUPLED = {
    "60 x 4": lambda: coupled(60, 4, 0),
    "60 x 4, 15 switches": lambda: coupled(60, 4, 1, max_switches=15),
    "150 x 6": lambda: coupled(150, 6, 2),
    "150 x 6, 40 switches": lambda: coupled(150, 6, 3, max_switches=40),
    "300 x 8, 60 switches": lambda: coupled(300, 8, 4, max_switches=60),
}
EQUAL_SECONDS = 10.0


@pytest.mark.parametrize("name", COUPLED)
def test_coupled_at_equal_time(name: str) -> None:
    pytest.importorskip("pulp")
    problem = COUPLED[name]()
    own, plan = seconds(lambda: solve(problem, gap=1e-6, time_limit=EQUAL_SECONDS))
    greedy = greedy_loss(problem)
    other, cbc = cbc_loss(problem)
    print(
        f"\n{name:<22} greedy {greedy:10.6f}   CBC {cbc:10.6f} ({other:4.1f} s)   "
        f"ours {plan.loss:10.6f} ({own:4.1f} s, {plan.status}, gap {plan.gap:.1e})"
    )
    assert plan.loss <= min(greedy, cbc) * (1 + 1e-6)


def greedy_loss(problem: Problem) -> float:
    """From the least losses, the move that mends most for its loss, one after the other; inf if that ends nowhere."""
    core = reduce(problem).core
    walker = Walker(core, np.zeros(len(core.rows)))
    picks = walker.repair(core.losses.argmin(axis=1), most=10 * core.nodes)
    return float("inf") if picks is None else core.loss_of(picks)


def cbc_loss(problem: Problem) -> tuple[float, float]:
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loss = solve(problem, method="cbc", gap=1e-6, time_limit=EQUAL_SECONDS).loss
    except AllocationError as error:
        if "no CBC" in error.message:
            pytest.skip("PuLP finds no CBC")
        loss = float("inf")
    return time.perf_counter() - start, loss


def two_budgets(seed: int) -> Problem:
    return large(500, 12, seed, share=0.23)  # 4.5 bits on average


def _range(values: list[float]) -> str:
    return f"{min(values):.2f} to {max(values):.2f}"
