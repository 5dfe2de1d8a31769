"""``lowbit audit``: does any intermediate of an integer-only operation leave its declared width?"""

from __future__ import annotations

import json
from argparse import Namespace
from typing import TYPE_CHECKING, Any

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.nonlinear_options import parse_options
from lowbit.cli.number_types import integer
from lowbit.cli.terminal import Terminal, columns, terminal
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.nonlinear.scheme import NONLINEARITIES

if TYPE_CHECKING:
    from lowbit.proof import AuditReport

PAINT = {"proved": "green", "refuted": "red", "open": "yellow"}


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "audit",
        help="prove or refute that intermediates stay within their widths",
        description="For every intermediate of an integer-only operation: the range that no row leaves, whether it "
        "fits the declared width, and a row that overflows where it does not. Exit status 0: all proved; 1: one is "
        "refuted; 5: some are neither.",
    )
    parser.add_argument("operation", choices=NONLINEARITIES)
    parser.add_argument("--scheme", required=True, help="ivit, tflite_int8, cmsis_int16, ...")
    parser.add_argument("--variant", default="", help="of the scheme (default: its first)")
    parser.add_argument("--length", type=integer, metavar="N", help="codes in a row; without it: the longest safe row")
    parser.add_argument(
        "--inputs",
        metavar="FORMAT|LOW:HIGH",
        help="the codes of a row: int4, =-5:5 (default: the scheme's)",
    )
    parser.add_argument("--scale", type=float, help="what one unit of a code is worth")
    parser.add_argument("--bits", type=integer, metavar="N", help="width of the result")
    parser.add_argument(
        "--option", action="append", default=[], metavar="NAME=VALUE", help="a parameter of the scheme: beta=1, say"
    )
    parser.add_argument("--format", dest="output", choices=("text", "json"), default="text", help="form of the report")


def run(arguments: Namespace) -> int:
    from lowbit.proof import audit, longest_row

    given = {
        "scheme": arguments.scheme,
        "variant": arguments.variant,
        "inputs": _inputs(arguments.inputs) if arguments.inputs else None,
        "scale": arguments.scale,
        "bits": arguments.bits,
        **parse_options(arguments.option),
    }
    longest = longest_row(arguments.operation, **given)
    length = arguments.length if arguments.length is not None else (longest or 1)
    report = audit(arguments.operation, length=length, **given)
    if arguments.output == "json":
        print(json.dumps({**report.as_dict(), "longest_proved": longest}, indent=2))
    else:
        _write(report, longest, terminal(arguments))
    return {"proved": ExitCode.EQUAL, "refuted": ExitCode.MISMATCH, "open": ExitCode.NOTHING_COMPARED}[report.verdict]


def _inputs(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    if colon:
        try:
            return int(low), int(high)
        except ValueError as error:
            raise InputError(f"--inputs {text!r} is not LOW:HIGH in whole numbers", code="LB100") from error
    fmt = get_format(text)
    if not fmt.wraps:
        raise InputError(f"--inputs {text}: integer codes are needed", hint="int8, uint8, int16 or -100:100")
    return fmt.codes[0], fmt.codes[-1]


def _write(report: AuditReport, longest: int | None, page: Terminal) -> None:
    from lowbit.proof.nonlinear.result import VERDICTS, row_in_words

    variant = f", variant {report.variant}" if report.variant else ""
    parameters = "".join(f", {name} {value}" for name, value in report.parameters.items())
    page.write(
        f"{report.operation} under {report.scheme}{variant}: rows of {report.length:,} codes from {report.inputs}"
        f"{parameters}"
    )
    rows = [("intermediate", "declared", "range that no row leaves", "verdict", "witness")]
    for finding in report.findings:
        step = finding.step
        witness = ""
        if finding.witness is not None:
            witness = f"{finding.value:,} for {row_in_words(finding.witness)}"
        span = "unknown" if finding.span is None else str(finding.span)
        rows.append((step.name, f"{'' if step.signed else 'u'}int{step.bits}", span, finding.verdict, witness))
    head, *lines = columns(rows)
    page.write(page.paint(head, "bold"))
    for line, finding in zip(lines, report.findings, strict=True):
        page.write(page.paint(line, PAINT[finding.verdict]) if finding.verdict != "proved" else line)
    first = report.first_overflow
    page.write(f"{page.paint(report.verdict.upper(), 'bold', PAINT[report.verdict])}: {VERDICTS[report.verdict]}")
    if first is not None:
        page.write(f"the first overflow is in {first.step.name!r}; ranges after it hold for rows that do not reach it")
    if longest is None:
        page.write("not even a row of one code is proved")
    elif longest == 1 << 24:
        page.write(f"proved for rows of up to {longest:,} codes, where this audit stops")
    else:
        page.write(f"proved for rows of up to {longest:,} codes")
