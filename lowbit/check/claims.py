"""What is said of a device: each claim knows the answers that it speaks of.

Sentences are made of claims in ``lowbit.check.report``. A claim foretells its answers, and is true if the device gave
them (``tests/check/answers.py`` asks that of each); no claim but that of a rule speaks of a right answer, and what no
claim of a rule covers is left to another claim, so that their counts are those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

from lowbit.check.comparison import Comparison, Mask, Rows
from lowbit.check.facts import Fact
from lowbit.check.operation import UNDEFINED, Rule
from lowbit.check.stray import low_bits
from lowbit.vectors.case import Array


@dataclass(frozen=True, eq=False)
class Claim:
    """One thing that is said of some answers."""

    rows: Rows  # the answers, in order


@dataclass(frozen=True, eq=False)
class Follows(Claim):
    """The device follows a rule, perhaps with a bug."""

    # Those that the answers cannot tell apart, the closest to the one asked for first; all have the bug, or one of the
    # bugs that cannot be told apart.
    rules: Sequence[Rule]
    # The kinds of inputs that the claim speaks of; none where it is not about some kinds only.
    where: tuple[str, ...] = ()
    # Axis -> the values that agree with the answers, of which the inputs cannot tell one from another.
    choices: Mapping[str, tuple[Any, ...]] = field(default_factory=lambda: MappingProxyType({}))
    asked: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))  # axis -> the value asked for
    other_types: bool = False

    @property
    def bugs(self) -> list[Any]:
        """The bugs that the rules have, each once."""
        return list(dict.fromkeys(rule.bug for rule in self.rules if rule.bug))


@dataclass(frozen=True, eq=False)
class Becomes(Claim):
    """All answers to some kind of input are one and the same number, which no rule asks for."""

    name: str  # the kind
    total: int  # how many inputs of this kind there are
    codes: Array  # the number for each answer: it may have the input's sign
    sign: int = 0  # -1 or 1 where it is only inputs of this sign that are meant; then ``total`` counts those
    between: tuple[float, float] | None = None  # the magnitudes of the inputs that are meant, where that is their kind

    @property
    def whole(self) -> bool:
        """Whether it is all inputs of a kind, so that nothing is left to be explained."""
        return bool(self.name or self.between) and len(self.rows) == self.total


@dataclass(frozen=True)
class Places:
    """Some places of a call: from the first on, those of a period whose numbers in it are given."""

    period: int = 1
    offsets: tuple[int, ...] = (0,)
    first: int = 0

    def rows(self, count: int) -> Rows:
        """Those of a call of so many results."""
        places = np.arange(self.first, count)
        return places[np.isin(places % self.period, self.offsets)]


@dataclass(frozen=True, eq=False)
class AtPlaces(Claim):
    """All answers at some places of a call are one and the same code, whatever the inputs."""

    places: Places
    code: int


@dataclass(frozen=True, eq=False)
class Unexplained(Claim):
    """Wrong answers that follow no known rule."""

    name: str  # the kind of inputs, "" for all
    total: int  # how many answers of this kind there are
    facts: tuple[Fact, ...] = ()  # what they have in common


@dataclass(frozen=True, eq=False)
class Closest(Claim):
    """A rule that gives most answers, for which no better explanation is known."""

    rule: Rule
    left: Rows  # the answers that differ from it
    first: int | None  # the operand of the first of them


@dataclass(frozen=True, eq=False)
class Right(Claim):
    """Answers that are as asked for, and are not answers of the rule that the device is said to follow."""

    against: bool = True  # whether that rule has others for them, or none, so that they are worth a word


@dataclass(frozen=True, eq=False)
class Neighbour(Claim):
    """Every answer is one of the two neighbours of its input, as stochastic rounding gives."""

    neighbours: tuple[Array, Array]  # the codes below and above each input


@dataclass(frozen=True, eq=False)
class Stray(Claim):
    """Answers that are not codes of the result's format."""

    right: Rows  # those whose low bits are right


@dataclass(frozen=True, eq=False)
class Unseen(Claim):
    """Answers in calls so large that no bug was looked for in them."""

    largest_case: int  # answers of the largest call that was looked at


@dataclass(frozen=True, eq=False)
class NotWritten(Claim):
    """Results that are missing."""


def explains(claim: Claim) -> bool:
    """Whether a claim foretells its answers, and leaves none of their kind."""
    if isinstance(claim, Right):
        return not claim.against
    return isinstance(claim, Follows | AtPlaces) or (isinstance(claim, Becomes) and claim.whole)


def covered_by(rules: Sequence[Rule], comparison: Comparison, rows: Rows) -> Mask:
    """Which of some answers each of the rules gives."""
    got = comparison.got[rows]
    covered = np.ones(len(rows), bool)
    for rule in rules:
        results = comparison.by_rule(rule, rows)
        covered &= ~comparison.operation.differing(results, got) & (results != UNDEFINED)
    return covered


def beside_results(comparison: Comparison, others: Sequence[Claim] = ()) -> list[Claim]:
    """The claims about answers that are not there, or cannot be results and are not explained by others."""
    claims: list[Claim] = []
    spoken = np.zeros(len(comparison), bool)
    for claim in others:
        spoken[claim.rows] |= explains(claim)
    stray = np.flatnonzero(comparison.stray & ~spoken)
    if len(stray):
        low = low_bits(comparison.got[stray], comparison.operation.prototype, comparison.output_numbers[stray])
        claims.append(Stray(stray, stray[low == comparison.expected[stray]]))
    unwritten = np.flatnonzero(comparison.unwritten)
    if len(unwritten):
        claims.append(NotWritten(unwritten))
    return claims


def constant(comparison: Comparison) -> list[Claim]:
    """That all answers are one and the same number, whatever the inputs; none if they are not, or some are missing."""
    rows, got = np.flatnonzero(comparison.good), comparison.got
    if 1 < len(rows) == len(comparison) and (got == got[0]).all():
        return [Becomes(rows, "", len(comparison), got)]
    return []


def explained(
    rules: Sequence[Rule],
    comparison: Comparison,
    choices: Callable[[Sequence[Any]], Mapping[str, tuple[Any, ...]]],
    asked: Callable[[str], Any],
    largest_case: int | None = None,
) -> list[Claim]:
    """The claims that rules explain the answers, and what is left of these.

    ``rules``: each gives all answers for which it has one; only those that have most are named. ``choices``: named
    rules -> axis -> their values. ``asked``: axis -> the value asked for. ``largest_case``: cases of more answers are
    not looked at.
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
