"""All inputs of a format: small sources at once, all 2^32 codes of a 32-bit one in two processes."""

from __future__ import annotations

import json
import os
import selectors
import subprocess
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.compare import differing
from lowbit.check.cast.reference import reference
from lowbit.check.cast.sweep import BLOCK, REPORT_EVERY
from lowbit.check.child import start_child
from lowbit.dut.device import CANNOT_LOAD, Device
from lowbit.dut.isolated import CHUNK_ROWS
from lowbit.dut.shared_object import SharedObjectDevice, parse_shared_object
from lowbit.errors import DeviceError, InputError
from lowbit.format.scalar import FixedFormat, Scalar
from lowbit.policy.cast import Policy

AT_ONCE_BITS = 20
MOST_BITS = 32
START_SECONDS = 120.0
"""How long a process may take until it begins: it may have to compile the reference first."""
KEEP = 1 << 16
"""Differences that are kept from each process for the diagnosis; all are counted."""

Progress = Callable[[int, int], None]
"""Called with the rows done and the differences found so far."""


@dataclass(frozen=True)
class Sweep:
    """What a walk over all inputs found: how many rows and differences, and the first differences themselves."""

    rows: int
    differences: int
    codes: NDArray[Any]
    got: NDArray[Any]


def all_codes(fmt: Scalar) -> NDArray[Any]:
    """Every code of a format, for formats of few bits."""
    patterns = np.arange(1 << fmt.bits, dtype=np.int64)
    if isinstance(fmt, FixedFormat) and fmt.signed:
        half = 1 << (fmt.bits - 1)
        patterns = (patterns ^ half) - half
        patterns = patterns[patterns >= fmt.min_code]
    return patterns.astype(fmt.code_dtype)


def check_exhaustive_bits(fmt: Scalar) -> None:
    """Raise InputError where a format has too many codes to try."""
    if fmt.bits > MOST_BITS:
        raise InputError(
            f"{fmt.id} has 2^{fmt.bits} codes: too many to try",
            hint=f"at most {MOST_BITS} bits can be exhausted; use --set boundary, or --set random with --n N",
        )


def sweep_device(
    device: Device, source: Scalar, target: Scalar, policy: Policy, *, nan: str, progress: Progress
) -> Sweep:
    """Walk all inputs through any device, chunk by chunk in this process."""
    rows = differences = kept = 0
    codes: list[NDArray[Any]] = []
    results: list[NDArray[Any]] = []
    for start in range(0, 1 << source.bits, CHUNK_ROWS):
        chunk = np.arange(start, min(start + CHUNK_ROWS, 1 << source.bits), dtype=np.uint32).view(source.code_dtype)
        got = device.run(chunk)
        wrong = np.flatnonzero(differing(reference(chunk, source, target, policy), got, target, nan=nan))
        rows += chunk.size
        differences += len(wrong)
        wrong = wrong[: KEEP - kept]
        kept += len(wrong)
        codes.append(chunk[wrong])
        results.append(got[wrong])
        progress(rows, differences)
    return Sweep(rows, differences, np.concatenate(codes), np.concatenate(results))


def sweep_shared_object(
    name: str,
    source: Scalar,
    target: Scalar,
    policy: Policy,
    *,
    nan: str,
    timeout: float,
    progress: Progress,
    processes: int = 0,
) -> Sweep:
    """Walk all 2^32 inputs through a C function, device and reference side by side in each process."""
    path, symbol = parse_shared_object(name)
    count = processes or min(os.cpu_count() or 1, 16)
    task = {
        "path": path,
        "symbol": symbol,
        "source": source.id,
        "target": target.id,
        "policy": asdict(policy),
        "nan": nan,
        "keep": KEEP,
    }
    whole = 1 << source.bits
    step = -(-whole // count // REPORT_EVERY) * REPORT_EVERY
    ranges = [(start, min(start + step, whole)) for start in range(0, whole, step)]
    walkers = [_Walker({**task, "start": start, "stop": stop}) for start, stop in ranges]
    try:
        _watch(walkers, name, timeout, progress)
    except _Died as death:
        raise _named_crash(death, name, source, target, timeout) from None
    finally:
        for walker in walkers:
            walker.stop()
    codes = np.concatenate([np.array(walker.last["codes"], source.code_dtype) for walker in walkers])
    got = np.concatenate([np.array(walker.last["got"], target.code_dtype) for walker in walkers])
    return Sweep(whole, sum(walker.last["differences"] for walker in walkers), codes, got)


class _Died(Exception):
    """A walker ended before it was done."""

    def __init__(self, walker: _Walker) -> None:
        self.start = walker.start + walker.last["done"]


class _Walker:
    """One process that walks one range."""

    def __init__(self, task: dict[str, Any]) -> None:
        self.start, self.stop_at = task["start"], task["stop"]
        self.last: dict[str, Any] = {"done": 0, "differences": 0}
        self.heard = time.monotonic()
        self.ready = False
        self.process = start_child("lowbit.check.cast.sweep", stdin=subprocess.PIPE)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(task).encode())
        self.process.stdin.close()
        self._received = b""

    @property
    def done(self) -> bool:
        return "codes" in self.last

    def hear(self) -> bool:
        """Read what the process says; False at its end."""
        assert self.process.stdout is not None
        data = os.read(self.process.stdout.fileno(), 1 << 16)
        self._received += data
        *lines, self._received = self._received.split(b"\n")
        for line in lines:
            self.last = json.loads(line)
            self.ready = True
            self.heard = time.monotonic()
        return bool(data)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


def _watch(walkers: list[_Walker], name: str, timeout: float, progress: Progress) -> None:
    with selectors.DefaultSelector() as selector:
        for walker in walkers:
            assert walker.process.stdout is not None
            selector.register(walker.process.stdout, selectors.EVENT_READ, walker)
        while selector.get_map():
            for key, _ in selector.select(timeout=1.0):
                walker = key.data
                if not walker.hear():
                    selector.unregister(key.fileobj)
                    if not walker.done and "done" in walker.last:
                        raise _Died(walker)
                _check_report(walker, name)
            progress(
                sum(walker.last["done"] for walker in walkers), sum(walker.last["differences"] for walker in walkers)
            )
            for walker in walkers:
                allowed = timeout if walker.ready else START_SECONDS
                if not walker.done and time.monotonic() - walker.heard > allowed:
                    where = walker.start + walker.last["done"]
                    raise DeviceError(
                        f"{name} did not answer within {allowed:g} s after input {where:#x}",
                        hint="it may hang; if it is merely slow, give it longer with --timeout",
                        code="LB602",
                    )


def _check_report(walker: _Walker, name: str) -> None:
    if "missing" in walker.last:
        raise InputError(walker.last["missing"], code=CANNOT_LOAD)
    if "overrun" in walker.last:
        raise DeviceError(
            f"{name} wrote after the end of its {BLOCK} results on inputs {walker.last['overrun']:#x} and up",
            code="LB604",
        )


def _named_crash(death: _Died, name: str, source: Scalar, target: Scalar, timeout: float) -> DeviceError:
    """Run the range that was under way once more, alone, to find the input that crashes the device."""
    codes = np.arange(death.start, min(death.start + REPORT_EVERY, 1 << source.bits), dtype=np.uint64)
    with SharedObjectDevice(name, source, target, timeout=timeout) as device:
        try:
            device.run(codes.astype(source.code_dtype))
        except DeviceError as error:
            return error
    return DeviceError(f"{name} ended the process on an input from {death.start:#x} up", code="LB601")
