"""Results as a person reads them: details of one device, or the table of all kernels."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from typing import TextIO

from lowbit.check.report.report import HEADINGS, RIGHT, Report, Row, known_line
from lowbit.check.report.sentence import (
    EITHER,
    choice_rows,
    choices_heading,
    clauses,
    example_text,
    hint,
    sentence,
    subject,
)
from lowbit.check.result import KNOWN, MISMATCH, PASS, CheckResult, GroupResult
from lowbit.printable import columns

NARROWEST, HANGING = 40, 12
MOST_TOLD = 3
FIRST_ONE = "the first one: "
UNFOLD = "--max-errors 2 shows them"
BOLD = "1"
STYLES = {PASS: "32", KNOWN: "33", MISMATCH: "1;31", "expected": "32", "got": "31"}
"""What is painted how, by the numbers of an ANSI SGR sequence (ECMA-48 8.3.117)."""


def write_text(report: Report, stream: TextIO, *, color: bool = False, verbose: bool = True) -> None:
    """Details of one device; or what the kernels of each library do, and the table of all where it is asked for."""
    report = report.fit_to_print()
    page = Page(stream, color)
    alone = len(report.results) == 1
    if alone and not report.results[0].version:
        _write_device(report.results[0], page)
    elif not verbose and not alone:
        _write_libraries(report, page)
    else:
        if report.results:
            _write_table(report.rows(), stream, rich=color)
        _write_known(report, stream)
        for result in report.distinct_mismatches():
            page.line()
            _write_device(result, page)
    for skipped in report.skipped:
        page.wrapped(f"skipped {skipped.kernel}: {skipped.reason}")
    page.summary(report.summary(), report.verdict)


class Page:
    """Lines no wider than the terminal, or than 80 columns.

    Parameters
    ----------
    stream : text stream
    color : bool
    """

    def __init__(self, stream: TextIO, color: bool) -> None:
        self._stream, self._color = stream, color
        self._width = max(shutil.get_terminal_size().columns, NARROWEST)

    def line(self, text: str = "", style: str = "") -> None:
        """A line as it is."""
        self._stream.write(f"{self._painted(text, style)}\n")

    def fitted(self, text: str, style: str = "") -> None:
        """A line of a list: as it is where it fits, else over several, the further ones under its second column."""
        if len(text) <= self._width:
            self.line(text, style)
            return
        lines = textwrap.wrap(text.strip(), self._width - HANGING, break_long_words=False, break_on_hyphens=False)
        self.line(f"  {lines[0]}", style)
        for line in lines[1:]:
            self.line(f"{' ' * HANGING}{line}", style)

    def wrapped(self, text: str, style: str = "", indent: str = "") -> None:
        """A text over as many lines as it takes; names and paths are not broken."""
        for line in textwrap.wrap(
            text, self._width, subsequent_indent=f"{indent}  ", break_long_words=False, break_on_hyphens=False,
            initial_indent=indent,
        ):  # fmt: skip
            self.line(line, style)

    def summary(self, text: str, verdict: str) -> None:
        """The last line, or two where it is too long: a command is left whole."""
        told, mark, command = text.partition(FIRST_ONE)
        if mark and len(text) > self._width:
            self.wrapped(f"{told}{mark}", STYLES.get(verdict, ""))
            self.line(f"  {command}")
        else:
            self.line(text, STYLES.get(verdict, ""))

    def _painted(self, text: str, style: str) -> str:
        return f"\x1b[{style}m{text}\x1b[0m" if self._color and style and text else text


def _write_libraries(report: Report, page: Page) -> None:
    """A line a library, and one a mismatch."""
    for name in dict.fromkeys(f"{result.kernel} {result.version}" for result in report.results):
        members = [result for result in report.results if f"{result.kernel} {result.version}" == name]
        differences = sum(result.differences for result in members)
        known = dict.fromkeys(entry for result in members for entry in result.known)
        kind = "conversions" if members[0].operation.name == "convert" else "operations"
        text = f"{name}: {len(members)} {kind}, {sum(result.vectors for result in members):,} vectors"
        text += f", {differences:,} published differences ({_defects(len(known))})" if known else ""
        page.wrapped(text)
    for result in report.distinct_mismatches()[:MOST_TOLD]:
        types = f"{result.operation.source} -> {result.operation.target}"
        page.wrapped(f"{result.kernel} {types}: {subject(result)} {sentence(result)}", STYLES[MISMATCH], "  ")
    if report.results:
        page.line("every conversion, every defect: --verbose")


def _defects(count: int) -> str:
    return f"{count} defects" if count > 1 else "one defect"


def _write_device(result: CheckResult, page: Page) -> None:
    kernel = " ".join(part for part in (result.kernel, result.version, result.option) if part)
    operation = result.operation
    types = f"{operation.source} -> {operation.target}"
    page.wrapped(f"{kernel}: {types} under {operation.rule_name}, {result.vectors:,} vectors")
    if result.verdict != MISMATCH:
        return
    main, left, more = clauses(result)
    page.wrapped(f"{subject(result)} {main}{'; but' if left else ''}", BOLD)
    for text in left:
        page.wrapped(text, indent="  ")
    for text in more:
        page.wrapped(text)
    if text := hint(result):
        page.wrapped(text)
    for line in _choices(result):
        page.fitted(line)
    shown = _shown(result.groups)
    for group in shown:
        page.line()
        page.wrapped(f"{group.name}: {_share(group)} differ{f' (made for: {group.catches})' if group.catches else ''}")
        for example in group.examples:
            for line in example_text(example, result).splitlines():
                page.fitted(f"  {line}", STYLES.get(line.split()[0], ""))
            if example is not group.examples[-1]:
                page.line()
    folded = [f"{group.name} {_share(group)}" for group in result.groups if group not in shown]
    page.line()
    if folded:
        page.wrapped(f"folded ({UNFOLD}): {', '.join(folded)}")


def _share(group: GroupResult) -> str:
    return f"{group.differences:,} of {group.total:,}"


def _shown(groups: Sequence[GroupResult]) -> list[GroupResult]:
    """One group of those that a rule explains, and those with more than one example; the others are folded."""
    if any(len(group.examples) > 1 for group in groups):
        return list(groups)
    explained = [group for group in groups if not group.unexplained][:1]
    others = [group for group in groups if group.unexplained][:MOST_TOLD]
    return [group for group in groups if group in explained or group in others]


def _choices(result: CheckResult) -> list[str]:
    """The table of choices with its heading; nothing where nothing was found out."""
    table = choice_rows(result)
    if not table:
        return []
    width, values_width = max(len(row[0]) for row in table), max(len(row[1]) for row in table)
    lines = [
        f"{axis:<{width}}  {values:<{values_width}}  {f'(asked for: {asked})' if wrong else ''}".rstrip()
        for axis, values, asked, wrong in table
    ]
    if any("|" in values for _, values, _, _ in table):
        lines.append(EITHER)
    return [f"{choices_heading(result)}:", *(f"  {line}" for line in lines)]


def _write_table(rows: list[Row], stream: TextIO, *, rich: bool) -> None:
    if rich:
        _write_rich_tables(rows, stream)
        return
    stream.writelines(f"{line}\n" for line in columns([HEADINGS, *(row.cells() for row in rows)], right=RIGHT))


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


def _write_known(report: Report, stream: TextIO) -> None:
    entries = report.known()
    if entries:
        stream.write("\nknown differences:\n")
    stream.writelines(f"  [{number}] {known_line(entry)} {entry.link}\n" for number, entry in enumerate(entries, 1))
