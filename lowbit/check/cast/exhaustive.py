"""All inputs of a format: small sources at once, all 2^32 codes of a 32-bit one over several processes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from queue import SimpleQueue
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.sweep import Comparer, Progress, Sweep, codes_between, joined, task
from lowbit.dut.device import Device
from lowbit.dut.host import Worker, WorkerDied
from lowbit.dut.isolated import ROOM
from lowbit.dut.shared_object import SharedObjectDevice, shared_object_load
from lowbit.errors import DeviceError, InputError
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy

AT_ONCE_BITS = 20
MOST_BITS = 32
MOST_PROCESSES = 16
REPORT_ROWS = 1 << 22
"""Rows that a process sweeps before it reports."""
START_SECONDS = 120.0
"""How long a process may take until it begins: it may have to compile the reference first."""


def all_codes(fmt: Scalar) -> NDArray[Any]:
    """Every code of a format, for formats of few bits, in the order of the bit patterns."""
    half = 1 << (fmt.bits - 1)
    return np.concatenate([codes_between(fmt, 0, half), codes_between(fmt, half, 2 * half)])


def check_exhaustive_bits(fmt: Scalar) -> None:
    """Raise InputError where a format has too many codes to try."""
    if fmt.bits > MOST_BITS:
        raise InputError(
            f"{fmt.id} has 2^{fmt.bits} codes: too many to try",
            hint=f"at most {MOST_BITS} bits can be exhausted; use --set boundary, or --set random with --n N",
        )


def sweep_device(
    device: Device,
    source: Scalar,
    target: Scalar,
    policy: Policy,
    *,
    nan: str,
    progress: Progress,
    failed: NDArray[Any] | None = None,
) -> Sweep:
    """Walk all inputs through any device, from this process.

    ``failed`` are inputs that the device was wrong on before: each counts as a difference, whatever it answers now.
    """
    comparer = _comparer(source, target, policy, nan, failed)
    return joined(comparer.sweep(device, 0, 1 << source.bits), progress)


def sweep_shared_object(
    name: str,
    source: Scalar,
    target: Scalar,
    policy: Policy,
    *,
    nan: str,
    timeout: float,
    progress: Progress,
    failed: NDArray[Any] | None = None,
) -> Sweep:
    """Walk all inputs through a C function as ``sweep_device`` does, in as many processes as there are cores."""
    comparer = _comparer(source, target, policy, nan, failed)
    whole = 1 << source.bits
    with ExitStack() as stack:
        sweepers = [
            stack.enter_context(_Sweeper(name, comparer, timeout))
            for _ in range(min(os.cpu_count() or 1, MOST_PROCESSES))
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


def _comparer(source: Scalar, target: Scalar, policy: Policy, nan: str, failed: NDArray[Any] | None) -> Comparer:
    return Comparer(source, target, policy, nan, np.empty(0, source.code_dtype) if failed is None else failed)


class _Sweeper:
    """One worker that sweeps."""

    def __init__(self, name: str, comparer: Comparer, timeout: float) -> None:
        self._name, self._comparer, self._timeout = name, comparer, timeout
        self.worker = Worker({**shared_object_load(name), **task(comparer, name)}, ROOM, name, START_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.worker.close()

    def sweep(self, start: int, stop: int) -> Sweep:
        """Sweep a range of inputs."""
        what = f"on inputs {start:#x} to {stop - 1:#x}"
        try:
            reply = self.worker.request({"start": start, "stop": stop}, timeout=self._timeout, what=what)
        except WorkerDied:
            self._name_crash(start, stop)
            raise
        if "fault" in reply:
            message, hint, code = reply["fault"]
            raise DeviceError(message, hint=hint, code=code)
        source, target = self._comparer.source, self._comparer.target
        codes, got = np.array(reply["codes"], source.code_dtype), np.array(reply["got"], target.code_dtype)
        return Sweep(reply["rows"], reply["differences"], codes, got)

    def _name_crash(self, start: int, stop: int) -> None:
        """Run a range once more, without the reference beside it, to find the input that crashes the device."""
        source, target = self._comparer.source, self._comparer.target
        with SharedObjectDevice(self._name, source, target, timeout=self._timeout) as device:
            device.run(codes_between(source, start, stop), start)
