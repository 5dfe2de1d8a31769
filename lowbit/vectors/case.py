"""One call of a kernel: what it is given, and the shape of what it must return."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.vectors.flags.cast import FLAGS

Array = NDArray[Any]
Flags = NDArray[np.uint8]
Number = int | float


@dataclass(frozen=True, eq=False)
class Case:
    """One call of a kernel."""

    flag: int  # the number of the bug that the case is made to catch (``lowbit.vectors.flags``)
    arrays: Mapping[str, Array]  # operands by name, in the order of the kernel's parameters
    sizes: Mapping[str, int]  # the sizes that the kernel is told, in the order of its parameters
    shape: tuple[int, ...]  # of the result
    # Further parameters, in order: zero points, multiplier, scale.
    scalars: Mapping[str, Number] = field(default_factory=lambda: MappingProxyType({}))
    number: int = 0  # the place among the cases of one flag; the number of the first row where there are rows
    # The flag of each result, where each is a row with a number and a flag of its own: the inputs of a conversion.
    row_flags: Flags | None = None
    # Of a kernel with several results: the shape of each, by name; ``shape`` is then that of all of them in a row.
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def has_rows(self) -> bool:
        """Whether each result is a row."""
        return self.row_flags is not None

    @property
    def flags(self) -> Flags:
        """The flag of each result."""
        flags = np.asarray(self.flag, np.uint8) if self.row_flags is None else self.row_flags
        return np.broadcast_to(flags, self.shape)

    @property
    def name(self) -> str:
        """``KTail.16``, or ``rows 0 to 16``."""
        if self.has_rows:
            return f"rows {self.number} to {self.number + self.outputs - 1}"
        return f"{FLAGS[self.flag].name}.{self.number}"

    @property
    def place(self) -> str:
        """The case as errors and reports name it: ``case KTail.16 (m=3 n=17 k=17)``, or ``rows 0 to 16``."""
        return self.name if self.has_rows else f"case {self.name} ({self.words()})"

    def place_of(self, index: tuple[int, ...]) -> str:
        """One result as errors name it: ``row 999``, or ``(2, 5)``."""
        if self.shapes:
            name, inside = self.result_at(index[0])
            return f"{name} {inside}"
        return f"row {self.number + index[0]}" if self.has_rows else str(index)

    def result_at(self, place: int) -> tuple[str, tuple[int, ...]]:
        """Of several results in a row: which one a place is in, and where in it."""
        for name, shape in self.shapes.items():
            count = math.prod(shape)
            if place < count:
                return name, tuple(int(index) for index in np.unravel_index(place, shape))
            place -= count
        raise IndexError(place)

    @property
    def outputs(self) -> int:
        """How many results there are."""
        return int(np.prod(self.shape, dtype=np.int64))

    def shape_of(self, name: str) -> tuple[int, ...]:
        """The shape of a result, which has a name where there are several."""
        return self.shapes.get(name, self.shape)

    @property
    def divisible(self) -> bool:
        """Whether each element stands alone, so that some of them are a case, too."""
        return tuple(self.sizes) == ("n",)

    def part(self, start: int, stop: int) -> Case:
        """The case of some elements, where it is divisible."""
        return self._of(slice(start, stop), self.number + start if self.has_rows else self.number)

    def where(self, mask: NDArray[np.bool_]) -> Case:
        """The case of the elements of a mask, where it is divisible; they are numbered from 0."""
        return self._of(mask, 0)

    def _of(self, which: slice | NDArray[np.bool_], number: int) -> Case:
        arrays = {name: array[which] for name, array in self.arrays.items()}
        flags = None if self.row_flags is None else self.row_flags[which]
        count = len(next(iter(arrays.values())))
        return replace(self, arrays=arrays, sizes={"n": count}, shape=(count,), number=number, row_flags=flags)

    def parts(self, rows: int) -> Iterator[Case]:
        """The case in parts of at most ``rows`` elements; whole where it is not divisible."""
        if not self.divisible or self.outputs <= rows:
            yield self
            return
        for start in range(0, self.outputs, rows):
            yield self.part(start, start + rows)

    def words(self) -> str:
        """``m=3 n=2 k=64 a_zero_point=-5``."""
        return " ".join(f"{name}={value}" for name, value in {**self.sizes, **self.scalars}.items())


def rows_case(codes: Array, flags: Flags | int, first: int = 0) -> Case:
    """Codes that are converted one by one, each a row; ``flags`` are one each, or one for all."""
    flag = flags if isinstance(flags, int) else int(flags[0]) if len(flags) else 0
    every = np.broadcast_to(np.asarray(flags, np.uint8), codes.shape)
    arrays = {"codes": np.ascontiguousarray(codes)}
    return Case(flag, arrays, {"n": codes.size}, codes.shape, number=first, row_flags=every)


def numbered(cases: Iterable[Case]) -> list[Case]:
    """The cases with their place among those of one flag."""
    counts: dict[int, int] = {}
    result = []
    for case in cases:
        number = counts.get(case.flag, 0)
        counts[case.flag] = number + 1
        result.append(replace(case, number=number))
    return result
