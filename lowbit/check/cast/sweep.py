"""The process that walks a range of inputs through a C function and the reference, and counts what differs.

Device and reference share one process here so that no row crosses a process border: a block stays in the cache
from the function under test to the comparison. A crash still takes down only this process; ``exhaustive`` looks
for the input that did it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.compare import differing
from lowbit.check.cast.reference import reference
from lowbit.dut.worker import LoadError, load_symbol
from lowbit.format.registry import get_format
from lowbit.policy.cast import Policy

BLOCK = 1 << 18
"""Rows a block: a mebibyte of float32 codes, which stays in the second-level cache."""
REPORT_EVERY = 1 << 22
GUARD_ROWS = 64


def sweep(task: dict[str, Any]) -> None:
    """Walk ``task["start"]`` to ``task["stop"]`` and write one JSON line a report to standard output."""
    source, target = get_format(task["source"]), get_format(task["target"])
    policy = Policy(**{**task["policy"], "defects": tuple(task["policy"]["defects"])})
    function = load_symbol(task["path"], task["symbol"])
    offsets = np.arange(BLOCK, dtype=source.code_dtype)
    codes = np.empty(BLOCK, source.code_dtype)
    results = np.full(BLOCK + GUARD_ROWS, _guard(target.code_dtype), target.code_dtype)
    guard = results[BLOCK:].copy()
    reference(offsets, source, target, policy)  # compiles, or loads what was compiled, before time is measured
    _say(done=0, differences=0)
    wrong_codes: list[NDArray[Any]] = []
    wrong_results: list[NDArray[Any]] = []
    differences = kept = 0
    for start in range(task["start"], task["stop"], BLOCK):
        np.add(offsets, offsets.dtype.type(start), out=codes)
        function(codes.ctypes.data, results.ctypes.data, BLOCK)
        if not np.array_equal(results[BLOCK:], guard):
            _say(overrun=start)
            return
        got = results[:BLOCK]
        wrong = differing(reference(codes, source, target, policy), got, target, nan=task["nan"])
        count = int(np.count_nonzero(wrong))
        if count:
            differences += count
            rows = np.flatnonzero(wrong)[: task["keep"] - kept]
            kept += len(rows)
            wrong_codes.append(codes[rows])
            wrong_results.append(got[rows])
        done = start + BLOCK - task["start"]
        if done % REPORT_EVERY == 0:
            _say(done=done, differences=differences)
    _say(
        done=task["stop"] - task["start"],
        differences=differences,
        codes=_joined(wrong_codes),
        got=_joined(wrong_results),
    )


def _guard(dtype: str) -> Any:
    """A value that no vector tail writes by chance."""
    return np.array([0xC3] * np.dtype(dtype).itemsize, np.uint8).view(dtype)[0]


def _joined(parts: list[NDArray[Any]]) -> list[int]:
    return np.concatenate(parts).tolist() if parts else []


def _say(**report: Any) -> None:
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()


def main() -> None:
    """The task is a JSON document on standard input."""
    try:
        sweep(json.loads(sys.stdin.read()))
    except LoadError as error:
        _say(missing=str(error))


if __name__ == "__main__":
    main()
