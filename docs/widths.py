"""The picture of tutorial/integer-only-transformer.md: ``python docs/widths.py`` writes it anew.

The intermediates of a block of the vision transformer, as the page's transcript of ``lowbit prove model`` has them: the
bits of the declared width, and those that the proven range needs. A test compares the file with what is drawn here.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from lowbit.allocate.picture import BOTTOM, COLORS, HEIGHT, LEFT, RIGHT, TOP, WIDTH, drawing, words_at

DOCS = Path(__file__).parent
PAGE = DOCS / "tutorial" / "integer-only-transformer.md"
PICTURE = PAGE.with_name("vit-widths.svg")
BLOCK = "blocks.0."
TITLE = "A block of the vision transformer: the bits of each intermediate"
ROW = re.compile(rf"^{re.escape(BLOCK)}(\S+) +\S+ +(.*?) +int(\d+) +(-?[\d,]+) +(-?[\d,]+)$", re.MULTILINE)
MOST = 64


class Width(NamedTuple):
    """An intermediate, its declared bits, and those of its range in two's complement."""

    name: str
    declared: int
    needed: int


def widths() -> list[Width]:
    """Those of the page."""
    rows = ROW.findall(PAGE.read_text(encoding="utf-8"))
    return [Width(f"{layer}: {label}", int(bits), _needed(low, high)) for layer, label, bits, low, high in rows]


def _needed(*ends: str) -> int:
    """The least two's complement width that has both ends of a range."""
    numbers = [int(end.replace(",", "")) for end in ends]
    return 1 + max((number if number >= 0 else ~number).bit_length() for number in numbers)


def picture() -> str:
    """The SVG."""
    return drawing(TITLE, [_bars(widths())])


def _bars(rows: list[Width]) -> Iterator[str]:
    room, step = HEIGHT - TOP - BOTTOM, (WIDTH - LEFT - RIGHT) / len(rows)
    yield words_at(LEFT, 18, TITLE)
    for bits in range(0, MOST + 1, 8):
        y = HEIGHT - BOTTOM - room * bits / MOST
        yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        yield words_at(LEFT - 8, y + 4, str(bits), "end")
    for place, row in enumerate(rows):
        for bits, color in ((row.declared, "#ccd"), (row.needed, COLORS[0])):
            tall, told = room * bits / MOST, f"{row.name}: {row.needed} of {row.declared} bits"
            yield (
                f'<rect x="{LEFT + place * step:.2f}" y="{HEIGHT - BOTTOM - tall:.1f}" width="{step * 0.9:.2f}" '
                f'height="{tall:.1f}" fill="{color}"><title>{told}</title></rect>'
            )
    yield words_at((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12, f"{len(rows)} intermediates, in order", "middle")
    yield words_at(8, TOP - 8, "bits: declared (light), needed (dark)")


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
