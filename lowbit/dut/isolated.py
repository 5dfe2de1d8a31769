"""A device in a worker process: rows in chunks, canaries around the results, and a hunt for the row that kills it."""

from __future__ import annotations

import mmap
import time
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.host import Worker, WorkerDied
from lowbit.errors import DeviceError
from lowbit.format.scalar import Scalar

CHUNK_ROWS = 1 << 20
GUARD_BYTES = 4096
GUARD, FILLS = 0xC3, (0x5A, 0xA5)
"""The byte around the results, and the two bytes that the results are filled with before a call."""
PROBE_ROWS = (1, 3, 17)
"""Small odd counts that a vectorised kernel's tail is often wrong for."""
FULL_PROBE_ROWS = 1 << 16
BISECT_SECONDS = 5.0
ROW_BYTES = 8
"""Room for one result; a device that answers with wider items says so in an error."""
INPUT = GUARD_BYTES
OUTPUT = INPUT + CHUNK_ROWS * ROW_BYTES + GUARD_BYTES
ROOM = OUTPUT + CHUNK_ROWS * ROW_BYTES + GUARD_BYTES
"""Places in the shared memory, and the size of it."""


class Caller(Protocol):
    """What calls a device: a ``Worker``, in another process."""

    memory: mmap.mmap

    def start(self) -> None:
        """Load the device."""
        ...

    def request(self, message: dict[str, Any], *, timeout: float, what: str) -> dict[str, Any]:
        """Make one call."""
        ...

    def close(self) -> None:
        """Give the device and the memory back."""
        ...


class IsolatedDevice:
    """A device whose code runs in a worker process.

    Parameters
    ----------
    name : str
        How reports call it.
    load : dict
        ``kind``, ``path`` and ``symbol``, as ``lowbit.dut.worker`` takes them.
    source, target : Format
        What it converts from and to.
    timeout : float
        Seconds that one chunk of at most 2**20 rows may take, and loading (which gets 5 s at least).
    caller : Caller, optional
        What calls the device, with ``ROOM`` bytes of memory; a worker process of its own where it is left out.
    """

    hint = ""
    """What the device has to be, for errors about crashes and overruns."""

    def __init__(
        self,
        name: str,
        load: dict[str, Any],
        source: Scalar,
        target: Scalar,
        timeout: float = 60.0,
        caller: Caller | None = None,
    ) -> None:
        self.name, self.source, self.target, self.timeout = name, source, target, timeout
        self._caller = caller or Worker(load, ROOM, name, timeout)
        self._bytes = np.frombuffer(self._caller.memory, np.uint8)
        self._probed = False

    def open(self) -> None:
        """Load the device now, so that a missing one is noticed before any work."""
        self._caller.start()

    def run(self, codes: NDArray[Any], first: int = 0) -> NDArray[Any]:
        """The target codes for the source codes; wider integers where an answer does not fit their container.

        ``first`` is the number that errors give the first row.
        """
        codes = np.ascontiguousarray(codes, self.source.code_dtype)
        if not self._probed and codes.size:
            self._probe(codes)
        results = [
            self._run_or_bisect(codes[start : start + CHUNK_ROWS], first + start)
            for start in range(0, codes.size, CHUNK_ROWS)
        ]
        if len(results) == 1:
            return results[0]
        return np.concatenate([np.empty(0, self.target.code_dtype), *results])

    def refuse_unwritten(self, codes: NDArray[Any], suspects: NDArray[Any]) -> None:
        """Raise DeviceError if some results of one call are never written; ``suspects`` are those that are wrong."""
        if suspects.size and self._is_fill(suspects, FILLS[0]).any():
            self._compare_fills(codes)

    def close(self) -> None:
        """End the worker process."""
        del self._bytes
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _probe(self, codes: NDArray[Any]) -> None:
        """Run twice over differently filled results: what keeps both fills was never written."""
        whole = min(codes.size, CHUNK_ROWS)
        counts = {rows for rows in PROBE_ROWS if rows <= whole}
        counts.add(whole if whole <= FULL_PROBE_ROWS else FULL_PROBE_ROWS - 1)
        for rows in sorted(counts):
            self._compare_fills(codes[:rows])
        self._probed = True

    def _compare_fills(self, codes: NDArray[Any]) -> None:
        first, second = (self._run_or_bisect(codes, 0, fill) for fill in FILLS)
        untouched = self._is_fill(first, FILLS[0]) & self._is_fill(second, FILLS[1])
        if untouched.any():
            where = int(np.flatnonzero(untouched)[0])
            raise DeviceError(
                f"{self.name} was given {codes.size} rows and wrote {codes.size - int(untouched.sum())}: row {where} "
                f"was never written",
                hint=self.hint,
                code="LB604",
            )
        if not np.array_equal(first, second):
            where = int(np.flatnonzero(first != second)[0])
            raise DeviceError(
                f"{self.name} gives two answers to the same input {int(codes[where]):#x}: {int(first[where]):#x} "
                f"and {int(second[where]):#x}",
                hint="a device must be deterministic to be checked; give a stochastic kernel fixed random bits",
                code="LB605",
            )

    def _is_fill(self, results: NDArray[Any], fill: int) -> NDArray[np.bool_]:
        return np.asarray((results.view(np.uint8).reshape(results.size, -1) == fill).all(axis=1))

    def _run_or_bisect(self, rows: NDArray[Any], start: int, fill: int = FILLS[0]) -> NDArray[Any]:
        try:
            return self._run_chunk(rows, start, fill)
        except WorkerDied as error:
            raise self._named_crash(rows, start, error) from None

    def _run_chunk(self, rows: NDArray[Any], start: int, fill: int) -> NDArray[Any]:
        rows = self._prepare(rows)
        count, width = rows.size, np.dtype(self.target.code_dtype).itemsize
        data = self._bytes
        end = OUTPUT + count * width
        data[OUTPUT - GUARD_BYTES : OUTPUT] = GUARD
        data[OUTPUT:end] = fill
        data[end : end + GUARD_BYTES] = GUARD
        data[INPUT : INPUT + rows.nbytes] = rows.view(np.uint8)
        request = {
            "arguments": [INPUT, OUTPUT, count],
            "arrays": [{"at": INPUT, "dtype": rows.dtype.name, "shape": [count]}],
            "scalars": [],
            "output": OUTPUT,
            "room": CHUNK_ROWS * ROW_BYTES,
        }
        what = f"on rows {start} to {start + count - 1}"
        reply = self._caller.request(request, timeout=self.timeout, what=what)
        return self._collect(reply, rows, what)

    def _prepare(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows as the device takes them."""
        return rows

    def _collect(self, reply: dict[str, Any], rows: NDArray[Any], what: str) -> NDArray[Any]:
        """Check the canaries and the input, and copy the results out of the shared memory."""
        del reply
        data, count, width = self._bytes, rows.size, np.dtype(self.target.code_dtype).itemsize
        end = OUTPUT + count * width
        for side, place in (("before", OUTPUT - GUARD_BYTES), ("after", end)):
            if (data[place : place + GUARD_BYTES] != GUARD).any():
                raise DeviceError(
                    f"{self.name} wrote {side} the end of its {count} results {what}"
                    if side == "after"
                    else f"{self.name} wrote before the start of its {count} results {what}",
                    hint=f"the results are {count} elements of {self.target.code_dtype}; is the element type wider, or "
                    f"the tail of a vector loop not masked?{f' {self.hint}' if self.hint else ''}",
                    code="LB604",
                )
        if not np.array_equal(data[INPUT : INPUT + rows.nbytes].view(rows.dtype), rows):
            raise DeviceError(f"{self.name} overwrote its input {what}", hint=self.hint, code="LB604")
        return data[OUTPUT:end].copy().view(self.target.code_dtype)

    def _named_crash(self, rows: NDArray[Any], start: int, error: WorkerDied) -> DeviceError:
        """Halve the rows, each half in a fresh process, until one input is left that kills the device by itself."""
        low, high = 0, rows.size
        deadline = time.monotonic() + BISECT_SECONDS
        while high - low > 1 and time.monotonic() < deadline:
            middle = (low + high) // 2
            if self._dies(rows[low:middle]):
                high = middle
            elif self._dies(rows[middle:high]):
                low = middle
            else:
                break
        if high - low == 1:
            where = f"input {int(rows[low]):#x} (row {start + low}) alone does it"
        else:
            where = f"rows {start + low} to {start + high - 1} do it"
        return DeviceError(f"{error.message}; {where}", hint=self.hint, code=error.code)

    def _dies(self, rows: NDArray[Any]) -> bool:
        try:
            self._run_chunk(rows, 0, FILLS[0])
        except WorkerDied:
            return True
        except DeviceError:
            return False
        return False
