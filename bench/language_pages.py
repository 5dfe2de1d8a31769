"""The table and the picture of the page on a language model: ``python -m bench.language_pages`` writes both anew.

They show what ``language_table.json`` holds, which ``python -m bench.language_table`` measured. A test compares.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from math import inf
from typing import Any

from bench.language_table import NOT_HERE, RESULTS
from bench.quantizer_pages import DOCS, END, Point, quoted, scatter
from lowbit.models.joint import DEFAULT

PAGE = DOCS / "explanation" / "what-4-and-3-bits-cost.md"
PICTURE = DOCS / "explanation" / "what-4-and-3-bits-cost.svg"
BEGIN = "<!-- table: written by `python -m bench.language_pages` -->\n"
MOST, HEIGHT = 1000, 560
"""Of the perplexities that the picture shows: models beyond know nothing any more."""
TICKS = (10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1000)
PARTS = {"5 to 4 bits": (3.75, inf), "3 bits": (2.75, 3.75), "2 bits": (0, 2.75)}
"""Of the table: the bits of their rows, the lower end included."""

Row = Mapping[str, Any]


def results() -> dict[str, Any]:
    """What was measured."""
    report: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8"))
    return report


def table(report: Mapping[str, Any]) -> str:
    """In Markdown: a part for the widths of weights each, and one for caches; the lowest perplexity first."""
    _, *rows = report["rows"]
    caches = [row for row in rows if row["method"] == "cache"]
    parts = {
        title: [row for row in rows if row not in caches and low <= row["bits"] < high]
        for title, (low, high) in PARTS.items()
    }
    lines = []
    for title, inside in {**parts, "Keys and values, weights as they are": caches}.items():
        lines += [f"## {title}", "", *_part(inside), ""] if inside else []
    if report["not_run"]:
        named = "; ".join(_by_method(report["not_run"]))
        lines += [f"In the list of the command, and not run yet: {named}.", ""]
    lines += [
        "Not in the list, beside methods that learn step by step:",
        "",
        *(f"- `{method}`: {reason}" for method, reason in NOT_HERE.items()),
        "",
    ]
    lines += [*(f"- {_named(one)}: {one['reason']}" for one in report["left_out"])]
    return "\n".join(lines).rstrip() + "\n"


def _by_method(names: Sequence[str]) -> Iterator[str]:
    pairs = [name.split(" ") for name in names]
    for method in dict.fromkeys(method for method, _ in pairs):
        yield f"`{method}` {', '.join(to for one, to in pairs if one == method)}".replace(DEFAULT, "in its own format")


def _part(rows: Sequence[Row]) -> Iterator[str]:
    yield "| method and format | bits | coded | perplexity | divergence | output error | seconds |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for row in sorted(rows, key=lambda row: (row["perplexity"], row["bits"])):
        coded = "" if row["entropy_bits"] is None else f"{row['entropy_bits']:.3f}"
        error = "" if row["method"] == "cache" else f"{row['output_error']:.4f}"
        numbers = f"{row['perplexity']:,.2f} | {row['divergence']:.3f} | {error}"
        yield f"| {_named(row)} | {row['bits']:.3f} | {coded} | {numbers} | {row['seconds']:.0f} |"


def _named(row: Row) -> str:
    return quoted(f"{row['method']} {row['to']}")


def points(report: Mapping[str, Any]) -> list[Point]:
    """What the picture shows: weights, not caches."""
    rows = [row for row in report["rows"] if row["method"] != "cache" and row["perplexity"] <= MOST]
    return [Point(row["method"], f"{row['method']} {row['to']}", row["bits"], row["perplexity"]) for row in rows]


def picture(report: Mapping[str, Any]) -> str:
    """The SVG: bits a weight against perplexity, on a logarithmic scale."""
    title = "Perplexity against bits a weight, SmolLM2-135M-Instruct"
    return scatter(title, points(report), {float(tick): f"{tick:,}" for tick in TICKS}, height=HEIGHT)


def replaced(text: str, report: Mapping[str, Any]) -> str:
    """The page with the table of these results."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + "\n" + table(report) + "\n" + END + rest.partition(END)[2]


if __name__ == "__main__":
    measured = results()
    PAGE.write_text(replaced(PAGE.read_text(encoding="utf-8"), measured), encoding="utf-8")
    PICTURE.write_text(picture(measured), encoding="utf-8")
