"""What a user waits for before the first answer: imports, the quick verbs, and a second ``lowbit check``."""

from __future__ import annotations

import importlib.util
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.measure import Table

REPEATS = 9


def _median_seconds(arguments: list[str], repeats: int = REPEATS, **variables: str) -> float:
    """Median wall time of a process that must succeed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        subprocess.run(arguments, check=True, capture_output=True, env={**os.environ, **variables})
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _verb(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lowbit.cli", *arguments]


def test_import_over_numpy(table: Table) -> None:
    alone = _median_seconds([sys.executable, "-c", "import numpy"])
    with_lowbit = _median_seconds([sys.executable, "-c", "import numpy, lowbit"])
    with_encode = _median_seconds([sys.executable, "-c", "import numpy, lowbit; lowbit.encode"])
    table.limit("import lowbit and look up encode, beyond import numpy", with_encode - alone, float("inf"))
    assert table.limit("import lowbit, beyond import numpy", with_lowbit - alone, 0.060)


def test_show(table: Table) -> None:
    assert table.limit("lowbit show float8_e4m3fn", _median_seconds(_verb("show", "float8_e4m3fn")), 0.4)


def test_encode_explain(table: Table) -> None:
    seconds = _median_seconds(_verb("encode", "float8_e4m3fn", "0.3", "--explain"))
    assert table.limit("lowbit encode float8_e4m3fn 0.3 --explain", seconds, 0.4)


def test_first_and_second_check(table: Table, tmp_path: Path) -> None:
    if importlib.util.find_spec("onnxruntime") is None:
        pytest.skip("onnxruntime is not installed: the check would compare less than its default")
    cache = {"LOWBIT_CACHE_DIR": str(tmp_path)}
    first = _median_seconds(_verb("check"), 1, **cache)
    second = _median_seconds(_verb("check"), 3, **cache)
    table.limit("lowbit check, nothing compiled yet", first, float("inf"))
    assert table.limit("lowbit check, the second time", second, 5.0)
