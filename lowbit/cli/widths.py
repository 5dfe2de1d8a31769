"""``lowbit prove OPERATION``: does any intermediate of an integer-only operation leave its declared width?"""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from lowbit.cli.nonlinear_options import chosen_scheme, option_words, parse_options
from lowbit.cli.number_types import integer
from lowbit.cli.report.prove_model import PAINT, STATUS
from lowbit.cli.terminal import Terminal, print_document, terminal
from lowbit.errors import InputError, UsageError
from lowbit.format.registry import scalar_format
from lowbit.nonlinear.scheme import NONLINEARITIES, Scheme
from lowbit.printable import columns

if TYPE_CHECKING:
    from lowbit.proof import AuditReport


def add_width_options(parser: Any) -> None:
    """The options of ``lowbit prove`` for nonlinearities."""
    group = parser.add_argument_group(", ".join(NONLINEARITIES))
    group.add_argument(
        "--scheme", metavar="NAME", help="`lowbit list schemes` has them (default: the operation's first)"
    )
    group.add_argument("--variant", metavar="NAME", help="of the scheme (default: its first)")
    group.add_argument("--length", type=integer, metavar="N", help="codes in a row; without it: the longest safe row")
    codes = "the codes of a row: int4, =-5:5 (default: the scheme's)"
    group.add_argument("--from", dest="source", metavar="FORMAT|LOW:HIGH", help=codes)
    group.add_argument(
        "--to", dest="target", metavar="FORMAT", help="the format of the results (default: the scheme's)"
    )
    group.add_argument("--scale", type=float, help="what one unit of a code is worth")
    group.add_argument("--option", action="append", metavar="NAME=VALUE", help="a parameter of the scheme: beta=1, say")


WIDTH_OPTIONS = ("scheme", "variant", "length", "from", "to", "scale", "option")


def prove_widths(arguments: Namespace) -> int:
    """Bound every intermediate of a nonlinearity and print the verdicts."""
    from lowbit.proof import audit, longest_row

    operation = arguments.subject
    record = chosen_scheme(operation, arguments.scheme)
    given = {
        "scheme": record.id,
        "variant": arguments.variant,
        "inputs": _inputs(arguments.source) if arguments.source else None,
        "scale": arguments.scale,
        "bits": _bits(record, arguments.variant or "", arguments.target),
        **parse_options(arguments.option or [], record),
    }
    with option_words():
        longest = longest_row(operation, **given)
        length = arguments.length if arguments.length is not None else (longest or 1)
        report = audit(operation, length=length, **given)
    if arguments.output_format == "json":
        print_document({**report.as_dict(), "longest_proved": longest})
    else:
        _write(report, longest, terminal(arguments))
    return STATUS[report.verdict]


def _inputs(text: str) -> tuple[int, int]:
    low, colon, high = text.partition(":")
    if colon:
        try:
            return int(low), int(high)
        except ValueError as error:
            raise UsageError(f"--from {text!r} is not LOW:HIGH in whole numbers") from error
    fmt = scalar_format(text)
    if not fmt.wraps:
        raise InputError(f"--from {text}: integer codes are needed", hint="int8, uint8, int16 or -100:100")
    return fmt.codes[0], fmt.codes[-1]


def _bits(record: Scheme, variant: str, target: str | None) -> int | None:
    """The width of the results; None for the scheme's own."""
    if not target or scalar_format(target).id == record.with_parameters(variant).result_type:
        return None
    try:
        return record.checked_bits(scalar_format(target).bits)
    except InputError as error:
        message = f"--to {target}: {error.message.partition(': ')[2]}"
        raise UsageError(message, hint="leave --to out") from error


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
    if longest == 0:
        page.write("not even a row of one code is proved")
    elif longest == 1 << 24:
        page.write(f"proved for rows of up to {longest:,} codes, where this proof stops")
    else:
        page.write(f"proved for rows of up to {longest:,} codes")
