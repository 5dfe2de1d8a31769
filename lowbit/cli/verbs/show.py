"""``lowbit show FORMAT``: everything about one format on a page."""

from __future__ import annotations

import json
from argparse import Namespace
from typing import Any

from lowbit._version import __version__
from lowbit.cli.bits import classify, fields, hexadecimal, parse_code, raw, scalar_format, split
from lowbit.cli.terminal import FIELD_STYLES, Terminal, columns, terminal
from lowbit.cli.words import formula, number_json
from lowbit.errors import InputError
from lowbit.exact import Exact, format_value
from lowbit.format.live_axes import live_axes
from lowbit.format.scalar import FixedFormat, FloatFormat, Scalar
from lowbit.oracle.cast.decode import decode
from lowbit.policy.cast import PRESET_SUMMARIES, get_policy

DRAWN_BITS = 16
"""Fields are drawn bit by bit up to this width, and by their widths beyond."""

LISTED_BITS = 8
"""``--values`` lists every code up to this width, and needs a ``--range`` beyond."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "show",
        help="one format: bit diagram, facts, special values, source, value table",
        description="Show one format: bit diagram, facts, special values, source, default policy, value table.",
    )
    parser.add_argument("format", metavar="FORMAT", help="a format's name, such as float8_e4m3fn, int4 or q4.4")
    parser.add_argument("--values", action="store_true", help="list codes and values, all of them up to 8 bits")
    parser.add_argument("--range", metavar="FIRST:LAST", help="list these codes only, as in 0x3c00:0x3c1f")
    parser.add_argument("--format", dest="output", choices=("text", "json"), default="text", help="form of the output")


def run(arguments: Namespace) -> int:
    fmt = scalar_format(arguments.format)
    codes = _codes(fmt, arguments.range) if arguments.values or arguments.range else []
    if arguments.output == "json":
        print(json.dumps(document(fmt, codes), indent=2, ensure_ascii=False))
        return 0
    page = terminal(arguments)
    _write_head(page, fmt)
    _write_diagram(page, fmt)
    _write_facts(page, fmt)
    _write_policy(page, fmt)
    _write_source(page, fmt)
    if codes:
        page.write()
        _write_values(page, fmt, codes)
    return 0


def facts(fmt: Scalar) -> list[tuple[str, Exact, str]]:
    """Name, value and code of the landmarks of a format."""
    if isinstance(fmt, FixedFormat):
        return [
            ("largest", fmt.max, hexadecimal(fmt.max_code, fmt)),
            ("lowest", fmt.min, hexadecimal(fmt.min_code, fmt)),
            ("step", fmt.smallest, hexadecimal(1, fmt)),
        ]
    rows = [("largest", fmt.max, hexadecimal(fmt.max_code, fmt))]
    if fmt.min_normal is not None:
        rows.append(("smallest normal", fmt.min_normal, hexadecimal(fmt.min_normal_code, fmt)))
    if fmt.min_subnormal is not None:
        rows.append(("smallest subnormal", fmt.min_subnormal, hexadecimal(1, fmt)))
    return rows


def specials(fmt: FloatFormat) -> list[tuple[str, str]]:
    """Zero, the infinities and the NaNs, with their codes."""
    signs = (0, fmt.sign_bit) if fmt.signed else (0,)
    rows = [("zero", hexadecimal(0, fmt) + (f", -0 {hexadecimal(fmt.sign_bit, fmt)}" if fmt.negative_zero else ""))]
    if not fmt.zero:
        rows = [("zero", "none")]
    elif fmt.signed and not fmt.negative_zero:
        rows = [("zero", f"{hexadecimal(0, fmt)}, no -0")]
    infinities = [] if fmt.infinity is None else [hexadecimal(fmt.infinity | sign, fmt) for sign in signs]
    rows.append(("infinity", " and ".join(infinities) or "none"))
    return [*rows, ("NaN", _nans(fmt, signs))]


def _nans(fmt: FloatFormat, signs: tuple[int, ...]) -> str:
    if fmt.nan_at_negative_zero:
        return f"{hexadecimal(fmt.sign_bit, fmt)}, the code of -0 elsewhere"
    if fmt.nan is None:
        return "none"
    top = (1 << fmt.magnitude_bits) - 1
    spans = []
    for sign in signs:
        first, last = hexadecimal(fmt.nan | sign, fmt), hexadecimal(top | sign, fmt)
        spans.append(first if first == last else f"{first} to {last}")
    text = " and ".join(spans)
    assert fmt.canonical_nan is not None
    return text if fmt.nan_count <= len(signs) else f"{text}; canonical {hexadecimal(fmt.canonical_nan, fmt)}"


def document(fmt: Scalar, codes: list[int]) -> dict[str, Any]:
    """The page as JSON."""
    policy = get_policy(fmt.default_policy, fmt)
    result: dict[str, Any] = {
        "schema": "lowbit/show/1",
        "lowbit": __version__,
        "id": fmt.id,
        "aliases": list(fmt.aliases),
        "kind": fmt.kind,
        "family": fmt.family,
        "summary": fmt.summary,
        "bits": fmt.bits,
        "signed": fmt.signed,
        "code_dtype": fmt.code_dtype,
        "fields": [{"name": field.name, "high": field.high, "low": field.low} for field in fields(fmt)],
        "values": fmt.finite_count,
        "facts": {name: {**number_json(value), "code": code} for name, value, code in facts(fmt)},
        "default_policy": {"name": policy.name, **{axis: choice for axis, choice, _ in policy.describe()}},
        "source": {
            "title": fmt.source.title,
            "edition": fmt.source.edition,
            "clause": fmt.source.clause,
            "url": fmt.source.url,
        },
    }
    if isinstance(fmt, FloatFormat):
        result |= {"bias": fmt.bias, "precision": fmt.precision, "specials": dict(specials(fmt))}
    if codes:
        result["codes"] = [
            {"code": hexadecimal(code, fmt), "class": classify(code, fmt), **number_json(decode(code, fmt))}
            for code in codes
        ]
    return result


def _codes(fmt: Scalar, span: str | None) -> list[int]:
    """The codes to list, in the order of their bit patterns."""
    if span is None:
        if fmt.bits > LISTED_BITS:
            hint = f"--range 0x0:{hexadecimal(31, fmt)} lists the first 32"
            raise InputError(f"{fmt.id} has 2^{fmt.bits} codes: say which ones to list", hint=hint)
        patterns = range(1 << fmt.bits)
    else:
        first, separator, last = span.partition(":")
        bounds = [raw(parse_code(text, fmt), fmt) for text in (first, last if separator else first)]
        if bounds[0] > bounds[1]:
            raise InputError(f"--range {span} is empty: {first} comes after {last}")
        patterns = range(bounds[0], bounds[1] + 1)
    if isinstance(fmt, FloatFormat) or not fmt.signed:
        return list(patterns)
    half = 1 << (fmt.bits - 1)
    signed = [pattern - (pattern & half) * 2 for pattern in patterns]
    return [code for code in signed if code >= fmt.min_code]


def _write_head(page: Terminal, fmt: Scalar) -> None:
    page.write(f"{page.paint(fmt.id, 'bold')}  {fmt.summary}".rstrip())
    if fmt.aliases:
        page.write(page.paint("also " + ", ".join(fmt.aliases), "dim"))
    page.write()


def _write_diagram(page: Terminal, fmt: Scalar) -> None:
    """Boxes with the bit range above, the bits inside and the name of the field below."""
    cells = fields(fmt)
    drawn = fmt.bits <= DRAWN_BITS
    inside = [field.letter * field.width if drawn else f"{field.width} bits" for field in cells]
    widths = [max(len(field.name), len(text), len(field.span)) + 2 for field, text in zip(cells, inside, strict=True)]
    horizontal, vertical, top, bottom = ("─", "│", "┌┬┐", "└┴┘") if page.boxes else ("-", "|", "+++", "+++")

    def edge(corners: str) -> str:
        return corners[0] + corners[1].join(horizontal * width for width in widths) + corners[2]

    def painted(texts: list[str], gap: str) -> str:
        parts = [
            page.paint(text.center(width), FIELD_STYLES[field.name])
            for field, text, width in zip(cells, texts, widths, strict=True)
        ]
        return gap.join(parts)

    page.write(
        "  " + " " + page.paint(" ".join(f.span.center(w) for f, w in zip(cells, widths, strict=True)).rstrip(), "dim")
    )
    page.write("  " + edge(top))
    page.write("  " + vertical + painted(inside, vertical) + vertical)
    page.write("  " + edge(bottom))
    page.write("   " + painted([field.name for field in cells], " "))
    page.write()


def _write_facts(page: Terminal, fmt: Scalar) -> None:
    first, *rest = formula(fmt)
    rows = [("value", first), *(("", line) for line in rest)]
    rows += [(name, f"{format_value(value)}  ({code})") for name, value, code in facts(fmt)]
    if isinstance(fmt, FloatFormat):
        rows += specials(fmt)
        rows.append(("bias", str(fmt.bias)))
        rows.append(("precision", f"{fmt.precision} bit{'s' if fmt.precision > 1 else ''}, the hidden one included"))
    rows.append(("values", f"{fmt.finite_count} finite in 2^{fmt.bits} codes, held in {fmt.code_dtype}"))
    _write_rows(page, rows)


def _write_policy(page: Terminal, fmt: Scalar) -> None:
    policy = get_policy(fmt.default_policy, fmt)
    page.write()
    _write_rows(page, [("default policy", f"{policy.name}: {PRESET_SUMMARIES[policy.name]}")])
    lines = columns(policy.describe(live_axes(fmt)))
    for line in lines:
        page.write(page.paint("  " + line, "dim"))


def _write_source(page: Terminal, fmt: Scalar) -> None:
    source = fmt.source
    if not source.title:
        return
    page.write()
    parts = [part for part in (source.title, source.edition, source.clause) if part]
    _write_rows(page, [("source", ", ".join(parts)), *([("", source.url)] if source.url else [])])


def _write_rows(page: Terminal, rows: list[tuple[str, str]]) -> None:
    width = max(18, *(len(name) for name, _ in rows))
    for name, text in rows:
        page.write(f"{page.paint(name.ljust(width), 'cyan')}  {text}")


def _write_values(page: Terminal, fmt: Scalar, codes: list[int]) -> None:
    """One line a code, so that grep and awk can read the table."""
    rows = []
    for code in codes:
        exact, decimal = number_json(decode(code, fmt))["exact"], number_json(decode(code, fmt))["decimal"]
        rows.append((hexadecimal(code, fmt), split(code, fmt), classify(code, fmt), exact, decimal))
    head, *lines = columns([("code", "bits", "class", "exact", "decimal"), *rows])
    page.write(page.paint(head, "bold"))
    for line in lines:
        page.write(line)
