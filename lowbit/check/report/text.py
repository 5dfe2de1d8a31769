"""Results as a person reads them: details of one device, or the table of all kernels."""

from __future__ import annotations

from typing import TextIO

from lowbit.check.report.report import HEADINGS, RIGHT, Report, Row, known_line
from lowbit.check.report.sentence import EITHER, choice_rows, choices_heading, example_text, hint, sentence, subject
from lowbit.check.result import KNOWN, MISMATCH, PASS, CheckResult


def write_text(report: Report, stream: TextIO, *, color: bool = False, boxes: bool = False) -> None:
    """Details of one device, or the table of all kernels."""
    report = report.fit_to_print()
    if len(report.results) == 1 and not report.results[0].version:
        _write_device(report.results[0], stream)
    else:
        if report.results:
            _write_table(report.rows(), stream, rich=color or boxes)
        _write_known(report, stream)
        for result in report.distinct_mismatches():
            stream.write("\n")
            _write_device(result, stream)
    stream.writelines(f"skipped {skipped.kernel}: {skipped.reason}\n" for skipped in report.skipped)
    stream.write(f"{report.summary()}\n")


def _write_device(result: CheckResult, stream: TextIO) -> None:
    kernel = " ".join(part for part in (result.kernel, result.version, result.option) if part)
    operation = result.operation
    types = f"{operation.source} -> {operation.target}"
    stream.write(f"{kernel}: {types} under {operation.rule_name}, {result.vectors:,} vectors\n")
    if result.verdict != MISMATCH:
        return
    for group in result.groups:
        total = f" of {group.total:,}" if group.total > group.differences else ""
        stream.write(f"\n{group.name}: {group.differences:,}{total} differ")
        stream.write(f" ({group.catches})\n" if group.catches else "\n")
        for example in group.examples:
            stream.write("".join(f"  {line}\n" for line in example_text(example, result).splitlines()))
            stream.write("\n" if example is not group.examples[-1] else "")
    stream.write(f"\n{subject(result)} {sentence(result)}\n")
    stream.writelines(f"{line}\n" for line in _choices(result))
    if text := hint(result):
        stream.write(f"{text}\n")


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


def _write_known(report: Report, stream: TextIO) -> None:
    entries = report.known()
    if entries:
        stream.write("\nknown differences:\n")
    stream.writelines(f"  [{number}] {known_line(entry)} {entry.link}\n" for number, entry in enumerate(entries, 1))
