"""The pages about a block format (a block drawn in bits, what an element is worth, scales) and about vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from lowbit.cli.pages import (
    DRAWN_BITS,
    format_document,
    write_boxes,
    write_head,
    write_policy,
    write_rows,
    write_source,
)
from lowbit.cli.terminal import FIELD_STYLES, Terminal
from lowbit.cli.words import number_json
from lowbit.exact import format_exact, format_vector
from lowbit.format.block import ROLES, BlockFormat, ScaleField
from lowbit.format.protocol import Element
from lowbit.policy.block import BLOCK_PRESETS, get_block_policy
from lowbit.policy.cast import get_policy

DRAWN_ELEMENTS = 4
BYTE = 8


def block_document(fmt: BlockFormat) -> dict[str, Any]:
    """The page as JSON."""
    return format_document(fmt, "lowbit/show-block/1", get_block_policy(fmt.default_policy)) | {
        "element": fmt.element.id,
        "block": list(fmt.block),
        "scales": [{**vars(field), "format": field.format.id, "block": list(field.block)} for field in fmt.scales],
        "formula": fmt.formula,
        "bits_per_value": str(fmt.bits_per_value),
    }


def write_block_page(page: Terminal, fmt: BlockFormat) -> None:
    """The whole page."""
    write_head(page, fmt)
    _write_drawing(page, fmt)
    write_rows(page, _facts(fmt))
    policy = get_block_policy(fmt.default_policy)
    write_policy(page, policy, BLOCK_PRESETS.summaries, policy.describe())
    write_source(page, fmt)


def vector_document(fmt: Element, codes: Sequence[int]) -> dict[str, Any]:
    """The page of a table of vectors as JSON."""
    result = format_document(fmt, "lowbit/show-vectors/1", get_policy(fmt.default_policy)) | {
        "bits": fmt.bits,
        "dimension": fmt.dimension,
        "vectors": len(fmt.codes),
        "code_dtype": fmt.code_dtype,
    }
    rows = [{"code": fmt.hexadecimal(code), "values": list(map(number_json, fmt.vector(code)))} for code in codes]
    return result | ({"codes": rows} if rows else {})


def write_vector_page(page: Terminal, fmt: Element, codes: Sequence[int]) -> None:
    """The page of a table of vectors, with those of some codes."""
    write_head(page, fmt)
    share = Fraction(fmt.bits, fmt.dimension)
    rows = [
        ("value", f"a vector of {fmt.dimension} numbers by code, for as many neighbouring values of a block format"),
        ("numbers", f"{format_exact(fmt.component.min)} to {format_exact(fmt.component.max)}"),
        ("vectors", f"{len(fmt.codes)} in 2^{fmt.bits} codes, held in {fmt.code_dtype}"),
        ("bits per value", _share_words(share)),
    ]
    policy = get_policy(fmt.default_policy)
    write_rows(page, [*rows, ("default policy", f"{policy.name}, for NaN and infinity; a vector is the nearest one")])
    write_source(page, fmt)
    if codes:
        page.write()
        table = [(fmt.hexadecimal(code), fmt.split(code), format_vector(fmt.vector(code))) for code in codes]
        page.table([("code", "bits", "vector"), *table])


def _share_words(bits: Fraction) -> str:
    return f"{float(bits):g}" if bits.denominator == 1 else f"{bits} = {float(bits):g}"


def shape_words(block: tuple[int, ...]) -> str:
    """A block shape in words."""
    if not block:
        return "the whole tensor"
    return "the whole axis" if block == (0,) else " x ".join(map(str, block)) + " elements"


def _facts(fmt: BlockFormat) -> list[tuple[str, str]]:
    element = fmt.element
    span = f"{format_exact(fmt.number.min)} to {format_exact(fmt.number.max)}"
    what = f"{element.bits} bits" + (f" for {element.dimension} values each" if element.dimension > 1 else "")
    rows = [("value", fmt.formula), ("element", f"{element.id}, {what}, {span}")]
    for field in fmt.scales:
        of = f" {field.of}" if field.of else ""
        what = f"{field.format.id}, one for {shape_words(field.block)}: {ROLES[field.role]}{of}"
        rows.append((f"scale {field.name}", what))
    bits, whole = fmt.bits_per_value, fmt.bits_per_value * math.prod(fmt.block)
    if fmt.block and whole and whole.denominator == 1:
        size = f", {whole // BYTE} bytes" if whole % BYTE == 0 else ""
        rows.append(("block", f"{math.prod(fmt.block)} elements and their own scales in {whole} bits{size}"))
    rows.append(("bits per value", _share_words(bits)))
    return rows


def _write_drawing(page: Terminal, fmt: BlockFormat) -> None:
    """The scales, then the first codes and the last: bits in boxes, the names of the fields below."""
    length = math.prod(fmt.block) // fmt.element.dimension
    cells = [_cell(page, field.format, _name(field, fmt)) for field in fmt.scales]
    if 0 < length <= DRAWN_ELEMENTS:
        places = [str(place) for place in range(length)]
    else:
        places = ["0", "1", "...", str(length - 1) if length and fmt.block else "last"]
    cells += [_cell(page, fmt.element, place) if place != "..." else (" ... ", " ... ", "") for place in places]
    widths = [max(len(plain), len(name)) + 2 for plain, _, name in cells]
    inside = [_centred(plain, painted, width) for (plain, painted, _), width in zip(cells, widths, strict=True)]
    write_boxes(page, widths, inside, [name.center(width) for (*_, name), width in zip(cells, widths, strict=True)])


def _name(field: ScaleField, fmt: BlockFormat) -> str:
    """The name of a scale; one of other blocks says so."""
    return field.name if field.block == fmt.block or not field.block else f"{field.name} ({shape_words(field.block)})"


def _cell(page: Terminal, fmt: Element, name: str) -> tuple[str, str, str]:
    """What stands in a box, without colours and with them, and what stands below."""
    if fmt.bits > DRAWN_BITS:
        return f"{fmt.bits} bits", f"{fmt.bits} bits", name
    letters = [(part.name[0] * part.width, FIELD_STYLES[part.name]) for part in fmt.fields]
    return "".join(text for text, _ in letters), "".join(page.paint(text, style) for text, style in letters), name


def _centred(plain: str, painted: str, width: int) -> str:
    left = (width - len(plain)) // 2
    return " " * left + painted + " " * (width - len(plain) - left)
