"""A device in a process of its own: each call between guards, small ones twice, and a hunt for what makes it crash.

The second call meets other bytes around the operands and in the results. A kernel that reads past an operand, or adds
to what the results held before, gives another answer then, which is reported, and nothing is compared.
"""

from __future__ import annotations

import math
import mmap
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.host import Worker, WorkerDied
from lowbit.dut.memory import Layout, lay_out, needed_room
from lowbit.dut.prototype import SCALAR, Prototype, container, packed_hint
from lowbit.errors import DeviceError
from lowbit.vectors.case import Array, Case

CHUNK_ROWS = 1 << 20
"""Single elements of a call; more are given in several."""
PROBE_ROWS = (1, 3, 17)
"""Small odd counts that a vectorised kernel's tail is often wrong for."""
TWICE_ROWS, TWICE_BYTES = (1 << 16) - 1, 1 << 22
"""Calls with more single elements, or with more bytes of other operands, are made once."""
PIECES, PIECE_ROWS, PIECE_SECONDS = 32, 31, 1.0
"""Calls of few elements from all over the first large one, most of which are in the tail of a vectorised loop."""
SURROUNDINGS = ((0x5A, 0xC3), (0xA5, 0x3C))
"""(byte that the results are filled with, byte around all arrays) of the two calls."""
REPEATS = 4
"""Calls in each combination of the surroundings, forth and back, before an answer is said to depend on one of them."""
BISECT_SECONDS = 5.0
ROOM = 1 << 28
"""Bytes of memory at first: address space, of which a call takes what it writes."""


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


class ProcessDevice:
    """A kernel that is called in a process of its own.

    ``name``: how reports call it; ``load``: ``kind``, ``path`` and ``symbol``, as ``lowbit.dut.worker`` takes them;
    ``hint``: what the function has to be, for errors; ``timeout``: seconds that one call may take, and loading (which
    gets 5 s at least); ``caller``: what calls the device; a worker process of its own where it is left out.
    """

    def __init__(
        self,
        name: str,
        load: dict[str, Any],
        prototype: Prototype,
        hint: str,
        timeout: float = 60.0,
        caller: Caller | None = None,
    ) -> None:
        self.name, self.prototype, self.hint, self.timeout = name, prototype, hint, timeout
        self.load = load
        self._take(caller or self._worker(ROOM))
        self._probed = False

    def _worker(self, room: int) -> Worker:
        return Worker(self.load, room, self.name, self.timeout)

    def _take(self, caller: Caller) -> None:
        self._caller = caller
        self._memory = np.frombuffer(caller.memory, np.uint8)

    def open(self) -> None:
        """Load the device now, so that a missing one is noticed before any work."""
        self._caller.start()

    def close(self) -> None:
        """End the worker process."""
        del self._memory
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, case: Case) -> Array:
        """What the kernel returns, of the shape that the case says.

        Integers of the result's own type, or wider ones where an answer does not fit it.

        Raises DeviceError: it crashed, hung, wrote where it must not, or gave an answer that depends on more than its
        operands.
        """
        first = case.divisible and case.outputs > 0 and not self._probed
        if first:
            self._probe(case)
        parts = [self._settled(part) for part in case.parts(CHUNK_ROWS)]
        results = parts[0] if len(parts) == 1 else np.concatenate(parts)
        if first:
            self._compare_pieces(case, results)
        return results

    def _probe(self, case: Case) -> None:
        """Make some calls of few elements, which are not compared with the reference."""
        counts = (*PROBE_ROWS, TWICE_ROWS)
        for rows in counts:
            if rows < case.outputs:
                self.run_twice(case.part(0, rows))
        self._probed = True

    def _compare_pieces(self, case: Case, results: Array) -> None:
        """Refuse answers that depend on how many elements are in the call: those of a tail that does something else."""
        deadline = time.monotonic() + PIECE_SECONDS
        last = case.outputs - PIECE_ROWS
        for start in sorted({last * place // (PIECES - 1) for place in range(PIECES)} if last > 0 else ()):
            if time.monotonic() > deadline:
                return
            piece = case.part(start, start + PIECE_ROWS)
            answers, others = self._call(piece, *SURROUNDINGS[0]), results[start : start + PIECE_ROWS]
            differ = answers != others
            if differ.any() and not _is_fill(others[differ], SURROUNDINGS[0][0]).any():  # those were never written
                where = _first(differ)
                raise DeviceError(
                    f"{self.name} gives {int(answers[where]):#x} for {piece.place_of(where)} in a call of {PIECE_ROWS} "
                    f"elements, and {int(others[where]):#x} in one of {min(case.outputs, CHUNK_ROWS)}",
                    hint="the tail of a vector loop does something else, rows are in another order, or random bits "
                    f"differ with the place in a call; {self.hint}",
                    code="LB605",
                )

    def _settled(self, case: Case) -> Array:
        size = sum(array.nbytes for array in case.arrays.values())
        large = case.outputs > TWICE_ROWS if case.divisible else size > TWICE_BYTES
        return self._call(case, *SURROUNDINGS[0]) if large else self.run_twice(case)

    def refuse_unwritten(self, case: Case, suspects: Array) -> None:
        """Raise DeviceError if some results of a large call are never written; ``suspects`` are the wrong ones."""
        if suspects.size and _is_fill(suspects, SURROUNDINGS[0][0]).any():
            self.run_twice(case)

    def run_twice(self, case: Case) -> Array:
        """Make a call twice, in different surroundings."""
        first, second = (self._call(case, *surroundings) for surroundings in SURROUNDINGS)
        if not np.array_equal(first, second):
            raise self._two_answers(case, first, second)
        return first

    def _two_answers(self, case: Case, first: Array, second: Array) -> DeviceError:
        """Say what an answer depends on besides the operands."""
        fill, other_fill = (held for held, _ in SURROUNDINGS)
        untouched = self._is_fill(case, first, fill) & self._is_fill(case, second, other_fill)
        if untouched.any():
            count = case.outputs - int(untouched.sum())
            return DeviceError(
                f"{self.name} wrote {count} of {case.outputs} results on {case.place}: "
                f"{case.place_of(_first(untouched))} was never written",
                hint=self._packed_hint(case, untouched) or self.hint,
                code="LB604",
            )
        alone = len(self.prototype.outputs) == 1
        written = _bytes_written(first, second, fill, other_fill) if alone else 0
        if written:
            return DeviceError(
                f"{self.name} wrote {written} of the {first.itemsize} bytes of a result on {case.place}",
                hint=f"its results are narrower than they have to be; {self.hint}",
                code="LB604",
            )
        depends, hint = self._dependence(case, first, second)
        message = f"the answer of {self.name} depends on {depends} on {case.place}"
        if not depends:
            where = _first(first != second)
            answers = f"{int(first[where]):#x} and {int(second[where]):#x} for {case.place_of(where)}"
            message = f"{self.name} gives two answers to the same call on {case.place}: {answers}"
        return DeviceError(message, hint=f"{hint}; {self.hint}", code="LB605")

    def _dependence(self, case: Case, first: Array, second: Array) -> tuple[str, str]:
        """What decides between two answers each time, "" if neither of the surroundings does; and a hint.

        Calls forth and back, and many: a kernel with random bits, or a counter, gives any two answers once.
        """
        fill, guard = SURROUNDINGS[0]
        by_fill = by_guard = True
        forth = list(product(*zip(*SURROUNDINGS, strict=True)))
        for held, around in (*forth, *forth[::-1]) * REPEATS:
            answers = self._call(case, held, around)
            by_fill &= np.array_equal(answers, first if held == fill else second)
            by_guard &= np.array_equal(answers, first if around == guard else second)
            if not (by_fill or by_guard):
                return "", "a kernel must be deterministic to be checked; give a stochastic kernel fixed random bits"
        if by_fill:
            adds = "it adds to them, perhaps, where it should overwrite them: clear them first"
            return "what the results held before", adds
        reads = "it reads past the end of one: an index, a stride, or the tail of a vector loop that is not masked"
        return "what stands around its operands", reads

    def _packed_hint(self, case: Case, untouched: Array) -> str:
        """What to say where all but the first bytes of a result were left out, as if several codes were in each."""
        for output in self.prototype.outputs:
            left = self.prototype.split(untouched, case)[output.name].reshape(-1)
            written = left.size - int(np.count_nonzero(left))
            if left[written:].all() and (hint := packed_hint(output, written, left.size)):
                return hint
        return ""

    def _call(self, case: Case, fill: int, guard: int) -> Array:
        try:
            return self._once(case, fill, guard)
        except WorkerDied as error:
            where = f"; {self._cause_of_death(case)}" if case.divisible else ""
            raise DeviceError(f"{error.message}{where}", hint=self.hint, code=error.code) from None

    def _once(self, case: Case, fill: int, guard: int) -> Array:
        case = self._prepared(case)
        self._make_room(case)
        layout = lay_out(self.prototype, case)
        layout.fill(self._memory, case, self.prototype, fill, guard)
        what = f"on {case.place}"
        reply = self._caller.request(self._request(case, layout), timeout=self.timeout, what=what)
        return self._collected(reply, case, layout, guard)

    def _make_room(self, case: Case) -> None:
        """Take more memory, and so another process, for a case that needs it."""
        room = needed_room(self.prototype, case)
        if room > self._memory.size:
            self.close()
            self._take(self._worker(1 << room.bit_length()))

    def _prepared(self, case: Case) -> Case:
        """The case with arrays as the device takes them."""
        arrays = {item.name: np.ascontiguousarray(case.arrays[item.name], item.dtype) for item in self.prototype.inputs}
        return replace(case, arrays=arrays)

    def _request(self, case: Case, layout: Layout) -> dict[str, Any]:
        start = {name: place.start for name, place in layout.places.items()}
        values = {**start, **case.sizes, **case.scalars}
        arrays = [
            {"at": start[name], "dtype": array.dtype.name, "shape": list(array.shape)}
            for name, array in case.arrays.items()
        ]
        output = start[self.prototype.output.name]
        several = [parameter.name for parameter in self.prototype.outputs]
        return {
            "arguments": [values[parameter.name] for parameter in self.prototype.parameters],
            "arrays": arrays,
            "scalars": [case.scalars[item.name] for item in self.prototype.parameters if item.role == SCALAR],
            "output": output,
            "results": several if len(several) > 1 else [],
            "room": self._memory.size - output,
        }

    def _collected(self, reply: dict[str, Any], case: Case, layout: Layout, guard: int) -> Array:
        """Check the guards and the operands, and copy the results out of the shared memory."""
        del reply
        outputs = self.prototype.outputs
        gap = layout.changed_guard(self._memory, guard)
        if gap is not None:
            raise self._wrote_beside(gap, case, layout)
        changed = layout.changed_input(self._memory, case, self.prototype)
        if changed is not None:
            message = f"{self.name} overwrote its input {changed.name} on {case.place}"
            raise DeviceError(message, hint=self.hint, code="LB604")
        arrays = [self._memory[layout.places[output.name]].copy().view(container(output)) for output in outputs]
        return arrays[0].reshape(case.shape) if len(arrays) == 1 else joined(arrays)

    def _wrote_beside(self, gap: slice, case: Case, layout: Layout) -> DeviceError:
        """Say which results a kernel wrote beside."""
        outputs = self.prototype.outputs
        places = [layout.places[output.name] for output in outputs]
        before = gap.start < places[0].start
        nearest = 0 if before else max(index for index, place in enumerate(places) if place.stop <= gap.start)
        output, count = outputs[nearest], math.prod(case.shape_of(outputs[nearest].name))
        what = "results" if len(outputs) == 1 else f"results {output.name!r}"
        return DeviceError(
            f"{self.name} wrote {'before the start' if before else 'after the end'} of its {count} {what} on "
            f"{case.place}",
            hint=f"the results are {count} elements of {output.dtype}; is the element type wider, or the "
            f"tail of a vector loop not masked? {self.hint}",
            code="LB604",
        )

    def _is_fill(self, case: Case, results: Array, fill: int) -> NDArray[np.bool_]:
        """Which results still are the bytes that they were filled with."""
        if len(self.prototype.outputs) == 1:
            return _is_fill(results, fill)
        parts = self.prototype.split(results, case)
        narrow = [parts[output.name].reshape(-1).astype(container(output)) for output in self.prototype.outputs]
        return np.concatenate([_is_fill(part, fill) for part in narrow])

    def _cause_of_death(self, case: Case) -> str:
        """Halve the rows, each half in a fresh process, until one is left that kills the device by itself."""
        low, high = 0, case.outputs
        deadline = time.monotonic() + BISECT_SECONDS
        while high - low > 1 and time.monotonic() < deadline:
            middle = (low + high) // 2
            if self._dies(case.part(low, middle)):
                high = middle
            elif self._dies(case.part(middle, high)):
                low = middle
            else:
                break
        if high - low > 1:
            return f"{case.part(low, high).name} do it"
        operand = next(iter(case.arrays.values()))
        return f"input {int(operand[low]):#x} ({case.place_of((low,))}) alone does it"

    def _dies(self, case: Case) -> bool:
        try:
            self._once(case, *SURROUNDINGS[0])
        except WorkerDied:
            return True
        except DeviceError:
            return False
        return False


def joined(arrays: Sequence[Array]) -> Array:
    """Several results in a row, as integers that hold the codes of each."""
    return np.concatenate([array.reshape(-1).astype(np.int64) for array in arrays])


def _first(mask: NDArray[np.bool_]) -> tuple[int, ...]:
    return tuple(int(axis[0]) for axis in np.nonzero(mask))


def _bytes_written(first: Array, second: Array, fill: int, other_fill: int) -> int:
    """Bytes of a result that were written alike in both calls, where others were not written; 0 if all were."""
    one, two = (np.ascontiguousarray(answers).reshape(-1, 1).view(np.uint8) for answers in (first, second))
    untouched = (one == fill) & (two == other_fill)
    if not untouched.any() or (one != two)[~untouched].any():
        return 0
    return int(untouched.shape[1] - untouched.sum(axis=1).max())


def _is_fill(results: Array, fill: int) -> NDArray[np.bool_]:
    """Which results still are the bytes that they were filled with."""
    pattern = np.frombuffer(bytes([fill]) * results.dtype.itemsize, results.dtype)[0]
    return np.asarray(results == pattern)
