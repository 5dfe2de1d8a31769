"""All inputs of a wide format, one block after the other: in this process, or over several workers."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from queue import SimpleQueue
from typing import Any, Self

import numpy as np

from lowbit.check.cast.codes import codes_between
from lowbit.check.cast.operation import CastOperation
from lowbit.check.cast.sweep import Comparer, Sweep, joined, task
from lowbit.check.comparison import compare
from lowbit.check.result import CheckResult
from lowbit.check.run import Progress, answered, conclude, unseen
from lowbit.dut.device import Device
from lowbit.dut.host import Worker, WorkerDied
from lowbit.dut.process import ROOM
from lowbit.dut.shared_object import SharedObjectDevice
from lowbit.errors import DeviceError
from lowbit.vectors.case import rows_case
from lowbit.vectors.flags.cast import RANDOM, REMAINING

MOST_PROCESSES = 16
REPORT_ROWS = 1 << 22
"""Rows that a process sweeps before it reports."""
START_SECONDS = 120.0
"""How long a process may take until it begins: it may have to compile the reference first."""


def check_every_input(
    device: Device, operation: CastOperation, *, progress: Progress = unseen, **settings: Any
) -> CheckResult:
    """All inputs of a source with too many codes to be held at once.

    The diagnosis looks at the boundary set, on which the device is tried first, and at the first differences.
    """
    boundary = answered(device, operation, operation.cases("directed", 0, 0))
    small = boundary.operand("codes")
    failed = np.unique(small[boundary.wrong])
    if isinstance(device, SharedObjectDevice):
        sweep = sweep_shared_object(device, operation, progress=progress, failed=failed)
    else:
        sweep = sweep_device(device, operation, progress=progress, failed=failed)
    codes, first = np.unique(np.concatenate([small, sweep.codes]), return_index=True)
    case = rows_case(codes, RANDOM)
    got = np.concatenate([boundary.got, sweep.got])[first]
    result = conclude(device.name, compare(operation, [case], [got], [operation.expected(case)]), **settings)
    return replace(result, vectors=sweep.rows, differences=sweep.differences)


def sweep_device(device: Device, operation: CastOperation, *, progress: Progress = unseen, failed: Any = ()) -> Sweep:
    """Walk all inputs through any device, from this process.

    ``failed`` are inputs that the device was wrong on before: each counts as a difference, whatever it answers now.
    """
    whole = 1 << operation.formats[0].bits
    return joined(_comparer(operation, failed).sweep(device, 0, whole), progress)


def sweep_shared_object(
    device: SharedObjectDevice, operation: CastOperation, *, progress: Progress = unseen, failed: Any = ()
) -> Sweep:
    """Walk all inputs through a C function as ``sweep_device`` does, in as many processes as there are cores."""
    comparer = _comparer(operation, failed)
    whole = 1 << operation.formats[0].bits
    with ExitStack() as stack:
        sweepers = [
            stack.enter_context(_Sweeper(device, comparer)) for _ in range(min(os.cpu_count() or 1, MOST_PROCESSES))
        ]
        idle: SimpleQueue[_Sweeper] = SimpleQueue()
        for sweeper in sweepers:
            idle.put(sweeper)

        def chunk(start: int) -> Sweep:
            sweeper = idle.get()
            try:
                return sweeper.sweep(start, min(start + REPORT_ROWS, whole))
            finally:
                idle.put(sweeper)

        pool = stack.enter_context(ThreadPoolExecutor(len(sweepers)))
        try:
            return joined(pool.map(chunk, range(0, whole, REPORT_ROWS)), progress)
        except BaseException:  # from a device or from the keyboard
            pool.shutdown(wait=False, cancel_futures=True)
            for sweeper in sweepers:
                sweeper.worker.abandoned = True
            raise


def _comparer(operation: CastOperation, failed: Any) -> Comparer:
    return Comparer(operation, np.asarray(failed, operation.formats[0].code_dtype))


class _Sweeper:
    """One worker that sweeps."""

    def __init__(self, device: SharedObjectDevice, comparer: Comparer) -> None:
        self._device, self._comparer = device, comparer
        load = {**device.load, **task(comparer, device.name)}
        self.worker = Worker(load, ROOM, device.name, START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.worker.close()

    def sweep(self, start: int, stop: int) -> Sweep:
        """Sweep a range of inputs."""
        what = f"on inputs {start:#x} to {stop - 1:#x}"
        try:
            reply = self.worker.request({"start": start, "stop": stop}, timeout=self._device.timeout, what=what)
        except WorkerDied:
            self._name_crash(start, stop)
            raise
        if "fault" in reply:
            message, hint, code = reply["fault"]
            raise DeviceError(message, hint=hint, code=code)
        source, target = self._comparer.operation.formats
        codes, got = np.array(reply["codes"], source.code_dtype), np.array(reply["got"], target.code_dtype)
        return Sweep(reply["rows"], reply["differences"], codes, got)

    def _name_crash(self, start: int, stop: int) -> None:
        """Run a range once more, without the reference beside it, to find the input that crashes the device."""
        operation, device = self._comparer.operation, self._device
        case = rows_case(codes_between(operation.formats[0], start, stop), REMAINING, start)
        with SharedObjectDevice(device.name, operation.prototype, timeout=device.timeout) as again:
            again.run(case)
