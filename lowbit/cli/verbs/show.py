"""``lowbit show FORMAT``: everything about one format on a page."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from lowbit.cli.bits import parse_code
from lowbit.cli.block_page import block_document, vector_document, write_block_page, write_vector_page
from lowbit.cli.pages import (
    DRAWN_BITS,
    format_document,
    write_boxes,
    write_head,
    write_policy,
    write_rows,
    write_source,
)
from lowbit.cli.terminal import FIELD_STYLES, Terminal, add_output_format, print_document, terminal
from lowbit.cli.words import number_json, spellings
from lowbit.errors import InputError, UsageError
from lowbit.exact import Exact, format_value
from lowbit.format.block import BlockFormat
from lowbit.format.protocol import Element
from lowbit.format.registry import get_format, scalar_format
from lowbit.format.scalar import Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import PRESET_SUMMARIES, get_policy

LISTED_BITS = 8
"""``--values`` lists every code up to this width, and needs a ``--range`` beyond."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "show",
        help="one format: bit diagram, facts, special values, source, value table",
        description="Show one format: bit diagram, facts, special values, source, default policy, value table.",
    )
    parser.add_argument("format", metavar="FORMAT", help="a format's name, such as float8_e4m3fn, int4, q4.4 or mxfp4")
    parser.add_argument("--values", action="store_true", help="list codes and values, all of them up to 8 bits")
    parser.add_argument("--range", metavar="FIRST:LAST", help="list these codes only, as in 0x3c00:0x3c1f")
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    known = get_format(arguments.format)
    if isinstance(known, BlockFormat):
        return _show_block(arguments, known)
    if isinstance(known, Element) and known.dimension > 1:
        return _show_vectors(arguments, known)
    fmt = scalar_format(known)
    codes = _codes(fmt, arguments.range) if arguments.values or arguments.range else []
    if arguments.output_format == "json":
        print_document(document(fmt, codes), ensure_ascii=False)
        return 0
    page = terminal(arguments)
    write_head(page, fmt)
    _write_diagram(page, fmt)
    _write_facts(page, fmt)
    policy = get_policy(fmt.default_policy, fmt)
    write_policy(page, policy, PRESET_SUMMARIES, policy.describe(fmt.live_axes))
    write_source(page, fmt)
    if codes:
        page.write()
        _write_values(page, fmt, codes)
    return 0


def _show_block(arguments: Namespace, fmt: BlockFormat) -> int:
    if arguments.values or arguments.range:
        hint = f"`lowbit show {fmt.element.id} --values` lists the values of an element"
        raise UsageError(f"{fmt.id} is a block format, whose values depend on its scales", hint=hint)
    if arguments.output_format == "json":
        print_document(block_document(fmt), ensure_ascii=False)
    else:
        write_block_page(terminal(arguments), fmt)
    return 0


def _show_vectors(arguments: Namespace, fmt: Element) -> int:
    codes = _codes(fmt, arguments.range) if arguments.values or arguments.range else []
    if arguments.output_format == "json":
        print_document(vector_document(fmt, codes), ensure_ascii=False)
    else:
        write_vector_page(terminal(arguments), fmt, codes)
    return 0


def facts(fmt: Scalar) -> list[tuple[str, Exact, str]]:
    """Name, value and code of the landmarks of a format."""
    return [(name, fmt.decode(code), fmt.hexadecimal(code)) for name, code in fmt.landmarks]


def specials(fmt: Scalar) -> list[tuple[str, str]]:
    """Zero, the infinities and the NaNs, with their codes; nothing for integers and fixed point."""
    if fmt.wraps:
        return []
    zero = fmt.hexadecimal(fmt.zero_code()) if fmt.zero else "none"
    if fmt.negative_zero:
        zero += f", -0 {fmt.hexadecimal(fmt.zero_code(negative=True))}"
    elif fmt.zero and fmt.sign_bit:
        zero += ", no -0"
    infinities = " and ".join(fmt.hexadecimal(code) for code in fmt.infinities)
    return [("zero", zero), ("infinity", infinities or "none"), ("NaN", _nans(fmt))]


def _nans(fmt: Scalar) -> str:
    spans = []
    for low, high in fmt.nan_ranges:
        first, last = fmt.hexadecimal(low), fmt.hexadecimal(high)
        spans.append(first if first == last else f"{first} to {last}")
    text = " and ".join(spans) or "none"
    if fmt.canonical_nan is None:
        return text
    if fmt.canonical_nan == fmt.sign_bit:
        return f"{text}, the code of -0 elsewhere"
    alike = fmt.nan_count <= len(spans)
    return text if alike else f"{text}; canonical {fmt.hexadecimal(fmt.canonical_nan)}"


def document(fmt: Scalar, codes: list[int]) -> dict[str, Any]:
    """The page as JSON."""
    result = format_document(fmt, "lowbit/show/1", get_policy(fmt.default_policy, fmt)) | {
        "bits": fmt.bits,
        "signed": fmt.signed,
        "code_dtype": fmt.code_dtype,
        "fields": [field._asdict() for field in fmt.fields],
        "values": fmt.finite_count,
        "facts": {name: {**number_json(value), "code": code} for name, value, code in facts(fmt)},
    }
    result |= fmt.parameters
    if specials(fmt):
        result["specials"] = dict(specials(fmt))
    if codes:
        result["codes"] = [
            {"code": fmt.hexadecimal(code), "class": fmt.classify(code), **number_json(decode(code, fmt))}
            for code in codes
        ]
    return result


def _codes(fmt: Element, span: str | None) -> list[int]:
    """The codes to list, in the order of their bit patterns."""
    if span is None:
        if fmt.bits > LISTED_BITS:
            hint = f"--range 0x0:{fmt.hexadecimal(31)} lists the first 32"
            raise InputError(f"{fmt.id} has 2^{fmt.bits} codes: say which ones to list", hint=hint)
        patterns = range(1 << fmt.bits)
    else:
        first, separator, last = span.partition(":")
        bounds = [fmt.pattern(parse_code(text, fmt)) for text in (first, last if separator else first)]
        if bounds[0] > bounds[1]:
            raise InputError(f"--range {span} is empty: {first} comes after {last}")
        patterns = range(bounds[0], bounds[1] + 1)
    return [code for code in map(fmt.from_pattern, patterns) if code in fmt.codes]


def _write_diagram(page: Terminal, fmt: Scalar) -> None:
    """Boxes with the bit range above, the bits inside and the name of the field below."""
    cells = fmt.fields
    drawn = fmt.bits <= DRAWN_BITS
    inside = [field.name[0] * field.width if drawn else f"{field.width} bits" for field in cells]
    widths = [max(len(field.name), len(text), len(field.span)) + 2 for field, text in zip(cells, inside, strict=True)]

    def painted(texts: list[str]) -> list[str]:
        return [
            page.paint(text.center(width), FIELD_STYLES[field.name])
            for field, text, width in zip(cells, texts, widths, strict=True)
        ]

    spans = " ".join(field.span.center(width) for field, width in zip(cells, widths, strict=True))
    page.write("   " + page.paint(spans.rstrip(), "dim"))
    write_boxes(page, widths, painted(inside), painted([field.name for field in cells]))


def _write_facts(page: Terminal, fmt: Scalar) -> None:
    first, *rest = fmt.formula
    rows = [("value", first), *(("", line) for line in rest)]
    rows += [(name, f"{format_value(value)}  ({code})") for name, value, code in facts(fmt)]
    rows += specials(fmt)
    words = {"precision": f" bit{'s' if fmt.precision > 1 else ''}, the hidden one included"}
    rows += [(name, f"{number}{words.get(name, '')}") for name, number in fmt.parameters.items()]
    rows.append(("values", f"{fmt.finite_count} finite in 2^{fmt.bits} codes, held in {fmt.code_dtype}"))
    write_rows(page, rows)


def _write_values(page: Terminal, fmt: Scalar, codes: list[int]) -> None:
    """One line a code, so that grep and awk can read the table."""
    rows = []
    for code in codes:
        words = spellings(decode(code, fmt))
        rows.append((fmt.hexadecimal(code), fmt.split(code), fmt.classify(code), words["exact"], words["decimal"]))
    page.table([("code", "bits", "class", "exact", "decimal"), *rows])
