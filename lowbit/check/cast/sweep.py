"""A device and the reference side by side, block by block over all inputs of a conversion.

A C function does it in its worker process, so that no row crosses a process border: a block stays in the cache from
the call to the comparison. A crash still takes down the worker only; ``exhaustive`` looks for the input that did it.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.codes import codes_between
from lowbit.check.cast.operation import CastOperation
from lowbit.check.run import Progress, unseen
from lowbit.dut.device import Device
from lowbit.dut.process import ProcessDevice
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.dut.worker import Request, Runner
from lowbit.errors import DeviceError
from lowbit.format.registry import scalar_format
from lowbit.policy.cast import Policy
from lowbit.vectors.case import rows_case
from lowbit.vectors.flags.cast import REMAINING

BLOCK = 1 << 18
"""Rows a call: a mebibyte of float32 codes, which stays in the second-level cache."""
KEEP = 1 << 16
"""Differences that are kept for the diagnosis; all are counted."""
KEEP_IN_REPORT = 1 << 12
"""Differences that a worker reports at a time."""
INSIDE = ("lowbit.check.cast.sweep", "sweep_inside")
"""What the worker loads to sweep."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """What a walk over inputs found: how many rows and differences, and the first differences themselves."""

    rows: int
    differences: int
    codes: NDArray[Any]
    got: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Comparer:
    """Compares a device with the reference."""

    operation: CastOperation
    # Inputs that the device was wrong on before: each counts as a difference, whatever it answers now.
    failed: NDArray[Any]

    def sweep(self, device: Device, start: int, stop: int) -> Iterator[Sweep]:
        """Walk the inputs whose bit patterns lie in a range, one block after the other."""
        source = self.operation.formats[0]
        rows = min(BLOCK, 1 << (source.bits - 1))
        for first in range(start, stop, rows):
            yield self._block(device, first, codes_between(source, first, min(first + rows, stop)))

    def _block(self, device: Device, first: int, codes: NDArray[Any]) -> Sweep:
        """Run one block; the device is given a copy of the codes that the reference converts."""
        case = rows_case(codes, REMAINING, first)
        got = np.asarray(device.run(case))
        wrong = self.operation.differing(self.operation.expected(case), got)
        failed = self.failed[(self.failed >= codes[0]) & (self.failed <= codes[-1])]
        if not failed.size and not wrong.any():  # as in most blocks: the rest would take a tenth of the time
            return Sweep(codes.size, 0, codes[:0].copy(), got[:0].copy())  # a view would keep the whole block
        if isinstance(device, ProcessDevice):
            device.refuse_unwritten(case, got[wrong])
        wrong[failed - codes[0]] = True
        rows = np.flatnonzero(wrong)
        return Sweep(codes.size, rows.size, codes[rows[:KEEP]], got[rows[:KEEP]])


def joined(sweeps: Iterable[Sweep], progress: Progress = unseen) -> Sweep:
    """What several sweeps found together."""
    rows = differences = kept = 0
    codes: list[NDArray[Any]] = []
    got: list[NDArray[Any]] = []
    for sweep in sweeps:
        rows += sweep.rows
        differences += sweep.differences
        codes.append(sweep.codes[: KEEP - kept])
        got.append(sweep.got[: KEEP - kept])
        kept += len(codes[-1])
        progress(rows, differences)
    return Sweep(rows, differences, np.concatenate(codes), np.concatenate(got))


class InsideCaller:
    """Calls a device in this process, in the place of a worker of its own."""

    def __init__(self, memory: mmap.mmap, runner: Runner) -> None:
        self.memory = memory
        self._runner = runner

    def start(self) -> None:
        """Do nothing: the device is loaded."""

    def request(self, message: Request, *, timeout: float, what: str) -> Request:
        """Call the device."""
        del timeout, what
        return self._runner(message)

    def close(self) -> None:
        """Do nothing: the memory is the worker's."""


def task(comparer: Comparer, name: str) -> Request:
    """What ``sweep_inside`` needs to know, for a request to load a device."""
    operation = comparer.operation
    return {
        "within": INSIDE,
        "name": name,
        "source": operation.source,
        "target": operation.target,
        "policy": operation.policy.spell(),
        "any_nan": operation.any_nan,
        "failed": comparer.failed.tolist(),
    }


def sweep_inside(memory: mmap.mmap, runner: Runner, task: Request) -> Runner:
    """Make of what runs one call what sweeps a range of inputs; both in the worker."""
    source, target = scalar_format(task["source"]), scalar_format(task["target"])
    operation = CastOperation(source, target, Policy.parse(task["policy"]), any_nan=task["any_nan"])
    comparer = Comparer(operation, np.array(task["failed"], source.code_dtype))
    device = SharedObjectDevice(task["name"], operation.prototype, caller=InsideCaller(memory, runner))
    operation.expected(rows_case(codes_between(source, 0, BLOCK), REMAINING))  # compiles, or loads what was compiled

    def run(request: Request) -> Request:
        try:
            sweep = joined(comparer.sweep(device, request["start"], request["stop"]))
        except DeviceError as error:
            return {"fault": [error.message, error.hint, error.code]}
        codes, got = (array[:KEEP_IN_REPORT].tolist() for array in (sweep.codes, sweep.got))
        return {"rows": sweep.rows, "differences": sweep.differences, "codes": codes, "got": got}

    return run
