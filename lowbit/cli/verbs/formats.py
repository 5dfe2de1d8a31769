"""``lowbit formats``: the number formats, a line each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import Any

from lowbit.cli.block_page import block_document
from lowbit.cli.number_types import integer
from lowbit.cli.terminal import Terminal, add_output_format, fitting, print_document, terminal
from lowbit.errors import InputError
from lowbit.exact import LONG_FRACTION, format_exact, format_hexfloat
from lowbit.format.block import BlockFormat
from lowbit.format.common import Format
from lowbit.format.files.document import KINDS
from lowbit.format.files.family import Family
from lowbit.format.protocol import Element
from lowbit.format.registry import families, formats, get_format
from lowbit.format.scalar import Scalar
from lowbit.printable import columns

HEADS = ("id", "bits", "s-e-m", "bias", "largest", "smallest", "inf", "NaN", "-0", "default policy", "also")
BLOCK_HEADS = ("id", "bits", "element", "block", "scales", "default policy", "also")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "formats",
        help="list the number formats",
        description="List the number formats; a parametric family is one line unless --family names it.",
    )
    add_filters(parser)
    add_output_format(parser)


def add_filters(parser: Any) -> None:
    """The options that choose among the formats."""
    parser.add_argument("--kind", choices=KINDS, help="only this kind")
    parser.add_argument("--bits", type=integer, metavar="N", help="only formats of N bits")
    parser.add_argument("--family", metavar="NAME", help="the members of a family, such as p3109 or int")


def run(arguments: Namespace) -> int:
    names = formats(kind=arguments.kind, bits=arguments.bits, family=arguments.family)
    chosen = [get_format(name) for name in names]
    if not arguments.family:
        chosen = [fmt for fmt in chosen if not fmt.family]
    groups = [] if arguments.family or arguments.bits else list(families())
    if arguments.kind:
        groups = [family for family in groups if family.kind == arguments.kind]
    if not chosen and not groups:
        raise InputError("no format fits these filters", hint="`lowbit formats` without filters lists them all")
    if arguments.output_format == "json":
        print_document({"formats": [_record(fmt) for fmt in chosen]}, "lowbit/formats/1")
        return 0
    page = terminal(arguments)
    scalars = [_row(fmt) for fmt in chosen if isinstance(fmt, Element)]
    blocks = [_block_row(fmt) for fmt in chosen if isinstance(fmt, BlockFormat)]
    _write_table(page, HEADS, scalars, {1, 3})
    if scalars and blocks:
        page.write()
    _write_table(page, BLOCK_HEADS, blocks, {1})
    if groups:
        _write_families(page, groups, below=bool(chosen))
    return 0


def _write_table(page: Terminal, heads: Sequence[str], rows: Sequence[Sequence[str]], right: set[int]) -> None:
    if not rows:
        return
    table, left_out = fitting([heads, *rows], page.room)
    page.table(table, right=right)
    if left_out:
        page.write(page.paint(f"no room for: {', '.join(left_out)} (COLUMNS=200)", "dim"))


def _write_families(page: Terminal, groups: Sequence[Family], *, below: bool) -> None:
    if below:
        page.write()
    page.write(page.paint("families (lowbit formats --family NAME lists the members)", "bold"))
    rows, _ = fitting([(family.id, ", ".join(family.names), family.summary) for family in groups], page.room)
    page.lines(columns(rows))


def _row(fmt: Element) -> tuple[str, ...]:
    also, one = ", ".join(fmt.aliases[:3]) + (", ..." if len(fmt.aliases) > 3 else ""), fmt.component
    nans = "many" if one.nan_count >= 1000 else str(one.nan_count or "-")
    bias = str(one.parameters.get("bias", "-"))
    specials = (str(one.infinity_count or "-"), nans, "yes" if one.negative_zero else "-")
    return (fmt.id, str(fmt.bits), fmt.shape, bias, *_range(one), *specials, fmt.default_policy, also)


def _block_row(fmt: BlockFormat) -> tuple[str, ...]:
    shape = " x ".join(map(str, fmt.block)) or "tensor"
    scales = ", ".join(f"{field.name} {field.format.id}" for field in fmt.scales)
    bits = f"{float(fmt.bits_per_value):g}"
    return (fmt.id, bits, fmt.element.id, shape, scales, fmt.default_policy, ", ".join(fmt.aliases[:2]))


def _range(fmt: Scalar) -> tuple[str, str]:
    largest = format_exact(fmt.max)
    return largest if len(largest) <= LONG_FRACTION else format_hexfloat(fmt.max), format_exact(fmt.smallest)


def _record(fmt: Format) -> dict[str, Any]:
    if not isinstance(fmt, Element):
        return block_document(fmt) if isinstance(fmt, BlockFormat) else {"id": fmt.id}
    largest, smallest = _range(fmt.component)
    return {
        "id": fmt.id,
        "aliases": list(fmt.aliases),
        "kind": fmt.kind,
        "bits": fmt.bits,
        "shape": fmt.shape,
        "signed": fmt.signed,
        "largest": largest,
        "smallest": smallest,
        "default_policy": fmt.default_policy,
        "summary": fmt.summary,
    }
