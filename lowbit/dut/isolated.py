"""A device in a worker process: rows in chunks, canaries around the results, and a hunt for the row that kills it."""

from __future__ import annotations

import time
from typing import Any, Self

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
    """

    hint = ""
    """What the device has to be, for errors about crashes and overruns."""
    row_bytes = 8
    """Room for one result; a device that answers with wider items says so in an error."""

    def __init__(self, name: str, load: dict[str, Any], source: Scalar, target: Scalar, timeout: float = 60.0) -> None:
        self.name, self.source, self.target, self.timeout = name, source, target, timeout
        self._input = GUARD_BYTES
        self._output = 2 * GUARD_BYTES + CHUNK_ROWS * self.row_bytes
        size = self._output + CHUNK_ROWS * self.row_bytes + GUARD_BYTES
        self._worker = Worker(load, size, name, timeout)
        self._bytes = np.frombuffer(self._worker.memory, np.uint8)
        self._probed = False

    def open(self) -> None:
        """Load the device now, so that a missing one is noticed before any work."""
        self._worker.start()

    def run(self, codes: NDArray[Any]) -> NDArray[Any]:
        """The target codes for the source codes; wider integers where an answer does not fit their container."""
        codes = np.ascontiguousarray(codes, self.source.code_dtype)
        results = [np.empty(0, self.target.code_dtype)]
        if not self._probed and codes.size:
            self._probe(codes)
        for start in range(0, codes.size, CHUNK_ROWS):
            rows = codes[start : start + CHUNK_ROWS]
            results.append(self._run_or_bisect(rows, start))
        return np.concatenate(results)

    def close(self) -> None:
        """End the worker process."""
        del self._bytes
        self._worker.close()

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
            first, second = (self._run_or_bisect(codes[:rows], 0, fill) for fill in FILLS)
            untouched = self._is_fill(first, FILLS[0]) & self._is_fill(second, FILLS[1])
            if untouched.any():
                where = int(np.flatnonzero(untouched)[0])
                raise DeviceError(
                    f"{self.name} was given {rows} rows and wrote {rows - int(untouched.sum())}: row {where} was never "
                    f"written",
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
        self._probed = True

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
        end = self._output + count * width
        data[self._output - GUARD_BYTES : self._output] = GUARD
        data[self._output : end] = fill
        data[end : end + GUARD_BYTES] = GUARD
        given = rows.view(np.uint8)
        data[self._input : self._input + given.size] = given
        request = {
            "arguments": [self._input, self._output, count],
            "arrays": [{"at": self._input, "dtype": rows.dtype.name, "shape": [count]}],
            "scalars": [],
            "output": self._output,
            "room": CHUNK_ROWS * self.row_bytes,
        }
        what = f"on rows {start} to {start + count - 1}"
        reply = self._worker.request(request, timeout=self.timeout, what=what)
        return self._collect(reply, given, count, what)

    def _prepare(self, rows: NDArray[Any]) -> NDArray[Any]:
        """The rows as the device takes them."""
        return rows

    def _collect(self, reply: dict[str, Any], given: NDArray[Any], count: int, what: str) -> NDArray[Any]:
        """Check the canaries and copy the results out of the shared memory."""
        del reply
        data, width = self._bytes, np.dtype(self.target.code_dtype).itemsize
        end = self._output + count * width
        for side, place in (("before", self._output - GUARD_BYTES), ("after", end)):
            if (data[place : place + GUARD_BYTES] != GUARD).any():
                raise DeviceError(
                    f"{self.name} wrote {side} the end of its {count} results {what}"
                    if side == "after"
                    else f"{self.name} wrote before the start of its {count} results {what}",
                    hint=f"the results are {count} elements of {self.target.code_dtype}; is the element type wider, or "
                    f"the tail of a vector loop not masked?{f' {self.hint}' if self.hint else ''}",
                    code="LB604",
                )
        if (data[self._input : self._input + given.size] != given).any():
            raise DeviceError(f"{self.name} overwrote its input {what}", hint=self.hint, code="LB604")
        return np.frombuffer(data[self._output : end].tobytes(), self.target.code_dtype)

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
