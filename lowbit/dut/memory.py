"""Where the arrays of one call lie in the memory that a worker shares: apart from each other, with guards between.

What stands in the guards, and in the results before the call, is known: a kernel that writes or reads there is found.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lowbit.dut.prototype import OUTPUT, Parameter, Prototype
from lowbit.vectors.case import Array, Case

GUARD_BYTES = 4096
WIDEST_RESULT = 8
"""Bytes: a Python function may return wider integers than it has to."""

Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class Layout:
    """The places of arrays."""

    places: Mapping[str, slice]  # the bytes of each array, by its name; each begins at a page
    guards: tuple[slice, ...]  # the bytes around them
    end: int  # behind the last guard

    def fill(self, memory: Bytes, case: Case, prototype: Prototype, fill: int, guard: int) -> None:
        """Write the operands, and known bytes everywhere else."""
        for gap in self.guards:
            memory[gap] = guard
        for parameter in prototype.arrays:
            place = self.places[parameter.name]
            memory[place] = fill if parameter.role == OUTPUT else as_bytes(case.arrays[parameter.name])

    def changed_input(self, memory: Bytes, case: Case, prototype: Prototype) -> Parameter | None:
        """An operand that is not what was written."""
        for parameter in prototype.inputs:
            if not np.array_equal(memory[self.places[parameter.name]], as_bytes(case.arrays[parameter.name])):
                return parameter
        return None

    def changed_guard(self, memory: Bytes, guard: int) -> slice | None:
        """A guard that is not what was written."""
        return next((gap for gap in self.guards if (memory[gap] != guard).any()), None)


def lay_out(prototype: Prototype, case: Case) -> Layout:
    """The places of the operands and results of a case."""
    places: dict[str, slice] = {}
    guards = [slice(0, GUARD_BYTES)]
    position = GUARD_BYTES
    for parameter in prototype.arrays:
        count = math.prod(case.shape_of(parameter.name))
        result = parameter.role == OUTPUT
        size = count * np.dtype(parameter.dtype).itemsize if result else case.arrays[parameter.name].nbytes
        end = position + size
        places[parameter.name] = slice(position, end)
        position = -(-end // GUARD_BYTES) * GUARD_BYTES + GUARD_BYTES
        guards.append(slice(end, position))
    return Layout(places, tuple(guards), position)


def needed_room(prototype: Prototype, case: Case) -> int:
    """Bytes that a call takes, whatever integers a Python function returns."""
    return lay_out(prototype, case).end + WIDEST_RESULT * case.outputs


def as_bytes(array: Array) -> Bytes:
    """A contiguous array as bytes."""
    return array.reshape(-1).view(np.uint8)
