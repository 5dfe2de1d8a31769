"""Results as workflow commands of GitHub Actions: an error a mismatch, a notice at the end."""

from __future__ import annotations

from typing import TextIO

from lowbit.check.report.junit import details, told
from lowbit.check.report.report import Report


def write_github(report: Report, stream: TextIO) -> None:
    """Workflow commands of GitHub Actions: an error a mismatch, a notice at the end."""
    report = report.fit_to_print()
    for result in report.mismatches:
        title = f"{result.kernel}: {result.operation.source} to {result.operation.target}"
        body = f"{told(result)}\n{details(result)}"
        stream.write(f"::error title={_escaped(title, property_value=True)}::{_escaped(body)}\n")
    stream.write(f"::notice title=lowbit check::{_escaped(report.summary())}\n")


def _escaped(text: str, *, property_value: bool = False) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if property_value else text
