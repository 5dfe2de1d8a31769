"""What is said of a device: each claim knows the answers that it speaks of, and foretells them.

Sentences are made of claims in ``lowbit.check.report``. A claim is true if the device gave what it foretells; no claim
but that of a rule speaks of a right answer, and what no claim of a rule covers is left to another claim, so that their
counts are those of the whole.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.check.comparison import Comparison, Mask, Rows
from lowbit.check.facts import Fact
from lowbit.check.operation import UNDEFINED, Rule
from lowbit.check.stray import without_stray_bits
from lowbit.vectors.case import Array


@dataclass(frozen=True, eq=False)
class Claim(ABC):
    """One thing that is said of some answers.

    Attributes
    ----------
    rows : int array
        The answers, in order.
    """

    rows: Rows

    @abstractmethod
    def replay(self, comparison: Comparison) -> list[Array]:
        """What each reading of the claim foretells for its answers; nothing where it only counts them."""


@dataclass(frozen=True, eq=False)
class Follows(Claim):
    """The device follows a rule, perhaps with a bug.

    Attributes
    ----------
    rules : sequence of Rule
        Those that the answers cannot tell apart, the closest to the one asked for first; all have the bug, or one of
        the bugs that cannot be told apart.
    where : tuple of str
        The kinds of inputs that the claim speaks of; none where it is not about some kinds only.
    choices : mapping
        Axis -> the values that agree with the answers, of which the inputs cannot tell one from another.
    asked : mapping
        Axis -> the value asked for.
    """

    rules: Sequence[Rule]
    where: tuple[str, ...] = ()
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    asked: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def bugs(self) -> list[Any]:
        """The bugs that the rules have, each once."""
        return list(dict.fromkeys(rule.bug for rule in self.rules if rule.bug))

    def replay(self, comparison: Comparison) -> list[Array]:
        """The answers of each of the rules."""
        return [comparison.by_rule(rule, self.rows) for rule in self.rules]


@dataclass(frozen=True, eq=False)
class Becomes(Claim):
    """All answers to some kind of input are one and the same number, which no rule asks for.

    Attributes
    ----------
    name : str
        The kind.
    total : int
        How many inputs of this kind there are.
    codes : array
        The number for each answer: it may have the input's sign.
    """

    name: str
    total: int
    codes: Array

    def replay(self, comparison: Comparison) -> list[Array]:
        """The number."""
        del comparison
        return [self.codes]


@dataclass(frozen=True, eq=False)
class Unexplained(Claim):
    """Wrong answers that follow no known rule.

    Attributes
    ----------
    name : str
        The kind of inputs, "" for all.
    total : int
        How many answers of this kind there are.
    facts : tuple of Fact
        What they have in common.
    """

    name: str
    total: int
    facts: tuple[Fact, ...] = ()

    def replay(self, comparison: Comparison) -> list[Array]:
        """Nothing."""
        del comparison
        return []


@dataclass(frozen=True, eq=False)
class Closest(Claim):
    """A rule that gives most answers, for which no better explanation is known.

    Attributes
    ----------
    rule : Rule
    left : int array
        The answers that differ from it.
    first : int or None
        The operand of the first of them.
    """

    rule: Rule
    left: Rows
    first: int | None

    def replay(self, comparison: Comparison) -> list[Array]:
        """The answers of the rule."""
        return [comparison.by_rule(self.rule, self.rows)]


@dataclass(frozen=True, eq=False)
class Right(Claim):
    """Answers that are as asked for, and are no answers of the rule that the device is said to follow.

    Attributes
    ----------
    against : bool
        Whether that rule has others for them, or none, so that they are worth a word.
    """

    against: bool = True

    def replay(self, comparison: Comparison) -> list[Array]:
        """What was asked for."""
        return [comparison.expected[self.rows]]


@dataclass(frozen=True, eq=False)
class Neighbour(Claim):
    """Every answer is one of the two neighbours of its input, as stochastic rounding gives.

    Attributes
    ----------
    neighbours : pair of arrays
        The codes below and above each input.
    """

    neighbours: tuple[Array, Array]

    def replay(self, comparison: Comparison) -> list[Array]:
        """The neighbour that was given."""
        below, above = self.neighbours
        return [np.where(comparison.got[self.rows] == above, above, below)]


@dataclass(frozen=True, eq=False)
class Stray(Claim):
    """Answers that are not codes of the result's format.

    Attributes
    ----------
    right : int array
        Those whose low bits are right.
    """

    right: Rows

    def replay(self, comparison: Comparison) -> list[Array]:
        """Nothing but the low bits of some (``low_bits``)."""
        del comparison
        return []

    def low_bits(self, comparison: Comparison) -> Array:
        """The low bits of the answers that have them right."""
        return without_stray_bits(comparison.got[self.right], comparison.operation.prototype.result)


@dataclass(frozen=True, eq=False)
class Unseen(Claim):
    """Answers in calls so large that no bug was looked for in them.

    Attributes
    ----------
    largest_case : int
        Answers of the largest call that was looked at.
    """

    largest_case: int

    def replay(self, comparison: Comparison) -> list[Array]:
        """Nothing."""
        del comparison
        return []


@dataclass(frozen=True, eq=False)
class NotWritten(Claim):
    """Results that are missing."""

    def replay(self, comparison: Comparison) -> list[Array]:
        """Nothing."""
        del comparison
        return []


def covered_by(rules: Sequence[Rule], comparison: Comparison, rows: Rows) -> Mask:
    """Which of some answers each of the rules gives."""
    got = comparison.got[rows]
    covered = np.ones(len(rows), bool)
    for rule in rules:
        results = comparison.by_rule(rule, rows)
        covered &= ~comparison.operation.differing(results, got) & (results != UNDEFINED)
    return covered


def beside_results(comparison: Comparison) -> list[Claim]:
    """The claims about answers that are not there, or cannot be results."""
    claims: list[Claim] = []
    stray = np.flatnonzero(comparison.stray)
    if len(stray):
        low = without_stray_bits(comparison.got[stray], comparison.operation.prototype.result)
        claims.append(Stray(stray, stray[low == comparison.expected[stray]]))
    unwritten = np.flatnonzero(comparison.unwritten)
    if len(unwritten):
        claims.append(NotWritten(unwritten))
    return claims


def explained(
    rules: Sequence[Rule],
    comparison: Comparison,
    choices: Callable[[Sequence[Any]], Mapping[str, tuple[Any, ...]]],
    asked: Callable[[str], Any],
    largest_case: int | None = None,
) -> list[Claim]:
    """The claims that rules explain the answers, and what is left of these.

    Parameters
    ----------
    rules : sequence of Rule
        Each gives all answers for which it has one; only those that have most are named.
    comparison : Comparison
    choices : callable
        Named rules -> axis -> their values.
    asked : callable
        Axis -> the value asked for.
    largest_case : int, optional
        Cases of more answers are not looked at.
    """
    good = np.flatnonzero(comparison.good)
    seen = np.ones(len(good), bool)
    if largest_case is not None:
        sizes = np.array([case.outputs for case in comparison.cases])
        seen = sizes[comparison.case_numbers(good)] <= largest_case
    good, unseen = good[seen], good[~seen]
    covered = [covered_by([rule], comparison, good) for rule in rules]
    most = max((int(np.count_nonzero(mask)) for mask in covered), default=0)
    if not most:
        return []
    mask = next(mask for mask in covered if np.count_nonzero(mask) == most)
    named = [rule for rule, own in zip(rules, covered, strict=True) if np.array_equal(own, mask)]
    values = choices(named)
    claims: list[Claim] = [Follows(good[mask], named, choices=values, asked={axis: asked(axis) for axis in values})]
    left = good[~mask]
    wrong = comparison.wrong[left]
    claims += [Right(left[~wrong])] if not wrong.all() else []
    claims += [Unexplained(left[wrong], "", len(comparison))] if wrong.any() else []
    return [*claims, Unseen(unseen, largest_case)] if largest_case is not None and len(unseen) else claims
