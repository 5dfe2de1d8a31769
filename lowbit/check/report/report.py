"""All results of one run, and the table of many."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lowbit.check.installed import Skipped
from lowbit.check.known import KnownDifference, find_entry
from lowbit.check.report.sentence import sentence
from lowbit.check.result import KNOWN, MISMATCH, PASS, CheckResult
from lowbit.printable import printable

MANY = 4
"""So many sources are counted rather than listed in a row of the table."""


@dataclass(frozen=True)
class Report:
    """All results of one run."""

    results: list[CheckResult]
    skipped: list[Skipped] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)  # the command line, for whoever wants to run it again

    @property
    def vectors(self) -> int:
        return sum(result.vectors for result in self.results)

    @property
    def mismatches(self) -> list[CheckResult]:
        return [result for result in self.results if result.verdict == MISMATCH]

    @property
    def verdict(self) -> str:
        """``pass``, ``known``, ``MISMATCH`` or ``nothing compared``."""
        if not self.vectors:
            return "nothing compared"
        if self.mismatches:
            return MISMATCH
        return KNOWN if any(result.verdict == KNOWN for result in self.results) else PASS

    def summary(self) -> str:
        """The verdict in one line, with the command that shows the first difference."""
        if not self.vectors:
            return "nothing compared"
        if self.mismatches:
            wrong = sum(result.differences for result in self.mismatches)
            whole = f"{wrong:,} of {self.vectors:,} vectors differ"
            where = f" in {len(self.mismatches)} of {len(self.results)} conversions" if len(self.results) > 1 else ""
            return f"{MISMATCH}: {whole}{where}; the first one: {self.mismatches[0].command}"
        differences = sum(result.differences for result in self.results)
        tail = f", {differences:,} published differences" if differences else ""
        conversions = f" in {len(self.results)} conversions" if len(self.results) > 1 else ""
        return f"{PASS}: {self.vectors:,} vectors{conversions}{tail}"

    def known(self) -> list[KnownDifference]:
        """The published differences that were met, in the order of their numbers in the table."""
        entries = [find_entry(kernel, name) for kernel, name in self._met()]
        return [entry for entry in entries if entry is not None]

    def _met(self) -> list[tuple[str, str]]:
        """(kernel, id) of the published differences that were met, in order."""
        return list(dict.fromkeys((result.kernel, name) for result in self.results for name in result.known))

    def distinct_mismatches(self) -> list[CheckResult]:
        """The first of all mismatches that tell the same story."""
        told = {(r.kernel, r.option, r.operation.target, sentence(r)): r for r in reversed(self.mismatches)}
        return list(told.values())[::-1]

    def fit_to_print(self) -> Report:
        """The report with the control characters spelled out in all that a device, its file or its error can name.

        JSON needs none of that: it escapes them, and keeps the names as they are.
        """
        results = [
            replace(
                result,
                kernel=printable(result.kernel, line=True),
                version=printable(result.version, line=True),
                option=printable(result.option, line=True),
            )
            for result in self.results
        ]
        skipped = [Skipped(printable(one.kernel, line=True), printable(one.reason, line=True)) for one in self.skipped]
        return replace(self, results=results, skipped=skipped)

    def rows(self) -> list[Row]:
        """The table: sources of one outcome share a row, and published differences are numbered as in their list."""
        numbers = {key: number for number, key in enumerate(self._met(), 1)}
        merged: dict[tuple[Any, ...], list[CheckResult]] = {}
        for result in self.results:
            operation = result.operation
            kernel = f"{result.kernel} {result.version}".rstrip()
            key = (kernel, result.option, operation.target, operation.rule_name, result.verdict, tuple(result.known))
            merged.setdefault((*key, sentence(result)), []).append(result)
        rows = []
        for (kernel, option, target, policy, verdict, known, _), members in merged.items():
            sources = [member.operation.source for member in members]
            label = f"{len(sources)} formats" if len(sources) >= MANY else ", ".join(sources)
            marks = ",".join(str(numbers[members[0].kernel, name]) for name in known)
            vectors, differences = (
                sum(getattr(member, name) for member in members) for name in ("vectors", "differences")
            )
            told = f"{verdict} [{marks}]" if marks else verdict
            rows.append(Row(kernel, option, f"{label} -> {target}", policy, vectors, differences, told))
        return rows


@dataclass(frozen=True)
class Row:
    """A line of the table: the conversions of one kernel that have one outcome."""

    kernel: str
    option: str
    conversion: str
    policy: str
    vectors: int
    differences: int
    verdict: str

    def cells(self) -> tuple[str, ...]:
        """The cells under ``HEADINGS``."""
        kernel = f"{self.kernel} {self.option}".rstrip()
        return kernel, self.conversion, self.policy, f"{self.vectors:,}", f"{self.differences:,}", self.verdict


HEADINGS = ("kernel", "conversion", "policy", "vectors", "differences", "verdict")
RIGHT = (3, 4)


def known_line(entry: KnownDifference) -> str:
    """A published difference in a line, without its link."""
    return f"{entry.id} ({entry.product}, seen in {entry.version}): {entry.why}"
