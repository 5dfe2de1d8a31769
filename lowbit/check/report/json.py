"""Results as one JSON document, which ``report.schema.json`` beside this file describes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Any, TextIO

from lowbit._version import __version__
from lowbit.check.report.report import Report
from lowbit.check.report.sentence import example_text, hint, sentence
from lowbit.check.result import CheckResult, Example

SCHEMA = "lowbit/check/2"
"""Identifier of the form."""


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
        "results": [result_document(result) for result in report.results],
        "known": [
            {
                "id": entry.id,
                "kernel": entry.product,
                "seen": entry.version,
                "right": entry.right,
                "why": entry.why,
                "link": entry.link,
            }
            for entry in report.known()
        ],
        "skipped": [asdict(skipped) for skipped in report.skipped],
    }
    json.dump(document, stream, indent=2)  # in ASCII: controls, and bytes of file names that are not UTF-8, are escaped
    stream.write("\n")


def result_document(result: CheckResult) -> dict[str, Any]:
    """One result: numbers are numbers, alternatives are lists."""
    operation = result.operation
    return {
        "kernel": result.kernel,
        "version": result.version,
        "option": result.option,
        "operation": operation.name,
        "source": operation.source,
        "target": operation.target,
        "policy": operation.rule_name,
        "vectors": result.vectors,
        "differences": result.differences,
        "verdict": result.verdict,
        "known": list(result.known),
        "words": sentence(result),
        "hint": hint(result),
        "complete": result.complete,
        "claims": [{"kind": type(claim).__name__, "answers": len(claim.rows)} for claim in result.claims],
        "choices": {axis: [_plain(value) for value in values] for axis, values in result.choices.items()},
        "asked": {axis: _plain(value) for axis, value in result.asked.items()},
        "groups": [
            {
                "name": group.name,
                "catches": group.catches,
                "differences": group.differences,
                "total": group.total,
                "examples": [_example(example, result) for example in group.examples],
            }
            for group in result.groups
        ],
        "command": result.command,
    }


def _example(example: Example, result: CheckResult) -> dict[str, Any]:
    case = example.case
    codes = {name: int(array[example.index]) for name, array in case.arrays.items() if array.shape == case.shape}
    sizes = {} if case.divisible else case.sizes
    return {
        "case": case.name,
        "index": list(example.index),
        "operands": {**codes, **sizes, **case.scalars},
        "expected": example.expected,
        "got": example.got,
        "text": example_text(example, result),
    }


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _versions() -> dict[str, str]:
    import numpy as np

    return {"python": sys.version.split()[0], "numpy": np.__version__}
