"""What wrong answers have in common, where no rule explains them: facts that all cases prove."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lowbit.check.comparison import Comparison, Mask

MULTIPLES = (2, 4, 8, 16, 32, 64)
OFTEN = 0.25
"""A fact is worth a word if at least this share of the other cases is wrong."""
FEW = 20
"""One case in so many at least must prove a fact about small sizes, or about what follows whole groups."""
MOST = 0.5


class Fact(ABC):
    """A sentence about wrong answers that can be looked at again."""

    @abstractmethod
    def holds(self, comparison: Comparison) -> bool:
        """Whether the answers prove it."""


@dataclass(frozen=True)
class RightAtMultiples(Fact):
    """No case of which a size is such a multiple has a wrong answer."""

    axis: str
    multiple: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether all of them are right, and others are often wrong."""
        whole = np.array([case.sizes[self.axis] % self.multiple == 0 for case in comparison.cases])
        wrong = _wrong_cases(comparison)
        return bool(whole.any()) and not (wrong & whole).any() and _share(wrong, ~whole) > OFTEN


@dataclass(frozen=True)
class RightBelow(Fact):
    """No case of which a size is smaller has a wrong answer."""

    axis: str
    limit: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether there are enough of them, and others are often wrong."""
        below = np.array([case.sizes[self.axis] < self.limit for case in comparison.cases])
        wrong = _wrong_cases(comparison)
        enough = np.count_nonzero(below) > len(below) // FEW
        return bool(enough) and not (wrong & below).any() and _share(wrong, ~below) > OFTEN


@dataclass(frozen=True)
class RightAtZero(Fact):
    """No case in which a scalar is 0 has a wrong answer."""

    name: str

    def holds(self, comparison: Comparison) -> bool:
        """Whether there are such cases, and they are right."""
        zero = np.array([not case.scalars.get(self.name, 0) for case in comparison.cases])
        return bool(zero.any()) and not (_wrong_cases(comparison) & zero).any()


@dataclass(frozen=True)
class OnlyInTail(Fact):
    """Wrong are only results after the last whole group of some along an axis of the results."""

    axis: int
    name: str
    multiple: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so, and enough of the wrong cases have whole groups, which are right."""
        masks = [mask for mask in comparison.parts("wrong") if mask.any()]
        sizes = [mask.shape[self.axis] for mask in masks]
        firsts = [int(np.nonzero(mask)[self.axis].min()) for mask in masks]
        grouped = sum(size >= self.multiple for size in sizes)
        tails = (first >= size // self.multiple * self.multiple for first, size in zip(firsts, sizes, strict=True))
        return grouped > len(masks) // FEW and all(tails)


@dataclass(frozen=True)
class NeverFirst(Fact):
    """The first row of a call is never wrong, although other rows are."""

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so."""
        return not any(mask[0].any() for mask in comparison.parts("wrong"))


@dataclass(frozen=True)
class RightAtMaximumZero(Fact):
    """Rows of codes whose largest is 0 are right, and most others wrong."""

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so."""
        largest = np.concatenate([case.arrays["codes"].max(axis=1) for case in comparison.cases])
        wrong = np.concatenate([mask.any(axis=1) for mask in comparison.parts("wrong")])
        zero = largest == 0
        return bool(zero.any()) and not (zero & wrong).any() and _share(wrong, ~zero) > MOST


@dataclass(frozen=True)
class OffBy(Fact):
    """By how much wrong answers are too large at least and at most."""

    low: int
    high: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so."""
        return _distances(comparison) == (self.low, self.high)


def off_by(comparison: Comparison) -> OffBy:
    """The fact about the distances."""
    return OffBy(*_distances(comparison))


def size_facts(comparison: Comparison, sizes: Sequence[str], results: Sequence[str]) -> Iterator[Fact]:
    """What holds of sizes, of zero points, and of places along the axes of the results, by their names."""
    wrong = _wrong_cases(comparison)
    for axis in sizes:
        lowest = min(case.sizes[axis] for case, bad in zip(comparison.cases, wrong, strict=True) if bad)
        facts: list[Fact] = [RightAtMultiples(axis, multiple) for multiple in MULTIPLES]
        yield from _first([*facts, RightBelow(axis, lowest)], comparison)
    for name in comparison.cases[0].scalars:
        if name.endswith("zero_point"):
            yield from _first([RightAtZero(name)], comparison)
    for axis_number, name in enumerate(results):
        yield from _first([OnlyInTail(axis_number, name, multiple) for multiple in MULTIPLES], comparison)


def _first(facts: Sequence[Fact], comparison: Comparison) -> Iterator[Fact]:
    """The first that holds."""
    yield from [fact for fact in facts if fact.holds(comparison)][:1]


def _wrong_cases(comparison: Comparison) -> Mask:
    return np.array([bool(mask.any()) for mask in comparison.parts("wrong")])


def _share(wrong: Mask, kind: Mask) -> float:
    return int(np.count_nonzero(wrong & kind)) / max(int(np.count_nonzero(kind)), 1)


def _distances(comparison: Comparison) -> tuple[int, int]:
    rows = comparison.wrong & comparison.good
    distances = comparison.got[rows].astype(np.int64) - comparison.expected[rows]
    return int(distances.min()), int(distances.max())
