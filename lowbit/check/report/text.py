"""Results as text, JSON, JUnit XML or GitHub annotations (``report_html``: as a page)."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, field, replace
from html import escape
from typing import Any, TextIO

from lowbit._version import __version__
from lowbit.check.cast.installed import Skipped
from lowbit.check.cast.known_entry import KnownDifference
from lowbit.check.cast.known_list import find_entry
from lowbit.check.cast.policy_table import policy_lines, subject
from lowbit.check.result import KNOWN, MISMATCH, PASS, CheckResult
from lowbit.printable import printable

SCHEMA = "lowbit/check/1"
"""Identifier of the JSON form; ``report.schema.json`` beside this file describes it."""

MANY = 4
"""So many sources are counted rather than listed in a row of the table."""


@dataclass(frozen=True)
class Report:
    """All results of one run.

    Attributes
    ----------
    results : list of CheckResult
    skipped : list of Skipped
    arguments : dict
        The command line, for whoever wants to run it again.
    """

    results: list[CheckResult]
    skipped: list[Skipped] = field(default_factory=list)
    arguments: dict[str, Any] = field(default_factory=dict)

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


def fit_to_print(report: Report) -> Report:
    """The report with the control characters spelled out in all that a device, its file or its error can name.

    JSON needs none of that: it escapes them, and keeps the names as they are.
    """
    results = [
        replace(
            result,
            kernel=printable(result.kernel, line=True),
            version=printable(result.version, line=True),
            option=printable(result.option, line=True),
            hint=printable(result.hint, line=True),
        )
        for result in report.results
    ]
    skipped = [Skipped(printable(one.kernel, line=True), printable(one.reason, line=True)) for one in report.skipped]
    return replace(report, results=results, skipped=skipped)


def write_text(report: Report, stream: TextIO, *, color: bool = False, boxes: bool = False) -> None:
    """What a person reads: details of one device, or the table of all kernels."""
    report = fit_to_print(report)
    if len(report.results) == 1 and not report.results[0].version:
        _write_device(report.results[0], stream)
    else:
        if report.results:
            _write_table(report, stream, rich=color or boxes)
        _write_known(report, stream)
        for result in distinct(report.mismatches):
            stream.write("\n")
            _write_device(result, stream)
    stream.writelines(f"skipped {skipped.kernel}: {skipped.reason}\n" for skipped in report.skipped)
    stream.write(f"{report.summary()}\n")


def _write_device(result: CheckResult, stream: TextIO) -> None:
    kernel = " ".join(part for part in (result.kernel, result.version, result.option) if part)
    stream.write(f"{kernel}: {result.source} -> {result.target} under {result.policy}, {result.vectors:,} vectors\n")
    if result.verdict != MISMATCH:
        return
    for group in result.groups:
        total = f" of {group.total:,}" if group.total > group.differences else ""
        stream.write(f"\n{group.name}: {group.differences:,}{total} differ")
        stream.write(f" ({group.catches})\n" if group.catches else "\n")
        for example in group.examples:
            stream.write("".join(f"  {line}\n" for line in example.text.splitlines()))
            stream.write("\n" if example is not group.examples[-1] else "")
    stream.write(f"\n{subject(result)} {result.words}\n")
    stream.writelines(f"{line}\n" for line in policy_lines(result))
    if result.hint:
        stream.write(f"{result.hint}\n")


def distinct(results: list[CheckResult]) -> list[CheckResult]:
    """The first of all results that tell the same story."""
    return list({(r.kernel, r.option, r.target, r.words): r for r in reversed(results)}.values())[::-1]


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


def table_rows(report: Report) -> list[Row]:
    """The table; sources of one outcome share a row, and published differences are numbered as in the list below it."""
    numbers = {key: number for number, key in enumerate(_known_met(report), 1)}
    merged: dict[tuple[Any, ...], list[CheckResult]] = {}
    for result in report.results:
        kernel = f"{result.kernel} {result.version}".rstrip()
        key = (kernel, result.option, result.target, result.policy, result.verdict, tuple(result.known), result.words)
        merged.setdefault(key, []).append(result)
    rows = []
    for (kernel, option, target, policy, verdict, known, _), members in merged.items():
        sources = [member.source for member in members]
        label = f"{len(sources)} formats" if len(sources) >= MANY else ", ".join(sources)
        marks = ",".join(str(numbers[members[0].kernel, name]) for name in known)
        vectors, differences = (sum(getattr(member, name) for member in members) for name in ("vectors", "differences"))
        told = f"{verdict} [{marks}]" if marks else verdict
        rows.append(Row(kernel, option, f"{label} -> {target}", policy, vectors, differences, told))
    return rows


def _write_table(report: Report, stream: TextIO, *, rich: bool) -> None:
    rows = table_rows(report)
    if rich:
        _write_rich_tables(rows, stream)
        return
    table = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(row[index]) for row in table) for index in range(len(HEADINGS))]
    for row in table:
        cells = [
            cell.rjust(width) if index in RIGHT else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        stream.write("  ".join(cells).rstrip() + "\n")


def _write_rich_tables(rows: list[Row], stream: TextIO) -> None:
    """A table a kernel, narrow enough for 80 columns where the kernel has no options."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=stream, highlight=False, force_terminal=True)
    styles = {PASS: "green", KNOWN: "yellow", MISMATCH: "bold red"}
    for kernel in dict.fromkeys(row.kernel for row in rows):
        members = [row for row in rows if row.kernel == kernel]
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=Text(kernel, "bold"), title_justify="left")
        table.add_column("conversion", overflow="fold")
        options = any(row.option for row in members)
        for heading in (*(("option",) if options else ()), "policy"):
            table.add_column(heading, overflow="fold")
        for heading in ("vectors", "differ"):
            table.add_column(heading, justify="right", no_wrap=True)
        table.add_column("verdict", no_wrap=True)
        for row in members:
            verdict = Text(row.verdict, styles[row.verdict.split()[0]])
            option = (row.option,) if options else ()
            table.add_row(row.conversion, *option, row.policy, f"{row.vectors:,}", f"{row.differences:,}", verdict)
        console.print(table)


def _known_met(report: Report) -> list[tuple[str, str]]:
    """(kernel, id) of the published differences that were met, in order."""
    return list(dict.fromkeys((result.kernel, name) for result in report.results for name in result.known))


def known_entries(report: Report) -> list[KnownDifference]:
    """The published differences that were met, in the order of their numbers in the table."""
    entries = [find_entry(kernel, name) for kernel, name in _known_met(report)]
    return [entry for entry in entries if entry is not None]


def _write_known(report: Report, stream: TextIO) -> None:
    entries = known_entries(report)
    if entries:
        stream.write("\nknown differences:\n")
    stream.writelines(f"  [{number}] {known_line(entry)} {entry.link}\n" for number, entry in enumerate(entries, 1))


def known_line(entry: KnownDifference) -> str:
    """A published difference in a line, without its link."""
    return f"{entry.id} ({entry.product}, seen in {entry.version}): {entry.why}"


def _known_json(entry: KnownDifference) -> dict[str, str]:
    return {
        "id": entry.id,
        "kernel": entry.product,
        "seen": entry.version,
        "right": entry.right,
        "why": entry.why,
        "link": entry.link,
    }


def write_json(report: Report, stream: TextIO) -> None:
    """The whole report as one JSON document."""
    document = {
        "schema": SCHEMA,
        "lowbit": __version__,
        "versions": _versions(),
        "arguments": report.arguments,
        "verdict": report.verdict,
        "summary": report.summary(),
        "vectors": report.vectors,
        "results": [asdict(result) for result in report.results],
        "known": [_known_json(entry) for entry in known_entries(report)],
        "skipped": [asdict(skipped) for skipped in report.skipped],
    }
    json.dump(document, stream, indent=2)  # in ASCII: controls and bytes of file names that are no UTF-8 are escaped
    stream.write("\n")


def _versions() -> dict[str, str]:
    import numpy as np

    return {"python": sys.version.split()[0], "numpy": np.__version__}


def write_junit(report: Report, stream: TextIO) -> None:
    """JUnit XML: a test case a conversion, a failure a mismatch."""
    report = fit_to_print(report)
    failures = len(report.mismatches)
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    counts = f'tests="{len(report.results)}" failures="{failures}" skipped="{len(report.skipped)}"'
    stream.write(f'<testsuite name="lowbit check" {counts}>\n')
    for result in report.results:
        name = f"{result.source} -&gt; {result.target} {escape(result.option, quote=True)}".rstrip()
        stream.write(f'  <testcase classname="{escape(result.kernel, quote=True)}" name="{name}"')
        if result.verdict != MISMATCH:
            stream.write("/>\n")
            continue
        message = f"{result.differences} of {result.vectors} vectors differ: {subject(result)} {result.words}"
        stream.write(f'>\n    <failure message="{escape(message, quote=True)}">{escape(_details(result))}</failure>\n')
        stream.write("  </testcase>\n")
    for skipped in report.skipped:
        stream.write(f'  <testcase classname="{escape(skipped.kernel, quote=True)}" name="installed">')
        stream.write(f'<skipped message="{escape(skipped.reason, quote=True)}"/></testcase>\n')
    stream.write("</testsuite>\n")


def _details(result: CheckResult) -> str:
    texts = [f"{group.name}\n{example.text}" for group in result.groups for example in group.examples[:1]]
    return "\n\n".join([*texts, result.command])


def write_github(report: Report, stream: TextIO) -> None:
    """Workflow commands of GitHub Actions: an error a mismatch, a notice at the end."""
    report = fit_to_print(report)
    for result in report.mismatches:
        title = f"{result.kernel}: {result.source} to {result.target}"
        told = f"{result.differences} of {result.vectors} vectors differ: {subject(result)} {result.words}"
        body = f"{told}\n{_details(result)}"
        stream.write(f"::error title={_github(title, property_value=True)}::{_github(body)}\n")
    stream.write(f"::notice title=lowbit check::{_github(report.summary())}\n")


def _github(text: str, *, property_value: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if property_value else text
