"""What is said of a conversion's answers, from an identification of some of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lowbit.check.cast.between import between_magnitudes, is_one_number
from lowbit.check.cast.identify import Identification
from lowbit.check.cast.input_classes import decode_inputs
from lowbit.check.cast.result_bugs import ResultBug
from lowbit.check.cast.rules import CastRule, reference
from lowbit.check.claims import (
    AtPlaces,
    Becomes,
    Claim,
    Follows,
    Neighbour,
    Places,
    Right,
    Unexplained,
    covered_by,
    explains,
)
from lowbit.check.comparison import Comparison, Mask, Rows
from lowbit.exact import FINITE
from lowbit.policy.cast import Policy

if TYPE_CHECKING:
    from lowbit.check.cast.operation import CastOperation


def followed(claims: Sequence[Claim]) -> int:
    """How many answers rules explain, or what becomes of all inputs of a kind."""
    return sum(len(claim.rows) for claim in claims if explains(claim) and not isinstance(claim, Right))


class CastClaims:
    """What is said of the answers, from an identification of those that are codes.

    ``rows``: the inputs of the identification. ``after``: bugs that are undone in it, which the answers cannot tell
    apart. ``apart``: places that it leaves out, because they all have the same answer.
    """

    def __init__(
        self,
        operation: CastOperation,
        comparison: Comparison,
        rows: Rows,
        found: Identification,
        *,
        after: Sequence[ResultBug] = (),
        apart: Places | None = None,
    ) -> None:
        self.operation, self.comparison, self.rows, self.found = operation, comparison, rows, found
        self.after, self.apart = tuple(after), apart
        self.formats = found.source, found.target
        self.policies = found.nearest(operation.policy)

    def __iter__(self) -> Iterator[Claim]:
        """First the rules, then what they leave."""
        covered = np.zeros(len(self.comparison), bool)
        if self.apart is not None:
            places = self.apart.rows(len(covered))
            places = places[self.comparison.good[places]]
            covered[places] = True
            yield AtPlaces(places, self.apart, int(self.comparison.got[places[0]]))
        for claim in self._rules(covered):
            covered[claim.rows] = True
            yield claim
        left = self.comparison.good & ~covered
        wrong = left & self.comparison.wrong
        against = np.zeros(len(left), bool)
        for item in self.found.classes:
            against[self._places(item.left)] = len(item.rows) > 0
        for right, contrary in ((left & ~wrong & against, True), (left & ~wrong & ~against, False)):
            if right.any():
                yield Right(np.flatnonzero(right), contrary)
        claims = list(self._left(wrong))
        yield from claims
        dark = self._in_the_dark() and not all(map(explains, claims))
        neighbour = self._neighbours() if dark else None
        if neighbour is not None:
            yield neighbour

    def _places(self, items: Rows) -> Rows:
        """The places of the answers that some inputs of the identification are responsible for."""
        rows = self.rows[items]
        return self.after[0].places(rows) if self.after else rows

    def _left(self, wrong: Mask) -> Iterator[Claim]:
        """The wrong answers that no rule explains, by the kind of their inputs where these are known."""
        total = len(self.comparison)
        between = between_magnitudes(self.comparison, wrong)
        if between is not None:
            yield between
            return
        for name in dict.fromkeys(item.group.name for item in self.found.classes):
            items = [item.group.rows for item in self.found.classes if item.group.name == name]
            rows = np.sort(self._places(np.concatenate(items)))
            if wrong[rows].any():
                yield self._left_of(name, rows, rows[wrong[rows]])
                wrong[rows] = False
        if wrong.any():
            yield Unexplained(np.flatnonzero(wrong), "", total)

    def _in_the_dark(self) -> bool:
        """Whether there are numbers of which nothing is known."""
        return any(not len(item.rows) and "rounding" in item.group.axes for item in self.found.classes)

    def _rules(self, covered: Mask) -> Iterator[Follows]:
        """Those of each set of bugs; those without any, or the first, also speak of what was not looked at."""
        unseen = np.flatnonzero(self.comparison.good & ~covered)
        unseen = np.setdiff1d(unseen, self._places(np.arange(len(self.rows))))
        for bugs in dict.fromkeys(item.bugs for item in sorted(self.found.classes, key=lambda item: bool(item.bugs))):
            classes = [item for item in self.found.classes if item.bugs == bugs and len(item.rows)]
            if not classes:
                continue
            rules = [
                CastRule(*self.formats, policy, bug, after)
                for policy in self.policies
                for bug in (bugs or (None,))
                for after in (self.after or (None,))
            ]
            rows = np.union1d(self._places(np.sort(np.concatenate([item.rows for item in classes]))), unseen)
            where = tuple(item.group.name for item in classes) if bugs else ()
            covered_rows = rows[covered_by(rules, self.comparison, rows)]
            if len(covered_rows):
                yield Follows(
                    covered_rows, rules, where, **self._choices(), other_types=self.formats != self.operation.formats
                )
                unseen = np.setdiff1d(unseen, covered_rows)

    def _choices(self) -> dict[str, Mapping[str, Any]]:
        """What is left on each axis; a second rounding or a defect of some product only where it is needed."""
        values = self.found.values()
        idle = [axis for axis in ("via", "defects") if any(value in ("", ()) for value in values.get(axis, ()))]
        choices = {axis: left for axis, left in values.items() if axis not in idle}
        return {"choices": choices, "asked": {axis: getattr(self.operation.policy, axis) for axis in choices}}

    def _left_of(self, name: str, kind: Rows, rows: Rows) -> Claim:
        """Wrong answers to the inputs of a kind, which may be one and the same number."""
        source, target = self.operation.formats
        got = self.comparison.got[rows]
        negative = decode_inputs(self.comparison.operand("codes")[kind], source).negative
        if not is_one_number(got, negative[np.isin(kind, rows)], target):
            return Unexplained(rows, name, len(kind))
        for sign, own in ((0, kind), (-1, kind[negative]), (1, kind[~negative])):
            if np.array_equal(own, rows):
                return Becomes(rows, name, len(own), got, sign)
        return Becomes(rows, name, len(kind), got)

    def _neighbours(self) -> Neighbour | None:
        """Whether every answer in range is one of the two neighbours of its input."""
        source, target = self.formats
        codes = self.comparison.operand("codes")

        def under(rounding: str, overflow: str) -> NDArray[Any]:
            return reference(codes, source, target, Policy(rounding=rounding, overflow=overflow))

        below, above = under("toward_zero", "saturate"), under("away_from_zero", "saturate")
        within = (decode_inputs(codes, source).kind == FINITE) & (above == under("away_from_zero", "infinity"))
        rows = np.flatnonzero(within)
        got = self.comparison.got[rows]
        if (
            not len(rows)
            or not self.comparison.good[rows].all()
            or not ((got == below[rows]) | (got == above[rows])).all()
        ):
            return None
        return Neighbour(rows, (below[rows], above[rows]))
