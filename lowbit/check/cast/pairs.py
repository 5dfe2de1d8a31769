"""Two bugs of a conversion at once: what one of them makes of the inputs, the other starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Any

import numpy as np

from lowbit.check.cast.bug import CastBug
from lowbit.check.cast.conversion import Codes, Conversion, Mask, Values, View
from lowbit.format.registry import scalar_format
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy

LIKELY = 0.1
"""Of the answers that nothing explains, those that the second of two bugs gives by itself, at least."""
MOST_TRIED = 6
"""Second bugs, of which those that give the most answers are tried."""


@dataclass(frozen=True)
class PairBug(CastBug):
    """Two bugs."""

    parts: tuple[CastBug, ...] = ()


class _Bugged(Conversion):
    """A conversion that has a bug already."""

    def __init__(self, view: View, policy: Policy, bug: CastBug) -> None:
        super().__init__(view, policy)
        self._bug = bug

    def of_codes(self, codes: Codes, **changes: Any) -> Codes:
        view = View(codes.astype(self.view.codes.dtype, copy=False), self.view.source, self.view.target)
        return self._bug.run(Conversion(view, self.policy.choose(**changes)))

    def of_values(self, values: Values, target: Scalar | None = None, **changes: Any) -> Codes:
        if target is not None:
            return super().of_values(values, target, **changes)
        view = View(np.ascontiguousarray(values).view(np.uint64), scalar_format("float64"), self.view.target)
        return self._bug.run(Conversion(view, self.policy.choose(**changes)))


def likeliest(bugs: Sequence[CastBug], conversions: Sequence[Conversion], got: Codes) -> list[CastBug]:
    """The bug that gives the most answers by itself."""
    given = [max(np.count_nonzero(bug.run(conversion) == got) for conversion in conversions) for bug in bugs]
    return [bugs[int(np.argmax(given))]]


def likely_pairs(
    known: Sequence[CastBug], others: Sequence[CastBug], conversions: Sequence[Conversion], got: Codes
) -> Iterator[CastBug]:
    """Each bug on top of another one and below it, which gives by itself some of the answers that it leaves."""
    for bug in (bug for bug in known if not isinstance(bug, PairBug)):
        left = [(conversion, (bug.run(conversion) != got) & (conversion.right() != got)) for conversion in conversions]
        given = {
            other: max(np.count_nonzero((other.run(conversion) == got) & rows) for conversion, rows in left)
            for other in others
            if other != bug
        }
        for other in nlargest(MOST_TRIED, given, key=lambda other: given[other]):
            if given[other] > LIKELY * len(got):
                yield _pair(bug, other, bug)
                yield _pair(bug, other, other)


def _pair(known: CastBug, other: CastBug, first: CastBug) -> CastBug:
    second = other if first is known else known

    def touches(view: View) -> Mask:
        return np.asarray(known.touches(view) | other.touches(view))

    def compute(conversion: Conversion) -> Codes:
        return second.run(_Bugged(conversion.view, conversion.policy, first))

    return PairBug(
        f"{first.name}, {second.name}",
        f"{known.words}, and {other.words}",
        touches,
        compute,
        other.everywhere,
        (known, other),
    )
