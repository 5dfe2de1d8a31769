"""The table and the picture of quantisers in the pages: ``python -m bench.quantizer_pages`` writes both anew.

They show what ``quantizer_table.json`` holds, which ``python -m bench.quantizer_table`` measured. A test compares.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from math import ceil, floor, log10
from pathlib import Path
from typing import NamedTuple

from bench.quantizer_figures import FIGURES, Values
from bench.quantizer_table import RESULTS, Row, key_of, results, rows, shown
from lowbit.allocate.picture import COLORS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "explanation" / "quantisers.md"
PICTURE = DOCS / "how-to" / "quantisers.svg"
BEGIN, END = "<!-- gains: written by `python -m bench.quantizer_pages` -->\n", "<!-- end -->\n"
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 860, 460, 64, 210, 40, 48
MOST_BITS = 5.25
"""Wider points would leave no room for the others."""


class Point(NamedTuple):
    """One method in one format, and what is lost: here the error on held-out outputs, in thousandths."""

    method: str
    name: str
    bits: float
    error: float


def known_rows(known: Mapping[str, Values]) -> list[tuple[Row, Values]]:
    """The rows that were measured."""
    keys = [(row, key_of(row.method, row.options, of_weights=row.of_weights)) for row in (*rows(), *shown())]
    return [(row, known[key]) for row, key in keys if key in known]


def table(known: Mapping[str, Values]) -> str:
    """In Markdown; rows whose error is that of the weights are marked."""
    head = ("method and format", "bits", "error", "over that of", "ratio", "asked", "seconds")
    lines = [head, ("---", "---:", "---:", "---", "---:", "---:", "---:")]
    for row, values in known_rows(known):
        error = f"{values['error']:.3f}{' w' if row.of_weights else ''}"
        cells = [quoted(row.name), f"{values['bits']:.2f}", error, quoted(row.peer_name)]
        peer = known.get(key_of(*row.peer, of_weights=row.of_weights)) if row.peer else None
        ratio = f"{values['error'] / peer['error']:.3f}" if peer else ""
        most = f"{row.most:.2f}" if row.most else ""
        lines.append((*cells, ratio, most, f"{values['seconds']:.0f}"))
    figures = [f"- {figure.line(known[figure.name])}\n" for figure in FIGURES if figure.name in known]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines) + "\n" + "".join(figures)


def quoted(name: str) -> str:
    """A method as code, its options behind it."""
    method, _, options = name.partition(" ")
    return f"`{method}` {options}".strip() if name else ""


def points(known: Mapping[str, Values]) -> list[Point]:
    """What the picture shows, each once."""
    every = [
        Point(row.method, row.name, values["bits"], values["error"])
        for row, values in known_rows(known)
        if not row.of_weights and values["bits"] <= MOST_BITS
    ]
    return list(dict.fromkeys(every))


def front(every: Sequence[Point]) -> list[Point]:
    """The points that no other one has both fewer bits and a smaller error than."""
    best: list[Point] = []
    for point in sorted(every, key=lambda point: (point.bits, point.error)):
        if not best or point.error < best[-1].error:
            best.append(point)
    return best


def picture(known: Mapping[str, Values]) -> str:
    """The SVG: bits a weight against the error, on a logarithmic scale."""
    every = points(known)
    low, high = (end(log10(choose(point.error for point in every))) for end, choose in ((floor, min), (ceil, max)))
    ticks = {10.0**power: f"{10.0 ** (power - 3):g}" for power in range(low, high + 1)}
    return scatter("Held-out error of the outputs against bits a weight, all-MiniLM-L6-v2", every, ticks)


def scatter(
    title: str, every: Sequence[Point], ticks: Mapping[float, str], most: float = MOST_BITS, height: int = HEIGHT
) -> str:
    """Points as SVG; ``ticks`` are the numbers of the logarithmic axis, from its lower to its upper end."""
    least = floor(min(point.bits for point in every))
    low, high = log10(min(ticks)), log10(max(ticks))

    def place(bits: float, error: float) -> tuple[float, float]:
        across, up = (bits - least) / (most - least), (log10(error) - low) / (high - low)
        return LEFT + across * (WIDTH - LEFT - RIGHT), height - BOTTOM - up * (height - TOP - BOTTOM)

    lines = [f'<text x="{LEFT}" y="22" font-size="14">{title}</text>']
    for tick, words in ticks.items():
        down = place(least, tick)[1]
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down:.1f}" y2="{down:.1f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{down + 4:.1f}" text-anchor="end">{words}</text>')
    for bits in range(least, floor(most) + 1):
        across = place(bits, 1)[0]
        lines.append(f'<line x1="{across:.1f}" x2="{across:.1f}" y1="{TOP}" y2="{height - BOTTOM}" stroke="#eee"/>')
        lines.append(f'<text x="{across:.1f}" y="{height - BOTTOM + 18}" text-anchor="middle">{bits}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    lines.append(f'<text x="{middle:.0f}" y="{height - 10}" text-anchor="middle">bits a weight, scales counted</text>')
    path = " ".join("{:.1f},{:.1f}".format(*place(point.bits, point.error)) for point in front(every))
    lines.append(f'<polyline points="{path}" fill="none" stroke="#999" stroke-dasharray="4 3"/>')
    methods = sorted({point.method for point in every})
    for number, method in enumerate(methods):
        down = TOP + 10 + 20 * number
        lines.append(mark(number, WIDTH - RIGHT + 24, down, method))
        lines.append(f'<text x="{WIDTH - RIGHT + 36}" y="{down + 4}">{method}</text>')
    lines += [mark(methods.index(one.method), *place(one.bits, one.error), one.name) for one in every]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'font-family="sans-serif" font-size="12" role="img" aria-label="{title}">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def mark(number: int, across: float, down: float, title: str) -> str:
    """A disc, from the eleventh method on a square, from the twenty-first on one that stands on a corner."""
    color, words = COLORS[number % len(COLORS)], f"<title>{escape(title)}</title>"
    if number < len(COLORS):
        return f'<circle cx="{across:.1f}" cy="{down:.1f}" r="5" fill="{color}">{words}</circle>'
    turned = "" if number < 2 * len(COLORS) else f' transform="rotate(45 {across:.1f} {down:.1f})"'
    return f'<rect x="{across - 5:.1f}" y="{down - 5:.1f}" width="10" height="10" fill="{color}"{turned}>{words}</rect>'


def replaced(text: str, known: Mapping[str, Values]) -> str:
    """The page with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table(known) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    measured = results(RESULTS)
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")
    PICTURE.write_text(picture(measured), encoding="utf-8")
