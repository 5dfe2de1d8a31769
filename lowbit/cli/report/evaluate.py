"""What ``lowbit evaluate`` found: a table, a document, a picture (SVG), and a page of HTML with all of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from math import log10
from typing import TYPE_CHECKING, Any

from lowbit.allocate.picture import (
    BOTTOM,
    COLORS,
    HEIGHT,
    LEFT,
    TOP,
    WIDTH,
    drawing,
    escape,
    legend,
    words_at,
)
from lowbit.allocate.picture import (
    RIGHT as MARGIN,
)
from lowbit.check.report.html import STYLE, table

if TYPE_CHECKING:
    from lowbit.models.evaluation import Evaluation, Refusal, Subject

HEADS = ("method", "format", "bits", "similarity", "lowest", "output error", "seconds")
RIGHT = range(2, len(HEADS))
MEANING = (
    "similarity: the cosine of the vectors of a sentence and those of the float model, mean and lowest; output error: "
    "squared error of a layer's outputs over their squares, the mean of the layers; scales are counted as bits; "
    "seconds: processor time of the quantisation"
)
ROOM = 90
"""Right of the last point, for its words."""


def cells(row: Evaluation) -> tuple[str, ...]:
    """A row of the table."""
    return (
        row.method,
        row.to,
        f"{row.bits:.3f}",
        f"{row.similarity:.5f}",
        f"{row.lowest_similarity:.5f}",
        f"{row.output_error:.4g}",
        f"{row.seconds:.1f}",
    )


def document(model: str, subject: Subject, rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> dict[str, Any]:
    """All of it, as JSON has it."""
    from lowbit.models.evaluation import notes_on, notes_on_plans

    sizes = [entry.size for entry in subject.entries.values()]
    return {
        "model": str(model),
        "layers": len(sizes),
        "weights": sum(sizes),
        "calibration": len(subject.calibration),
        "held_out": len(subject.held_out),
        "rows": [asdict(row) for row in rows],
        "left_out": [asdict(item) for item in refused],
        "notes": [
            *notes_on_plans(subject),
            *notes_on((row.method for row in rows[1:]), subject.weights, subject.calibration, subject.layers),
        ],
    }


def written(suffix: str, report: Mapping[str, Any], rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> str:
    """The text of a file: ``.html``, ``.svg`` or ``.json``."""
    if suffix == ".json":
        return json.dumps(report, indent=2) + "\n"
    return page(report, rows, refused) if suffix == ".html" else picture(report["model"], rows)


def left_out(item: Refusal) -> str:
    """A line for a method that cannot work in a format."""
    from lowbit.models.evaluation import DEFAULT

    to = "the format that it works in unasked" if item.to == DEFAULT else item.to
    return f"left out: {item.method} in {to}: {item.reason}"


def page(report: Mapping[str, Any], rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> str:
    """A page of HTML that stands alone."""
    title = escape(f"lowbit evaluate {report['model']}")
    told = [*report["notes"], *map(left_out, refused)]
    parts = [
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>',
        f"<h1>{title}</h1>",
        picture(report["model"], rows),
        table(HEADS, [cells(row) for row in rows], right=RIGHT),
        f"<p>{MEANING}</p>",
        *(f"<p>{escape(line)}</p>" for line in told),
    ]
    return "\n".join(parts) + "\n</html>\n"


def picture(model: str, rows: Sequence[Evaluation]) -> str:
    """Bits against similarity, and below it against the error of the outputs, as SVG; the float model is a line."""
    quantised = rows[1:]
    methods = list(dict.fromkeys(row.method for row in quantised))
    colors = {method: COLORS[place % len(COLORS)] for place, method in enumerate(methods)}
    errors = [row for row in quantised if row.output_error > 0]
    panels = [_panel(f"{model}: similarity with the float model (dashed)", quantised, colors, _similarity, 1.0)]
    if errors:
        panels.append(_panel("output error, decimal logarithm", errors, colors, _error, None))
    return drawing(f"lowbit evaluate {model}", panels)


def _similarity(row: Evaluation) -> float:
    return row.similarity


def _error(row: Evaluation) -> float:
    return log10(row.output_error)


def _panel(
    title: str,
    rows: Sequence[Evaluation],
    colors: Mapping[str, str],
    height: Callable[[Evaluation], float],
    line: float | None,
) -> Iterator[str]:
    heights = [height(row) for row in rows] + ([] if line is None else [line])
    left, right, low, high = min(r.bits for r in rows), max(r.bits for r in rows), min(heights), max(heights)

    def place(x: float, y: float) -> tuple[float, float]:
        across, up = (x - left) / (right - left or 1.0), (y - low) / (high - low or 1.0)
        room = WIDTH - LEFT - MARGIN - ROOM
        return LEFT + 10 + across * room, HEIGHT - BOTTOM - 10 - up * (HEIGHT - TOP - BOTTOM - 20)

    yield words_at(LEFT, 18, title)
    yield from legend(list(colors), dict(colors))
    yield f'<path d="M{LEFT},{TOP} V{HEIGHT - BOTTOM} H{WIDTH - MARGIN}" fill="none" stroke="black"/>'
    for value in (low, high):
        yield words_at(LEFT - 6, place(left, value)[1] + 4, f"{value:.4g}", "end")
    for value in dict.fromkeys((left, right)):
        yield words_at(place(value, low)[0], HEIGHT - 22, f"{value:.4g}", "middle")
    yield words_at((LEFT + WIDTH) / 2, HEIGHT - 8, "bits a weight", "middle")
    if line is not None:
        y = place(left, line)[1]
        yield f'<path d="M{LEFT},{y:.1f} H{WIDTH - MARGIN}" stroke="#888" stroke-dasharray="4 3"/>'
    for row in rows:
        x, y = place(row.bits, height(row))
        told = f"{row.method} {row.to}: {row.bits:.3f} bits, {height(row):.5g}"
        color = colors[row.method]
        yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{color}"><title>{escape(told)}</title></circle>'
        yield words_at(x + 7, y + 4, row.to)
