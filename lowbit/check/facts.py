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
DOUBT = 1e-3
"""What the right cases of a kind may be by chance at most, if they were wrong as often as others made for the same."""
FEW_CODES = 3
PASSED = 3
"""So many wrong cases at least must have a whole group before what is wrong."""


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
        """Whether all of them are right, others are often wrong, and some of these are larger than the multiple."""
        sizes = np.array([case.sizes[self.axis] for case in comparison.cases])
        passed = np.count_nonzero(_wrong_cases(comparison) & (sizes > self.multiple))
        return bool(passed >= PASSED) and _are_right(sizes % self.multiple == 0, comparison)


@dataclass(frozen=True)
class RightBelow(Fact):
    """No case of which a size is smaller has a wrong answer."""

    axis: str
    limit: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether there are enough of them, and others are often wrong."""
        below = np.array([case.sizes[self.axis] < self.limit for case in comparison.cases])
        return bool(np.count_nonzero(below) > len(below) // FEW) and _are_right(below, comparison)


@dataclass(frozen=True)
class RightAtZero(Fact):
    """No case in which a scalar is 0 has a wrong answer."""

    name: str

    def holds(self, comparison: Comparison) -> bool:
        """Whether there are such cases, and they are right."""
        zero = np.array([not case.scalars.get(self.name, 0) for case in comparison.cases])
        return not zero.all() and _are_right(zero, comparison, alike=False)


@dataclass(frozen=True)
class OnlyInTail(Fact):
    """Wrong are only results after the last whole group of some along an axis of the results."""

    axis: int
    name: str
    multiple: int

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so, and could not be so by chance: enough wrong cases have whole groups, which are right."""
        chance, grouped = 1.0, 0
        for mask in comparison.parts("wrong"):
            lines = np.unique(np.nonzero(mask)[self.axis])
            if not len(lines):
                continue
            size = mask.shape[self.axis]
            whole = size // self.multiple * self.multiple
            if lines[0] < whole:
                return False
            grouped += whole > 0
            chance *= ((size - whole) / size) ** len(lines)
        return grouped >= PASSED and chance < DOUBT


@dataclass(frozen=True)
class NeverFirst(Fact):
    """The first row of a call is never wrong, although other rows are."""

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so, and not by chance."""
        chance = 1.0
        for mask in comparison.parts("wrong"):
            if mask[0].any():
                return False
            rows = np.unique(np.nonzero(mask)[0])
            chance *= (1 - 1 / len(mask)) ** len(rows)
        return chance < DOUBT


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
class OnlyAtCodes(Fact):
    """Wrong are the results of a few codes, and all of these."""

    codes: tuple[int, ...]

    def holds(self, comparison: Comparison) -> bool:
        """Whether that is so."""
        return bool(np.array_equal(np.isin(comparison.operand("codes"), self.codes), comparison.wrong))


def only_at_codes(comparison: Comparison) -> list[Fact]:
    """The fact about few codes, if it is one."""
    codes = np.unique(comparison.operand("codes")[comparison.wrong])
    fact = OnlyAtCodes(tuple(int(code) for code in codes[:FEW_CODES]))
    return [fact] if len(codes) <= FEW_CODES and fact.holds(comparison) else []


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


def _are_right(kind: Mask, comparison: Comparison, *, alike: bool = True) -> bool:
    """Whether cases of a kind are right, and not by chance: others, made for the same as the wrong ones, often are not.

    ``alike`` is False where cases of the kind are made for other things by their nature.
    """
    wrong = _wrong_cases(comparison)
    if (wrong & kind).any():
        return False
    flags = np.array([case.flag for case in comparison.cases])
    same = np.isin(flags, flags[wrong]) if alike else np.ones(len(wrong), bool)
    share = _share(wrong, ~kind & same)
    return share > OFTEN and (1 - share) ** int(np.count_nonzero(kind & same)) < DOUBT


def _share(wrong: Mask, kind: Mask) -> float:
    return int(np.count_nonzero(wrong & kind)) / max(int(np.count_nonzero(kind)), 1)


def _distances(comparison: Comparison) -> tuple[int, int]:
    rows = comparison.wrong & comparison.good
    distances = comparison.got[rows].astype(np.int64) - comparison.expected[rows]
    return int(distances.min()), int(distances.max())
