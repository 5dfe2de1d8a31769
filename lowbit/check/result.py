"""The outcome of one comparison, ready to be reported: counts, verdict, claims, groups of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lowbit.check.claims import Claim, Follows, NotWritten, Unseen, explains
from lowbit.check.operation import Operation
from lowbit.vectors.case import Case

PASS, KNOWN, MISMATCH = "pass", "known", "MISMATCH"


@dataclass(frozen=True, eq=False)
class Example:
    """One result that differs."""

    case: Case
    index: tuple[int, ...]  # where it is in the results of the case
    expected: int
    got: int | None  # None where nothing was written
    detail: Any  # what the operation has to say of it


@dataclass(frozen=True, eq=False)
class GroupResult:
    """Results that differ for one reason: a flag of the vectors, or a kind of input."""

    # name, catches: the flag, and the bug that such rows are made to catch; "" for a kind without a flag
    name: str
    catches: str
    # differences, total: how many differ, of how many
    differences: int
    total: int
    examples: Sequence[Example]
    unexplained: int = 0


@dataclass(frozen=True, eq=False)
class CheckResult:
    """One kernel, compared."""

    # kernel, version, option: what was compared; a version only where it is an installed library
    kernel: str
    version: str
    option: str
    operation: Operation  # what it was compared with
    vectors: int
    differences: int
    verdict: str  # ``pass``, ``known`` (all differences are published) or ``MISMATCH``
    known: Sequence[str] = ()  # ids of the published differences that were met
    claims: Sequence[Claim] = ()  # what the kernel does instead; none where nothing differs or all is known
    groups: Sequence[GroupResult] = ()
    command: str = ""  # shows the first difference

    @property
    def complete(self) -> bool:
        """Whether rules, perhaps with bugs, and what becomes of all inputs of a kind, explain every answer."""
        return bool(self.claims) and all(explains(claim) for claim in self.claims)

    @property
    def exact(self) -> bool:
        """Whether they explain every answer that was looked at."""
        return bool(self.claims) and all(explains(claim) or isinstance(claim, Unseen) for claim in self.claims)

    @property
    def choices(self) -> Mapping[str, tuple[Any, ...]]:
        """Axis -> the values that agree with what a rule explains."""
        return next((claim.choices for claim in self.claims if isinstance(claim, Follows)), {})

    @property
    def asked(self) -> Mapping[str, Any]:
        """Axis -> the value asked for."""
        return next((claim.asked for claim in self.claims if isinstance(claim, Follows)), {})

    @property
    def unwritten(self) -> int:
        """How many results are missing."""
        return sum(len(claim.rows) for claim in self.claims if isinstance(claim, NotWritten))

    @property
    def mostly_wrong(self) -> bool:
        """Whether so much differs without a reason that the types may be wrong."""
        other_types = any(isinstance(claim, Follows) and claim.other_types for claim in self.claims)
        unsaid = not self.version and (other_types or not self.exact)
        return unsaid and (self.differences - self.unwritten) * 2 > self.vectors
