"""The outcome of one comparison, ready to be reported: counts, verdict, claims, groups of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lowbit.check.claims import Claim, Follows, NotWritten, Unseen
from lowbit.check.operation import Operation
from lowbit.vectors.case import Case

PASS, KNOWN, MISMATCH = "pass", "known", "MISMATCH"


@dataclass(frozen=True, eq=False)
class Example:
    """One result that differs.

    Attributes
    ----------
    case : Case
    index : tuple of int
        Where it is in the results of the case.
    expected : int
    got : int or None
        None where nothing was written.
    detail : object
        What the operation has to say of it.
    """

    case: Case
    index: tuple[int, ...]
    expected: int
    got: int | None
    detail: Any


@dataclass(frozen=True, eq=False)
class GroupResult:
    """Results that differ for one reason: a flag of the vectors, or a kind of input.

    Attributes
    ----------
    name, catches : str
        The flag, and the bug that such rows are made to catch; "" for a kind without a flag.
    differences, total : int
        How many differ, of how many.
    examples : sequence of Example
    """

    name: str
    catches: str
    differences: int
    total: int
    examples: Sequence[Example]


@dataclass(frozen=True, eq=False)
class CheckResult:
    """One kernel, compared.

    Attributes
    ----------
    kernel, version, option : str
        What was compared; a version only where it is an installed library.
    operation : Operation
        What it was compared with.
    vectors, differences : int
    verdict : str
        ``pass``, ``known`` (all differences are published) or ``MISMATCH``.
    known : sequence of str
        Ids of the published differences that were met.
    claims : sequence of Claim
        What the kernel does instead; none where nothing differs or all is known.
    groups : sequence of GroupResult
    command : str
        Shows the first difference.
    """

    kernel: str
    version: str
    option: str
    operation: Operation
    vectors: int
    differences: int
    verdict: str
    known: Sequence[str] = ()
    claims: Sequence[Claim] = ()
    groups: Sequence[GroupResult] = ()
    command: str = ""

    @property
    def complete(self) -> bool:
        """Whether rules, perhaps with bugs, explain every answer."""
        return bool(self.claims) and all(isinstance(claim, Follows) for claim in self.claims)

    @property
    def exact(self) -> bool:
        """Whether rules, perhaps with bugs, explain every answer that was looked at."""
        return bool(self.claims) and all(isinstance(claim, Follows | Unseen) for claim in self.claims)

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
        unsaid = not self.version and not self.exact
        return unsaid and (self.differences - self.unwritten) * 2 > self.vectors
