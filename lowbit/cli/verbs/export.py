"""``lowbit export prototypes``: what other tools read, written from the tables of lowbit."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from lowbit.cli.file_options import output_file, say_written
from lowbit.cli.prototypes import header
from lowbit.files.whole import write_text


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "export",
        help="what other tools read: a C header of all kernel prototypes",
        description="Write what other tools read. prototypes: a C header with the type of every function that `lowbit "
        "check --so` calls.",
    )
    parser.add_argument("what", choices=("prototypes",), help="prototypes: a C header")
    output_file(parser, "-o", "--output", metavar="FILE", help="where to write (default: standard output)")


def run(arguments: Namespace) -> int:
    text = header()
    if arguments.output:
        write_text(arguments.output, text)
        say_written(arguments.output)
    else:
        sys.stdout.write(text)
    return 0
