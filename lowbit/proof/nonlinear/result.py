"""What an audit finds."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lowbit._version import __version__
from lowbit.nonlinear.widths import Intermediate
from lowbit.proof.span import Span

PROVED = "proved"
REFUTED = "refuted"
OPEN = "open"

VERDICTS = {
    PROVED: "no row of such codes can leave the width",
    REFUTED: "a row that leaves it is shown",
    OPEN: "no bound is known that would prove it, and none of the directed rows leaves it",
}


@dataclass(frozen=True)
class Finding:
    """One intermediate.

    Attributes
    ----------
    step : Intermediate
        Its name and declared width.
    span : Span or None
        A range that no row leaves, in unlimited integers; None where none is known.
    verdict : {"proved", "refuted", "open"}
    value : int or None
        What it was in the witness.
    witness : tuple of int or None
        A row that makes it leave its width.
    """

    step: Intermediate
    span: Span | None
    verdict: str
    value: int | None = None
    witness: tuple[int, ...] | None = None


@dataclass(frozen=True)
class AuditReport:
    """All intermediates of one operation, in the order in which they arise.

    Attributes
    ----------
    operation, scheme, variant : str
    inputs : Span
        The codes that a row may hold.
    length : int
        Codes in a row.
    parameters : dict
        What else was fixed: the scale, for example.
    findings : tuple of Finding
    rows_tried : int
        Directed rows that were run in search of witnesses.
    """

    operation: str
    scheme: str
    variant: str
    inputs: Span
    length: int
    parameters: dict[str, Any]
    findings: tuple[Finding, ...]
    rows_tried: int

    @property
    def verdict(self) -> str:
        """``refuted`` if any intermediate is, else ``open`` if any is, else ``proved``."""
        found = {finding.verdict for finding in self.findings}
        return next(verdict for verdict in (REFUTED, OPEN, PROVED) if verdict in found or verdict == PROVED)

    @property
    def first_overflow(self) -> Finding | None:
        """The first intermediate that is refuted: what comes after it is computed from a wrapped value."""
        return next((finding for finding in self.findings if finding.verdict == REFUTED), None)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON has it."""
        return {
            "schema": "lowbit/audit/1",
            "lowbit": __version__,
            "operation": self.operation,
            "scheme": self.scheme,
            "variant": self.variant,
            "inputs": list(self.inputs),
            "length": self.length,
            "parameters": self.parameters,
            "verdict": self.verdict,
            "rows_tried": self.rows_tried,
            "intermediates": [
                {
                    "name": finding.step.name,
                    "bits": finding.step.bits,
                    "signed": finding.step.signed,
                    "range": None if finding.span is None else list(finding.span),
                    "verdict": finding.verdict,
                    "value": finding.value,
                    "witness": None if finding.witness is None else list(finding.witness),
                }
                for finding in self.findings
            ],
        }


def row_in_words(row: tuple[int, ...]) -> str:
    """A row with its repetitions counted: ``8 times 32767, -10176``."""
    parts = []
    for code, group in groupby(row):
        count = len(list(group))
        parts.append(f"{count:,} times {code}" if count > 1 else str(code))
    shown = parts if len(parts) <= 8 else [*parts[:7], f"... ({len(row):,} codes)"]
    return ", ".join(shown)
