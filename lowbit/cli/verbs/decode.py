"""``lowbit decode FORMAT CODE...``: codes to exact values."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import Any

from lowbit.cli.bits import parse_code
from lowbit.cli.terminal import add_output_format, columns, print_document, terminal
from lowbit.cli.words import number_json, spellings
from lowbit.format.registry import scalar_format
from lowbit.oracle.cast.decode import decode


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "decode",
        help="codes to exact values",
        description="Decode codes of a format. A CODE is 0x3c, 0b00111100, 0.0111.100 or a decimal integer; bit "
        "patterns of integer and fixed-point formats are two's complement.",
    )
    # argparse takes -3 for an option unless it looks like a negative number to it.
    parser._negative_number_matcher = re.compile(r"^-\d")  # noqa: SLF001
    parser.add_argument("format", metavar="FORMAT", help="the format of the codes")
    parser.add_argument("codes", metavar="CODE", nargs="+", help="a code to decode")
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    fmt = scalar_format(arguments.format)
    codes = [parse_code(text, fmt) for text in arguments.codes]
    if arguments.output_format == "json":
        results = [
            {"code": fmt.hexadecimal(code), "class": fmt.classify(code), **number_json(decode(code, fmt))}
            for code in codes
        ]
        print_document({"format": fmt.id, "results": results}, "lowbit/decode/1", ensure_ascii=False)
        return 0
    page = terminal(arguments)
    rows = []
    for code in codes:
        spelled = spellings(decode(code, fmt))
        class_name = fmt.classify(code)
        rows.append((fmt.hexadecimal(code), fmt.split(code), class_name, *spelled.values()))
    page.lines(columns(rows))
    return 0
