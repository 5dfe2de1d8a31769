"""``lowbit decode FORMAT CODE...``: codes to exact values."""

from __future__ import annotations

import re
from argparse import Namespace
from typing import Any

from lowbit.cli.bits import parse_code
from lowbit.cli.block_codes import decode_blocks
from lowbit.cli.terminal import add_output_format, print_document, terminal
from lowbit.cli.words import number_json, spellings
from lowbit.errors import UsageError
from lowbit.format.block import BlockFormat
from lowbit.format.registry import get_format, scalar_format
from lowbit.oracle.cast.decode import decode
from lowbit.printable import columns


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "decode",
        help="codes to exact values",
        description="Decode codes of a format; of a block format those of one block. A CODE is 0x3c, 0b00111100, "
        "0.0111.100 or a decimal integer; bit patterns of integer and fixed-point formats are two's complement.",
    )
    # argparse takes -3 for an option unless it looks like a negative number to it.
    parser._negative_number_matcher = re.compile(r"^-\d")  # noqa: SLF001
    parser.add_argument("format", metavar="FORMAT", help="the format of the codes")
    parser.add_argument("codes", metavar="CODE", nargs="+", help="a code to decode")
    parser.add_argument(
        "--scale",
        action="append",
        default=[],
        metavar="NAME=CODE",
        help="a scale of the block, for a block format: --scale block=0x7f; each of its scales once",
    )
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    known = get_format(arguments.format)
    if isinstance(known, BlockFormat):
        return decode_blocks(arguments, known)
    if arguments.scale:
        raise UsageError(f"--scale is for block formats, not for {known.id}", hint="`lowbit formats` lists them")
    fmt = scalar_format(known)
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
