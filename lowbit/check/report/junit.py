"""Results as JUnit XML: a test case a conversion, a failure a mismatch."""

from __future__ import annotations

from html import escape
from typing import TextIO

from lowbit.check.report.report import Report
from lowbit.check.report.sentence import example_text, sentence, subject
from lowbit.check.result import MISMATCH, CheckResult


def write_junit(report: Report, stream: TextIO) -> None:
    """JUnit XML: a test case a conversion, a failure a mismatch."""
    report = report.fit_to_print()
    failures = len(report.mismatches)
    stream.write('<?xml version="1.0" encoding="UTF-8"?>\n')
    counts = f'tests="{len(report.results)}" failures="{failures}" skipped="{len(report.skipped)}"'
    stream.write(f'<testsuite name="lowbit check" {counts}>\n')
    for result in report.results:
        types = f"{result.operation.source} -&gt; {result.operation.target}"
        name = f"{types} {escape(result.option, quote=True)}".rstrip()
        stream.write(f'  <testcase classname="{escape(result.kernel, quote=True)}" name="{name}"')
        if result.verdict != MISMATCH:
            stream.write("/>\n")
            continue
        message = escape(told(result), quote=True)
        stream.write(f'>\n    <failure message="{message}">{escape(details(result))}</failure>\n')
        stream.write("  </testcase>\n")
    for skipped in report.skipped:
        stream.write(f'  <testcase classname="{escape(skipped.kernel, quote=True)}" name="installed">')
        stream.write(f'<skipped message="{escape(skipped.reason, quote=True)}"/></testcase>\n')
    stream.write("</testsuite>\n")


def told(result: CheckResult) -> str:
    """How much differs, and what the device does instead."""
    return f"{result.differences} of {result.vectors} vectors differ: {subject(result)} {sentence(result)}"


def details(result: CheckResult) -> str:
    """An example of each group, and the command that shows the first difference."""
    texts = [f"{group.name}\n{example_text(group.examples[0], result)}" for group in result.groups if group.examples]
    return "\n\n".join([*texts, result.command])
