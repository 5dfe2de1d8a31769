"""A kernel with several operands in a worker process: one call a case, between canaries, and each case twice.

The second call meets other bytes around the operands and in the results. A kernel that reads past an operand, or adds
to what the results held before, gives another answer then, and is told so instead of being compared.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np

from lowbit.dut.host import Worker, WorkerDied
from lowbit.dut.prototype import INPUT, OUTPUT, SIZE, Prototype
from lowbit.dut.python import parse_function
from lowbit.dut.shared_object import parse_shared_object
from lowbit.errors import DeviceError
from lowbit.vectors.case import Array, Case

GUARD_BYTES = 4096
SURROUNDINGS = ((0x5A, 0xC3), (0xA5, 0x3C))
"""(byte that the results are filled with, byte around all arrays) of the two calls."""
TWICE_UP_TO = 1 << 22
"""Cases with more bytes of operands are run once."""


class KernelDevice:
    """A kernel that is called in a process of its own.

    Parameters
    ----------
    name : str
        How reports call it.
    load : dict
        ``kind``, ``path`` and ``symbol``, as ``lowbit.dut.worker`` takes them.
    prototype : Prototype
    room : int
        Bytes that the operands and results of the largest case need (``needed_room``).
    timeout : float
        Seconds that one call may take, and loading (which gets 5 s at least).
    """

    def __init__(
        self, name: str, load: dict[str, Any], prototype: Prototype, room: int, *, timeout: float = 60.0
    ) -> None:
        self.name, self.prototype, self.timeout = name, prototype, timeout
        self.hint = f"the function has to be {prototype.c(load['symbol'])}"
        if load["kind"] == "python":
            self.hint = f"the function is called as {prototype.python(load['symbol'])}"
        self._copies = load["kind"] == "python"
        self._worker = Worker({**load, "types": prototype.c_types()}, room, name, timeout)
        self._bytes = np.frombuffer(self._worker.memory, np.uint8)

    def open(self) -> None:
        """Load the device now, so that a missing one is noticed before any work."""
        self._worker.start()

    def close(self) -> None:
        """End the worker process."""
        del self._bytes
        self._worker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, case: Case) -> Array:
        """What the kernel returns, of the shape that the case says, as int64.

        Raises
        ------
        DeviceError
            It crashed, hung, wrote where it must not, or gave an answer that depends on more than its operands.
        """
        first = self._call(case, *SURROUNDINGS[0])
        if sum(array.nbytes for array in case.arrays.values()) > TWICE_UP_TO:
            return first.astype(np.int64)
        second = self._call(case, *SURROUNDINGS[1])
        if not np.array_equal(first, second):
            self._explain_two_answers(case, first, second)
        return first.astype(np.int64)

    def _explain_two_answers(self, case: Case, first: Array, second: Array) -> None:
        """Say what an answer depends on besides the operands."""
        (fill, guard), (other_fill, other_guard) = SURROUNDINGS
        where = f"on {place(case)}"
        untouched = _is_fill(first, fill) & _is_fill(second, other_fill)
        if untouched.any() and np.array_equal(untouched, first != second) and not self._copies:
            position = tuple(int(index[0]) for index in np.nonzero(untouched))
            raise DeviceError(
                f"{self.name} wrote {case.outputs - int(untouched.sum())} of {case.outputs} results {where}: the one "
                f"at {position} was never written",
                hint=self.hint,
                code="LB604",
            )
        same_results = self._call(case, fill, other_guard)
        same_guards = self._call(case, other_fill, guard)
        if np.array_equal(same_results, first) and np.array_equal(same_guards, second):
            message, hint = (
                "depends on what the results held before",
                "it adds to them, perhaps, where it should overwrite them: clear them first",
            )
        elif np.array_equal(same_results, second) and np.array_equal(same_guards, first):
            message, hint = (
                "depends on what stands around its operands",
                "it reads past the end of one: an index, a stride, or the tail of a vector loop that is not masked",
            )
        else:
            message, hint = "is not the same twice", "a device must be deterministic to be checked"
        raise DeviceError(f"the answer of {self.name} {message} {where}", hint=f"{hint}; {self.hint}", code="LB605")

    def _call(self, case: Case, fill: int, guard: int) -> Array:
        places, end = self._write(case, fill, guard)
        arguments: list[Any] = []
        for parameter in self.prototype.parameters:
            if parameter.role in (INPUT, OUTPUT):
                arguments.append(places[parameter.name])
            else:
                arguments.append((case.sizes if parameter.role == SIZE else case.scalars)[parameter.name])
        output = self.prototype.output
        arrays = [
            {"at": places[parameter.name], "dtype": parameter.dtype, "shape": list(case.arrays[parameter.name].shape)}
            for parameter in self.prototype.parameters
            if parameter.role == INPUT
        ]
        request = {
            "arguments": arguments,
            "arrays": arrays,
            "scalars": self.prototype.scalars(case),
            "output": places[output.name],
            "room": self._bytes.size - places[output.name],
        }
        what = f"on {place(case)}"
        try:
            reply = self._worker.request(request, timeout=self.timeout, what=what)
        except WorkerDied as error:
            raise DeviceError(error.message, hint=self.hint, code=error.code) from None
        if self._copies:
            return self._returned(reply, case, what)
        self._check_memory(case, places, end, guard, what)
        size = case.outputs * np.dtype(output.dtype).itemsize
        start = places[output.name]
        return np.frombuffer(self._bytes[start : start + size].tobytes(), output.dtype).reshape(case.shape)

    def _write(self, case: Case, fill: int, guard: int) -> tuple[dict[str, int], int]:
        """Lay out the arrays, each after a guard; (name -> place, end of the last guard)."""
        places: dict[str, int] = {}
        position = GUARD_BYTES
        for parameter in self.prototype.parameters:
            if parameter.role not in (INPUT, OUTPUT):
                continue
            size = self._size(case, parameter.name)
            end = position + _padded(size)
            self._bytes[position - GUARD_BYTES : end] = guard
            if parameter.role == INPUT:
                given = np.ascontiguousarray(case.arrays[parameter.name], parameter.dtype)
                self._bytes[position : position + size] = given.reshape(-1).view(np.uint8)
            else:
                self._bytes[position : position + size] = fill
            places[parameter.name] = position
            position = end
        return places, position

    def _size(self, case: Case, name: str) -> int:
        output = self.prototype.output
        if name == output.name:
            return case.outputs * np.dtype(output.dtype).itemsize
        return case.arrays[name].nbytes

    def _check_memory(self, case: Case, places: dict[str, int], end: int, guard: int, what: str) -> None:
        """Nothing but the results may have changed."""
        output = self.prototype.output.name
        for parameter in self.prototype.parameters:
            name = parameter.name
            if parameter.role != INPUT:
                continue
            given = np.ascontiguousarray(case.arrays[name], parameter.dtype).reshape(-1).view(np.uint8)
            if (self._bytes[places[name] : places[name] + given.size] != given).any():
                raise DeviceError(f"{self.name} overwrote its operand {name} {what}", hint=self.hint, code="LB604")
        expected = np.zeros(end, bool)
        for name, start in places.items():
            expected[start : start + self._size(case, name)] = True
        wrong = np.flatnonzero((self._bytes[:end] != guard) & ~expected)
        if wrong.size:
            start = places[output]
            side = "before the start" if wrong[0] < start else "after the end"
            raise DeviceError(
                f"{self.name} wrote {side} of its {case.outputs} results {what}", hint=self.hint, code="LB604"
            )

    def _returned(self, reply: dict[str, Any], case: Case, what: str) -> Array:
        """What a Python function returned."""
        output = self.prototype.output
        shape = tuple(reply["shape"])
        if shape != case.shape:
            raise DeviceError(
                f"{self.name} returned an array of shape {shape} where {case.shape} was expected {what}",
                hint=self.hint,
                code="LB604",
            )
        if reply["kind"] not in "iu":
            raise DeviceError(
                f"{self.name} returned {reply['dtype']} where integers ({output.dtype}) were expected {what}",
                hint=self.hint,
                code="LB604",
            )
        start = self._place_of_output(case)
        size = case.outputs * int(reply["itemsize"])
        return np.frombuffer(self._bytes[start : start + size].tobytes(), str(reply["dtype"])).reshape(case.shape)

    def _place_of_output(self, case: Case) -> int:
        position = GUARD_BYTES
        for parameter in self.prototype.parameters:
            if parameter.role == OUTPUT:
                break
            if parameter.role == INPUT:
                position += _padded(self._size(case, parameter.name))
        return position


def place(case: Case) -> str:
    """The case as errors and reports name it."""
    return f"case {case.name} ({case.words()})"


def needed_room(cases: list[Case]) -> int:
    """Bytes of shared memory that the largest case needs; a Python function may return 8 bytes a result."""
    room = 0
    for case in cases:
        operands = sum(_padded(array.nbytes) for array in case.arrays.values())
        room = max(room, operands + _padded(8 * case.outputs))
    return room + 2 * GUARD_BYTES


def shared_object_kernel(device: str, prototype: Prototype, room: int, *, timeout: float = 60.0) -> KernelDevice:
    """A C function of a shared object, ``./gemm.so:gemm``."""
    path, symbol = parse_shared_object(device)
    load = {"kind": "shared_object", "path": path, "symbol": symbol}
    return KernelDevice(device, load, prototype, room, timeout=timeout)


def python_kernel(device: str, prototype: Prototype, room: int, *, timeout: float = 60.0) -> KernelDevice:
    """A Python function over NumPy arrays, ``module:function``."""
    module, function = parse_function(device)
    load = {"kind": "python", "path": module, "symbol": function}
    return KernelDevice(device, load, prototype, room, timeout=timeout)


def _padded(size: int) -> int:
    """A size with the guard after it, up to whole guards, so that every array starts at a page."""
    return -(-size // GUARD_BYTES) * GUARD_BYTES + GUARD_BYTES


def _is_fill(results: Array, fill: int) -> Array:
    """Which results still are the bytes that they were filled with."""
    pattern = np.frombuffer(bytes([fill]) * results.dtype.itemsize, results.dtype)[0]
    return np.asarray(results == pattern)
