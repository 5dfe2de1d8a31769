"""What ``lowbit evaluate`` found: a table, a document, a picture (SVG), and a page of HTML with all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from inspect import signature
from typing import TYPE_CHECKING, Any, NamedTuple

from lowbit.allocate.picture import COLORS, drawing, escape
from lowbit.check.report.html import STYLE, table
from lowbit.cli.report.scatter import Point, panel
from lowbit.cli.terminal import headed

if TYPE_CHECKING:
    from lowbit.models.evaluation import Evaluation, Refusal, Subject

BITS = "bits a weight"


class Figure(NamedTuple):
    """How a figure of a model is shown: its head, its numbers, and what it is."""

    head: str
    numbers: str
    meaning: str


FIGURES = {
    "similarity": Figure("similarity", ".5f", "the cosine of the vectors of a sentence and those of the float model"),
    "lowest_similarity": Figure("lowest", ".5f", "of all sentences"),
    "perplexity": Figure("perplexity", ".3f", "of the next token, by windows that do not overlap"),
    "divergence": Figure("divergence", ".4g", "Kullback-Leibler, of a token's chances from the float model's, nats"),
}
_LAST = "output error: squared error of a layer's outputs over their squares, the mean of the layers; scales are "
_LAST += "counted as bits; coded: bits where rANS codes the codes; seconds: processor time of the quantisation"


def heads(row: Evaluation) -> tuple[str, ...]:
    """The heads of the table."""
    figures = [FIGURES[name].head for name in row.figures]
    return ("method", "format", "bits", "coded", *figures, "output error", "seconds")


def right(row: Evaluation) -> range:
    """The columns of numbers."""
    return range(2, len(heads(row)))


def meaning(row: Evaluation) -> str:
    """What the columns are."""
    parts = [f"{FIGURES[name].head}: {FIGURES[name].meaning}" for name in row.figures]
    return "; ".join([*parts, _LAST])


def cells(row: Evaluation) -> tuple[str, ...]:
    """A row of the table."""
    figures = [f"{value:{FIGURES[name].numbers}}" for name, value in row.figures.items()]
    coded = "-" if row.entropy_bits is None else f"{row.entropy_bits:.3f}"
    return row.method, row.to, f"{row.bits:.3f}", coded, *figures, f"{row.output_error:.4g}", f"{row.seconds:.1f}"


def document(model: str, subject: Subject, rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> dict[str, Any]:
    """All of it, as JSON has it."""
    from lowbit.models.evaluation import SCHEMA, notes_on, notes_on_subject
    from lowbit.models.layer_inputs import model_of

    sizes = [entry.size for entry in subject.entries.values()]
    texts = {what: {"file": text.file, "sha256": text.sha256} for what, text in subject.texts.items()}
    methods = list(dict.fromkeys([*(row.method for row in rows[1:]), *(item.method for item in refused)]))
    report = {
        "model": str(model),
        "texts": texts,
        "include": subject.include,
        "exclude": subject.exclude,
        "seeds": {name: seed for name, seed in zip(methods, map(_seed, methods), strict=True) if seed is not None},
        "layers": len(sizes),
        "weights": sum(sizes),
        "calibration": len(subject.calibration),
        "held_out": len(subject.held_out),
        "sample": model_of(subject.weights).SAMPLE,
        "rows": [row.record for row in rows],
        "left_out": [asdict(item) for item in refused],
        "notes": [
            *notes_on_subject(subject),
            *notes_on((row.method for row in rows[1:]), subject.weights, subject.calibration, subject.layers),
        ],
    }
    return headed(report, SCHEMA)


def _seed(method: str) -> int | None:
    """What the random numbers of a method start from, if it has any."""
    from lowbit.models.evaluation import CACHE
    from lowbit.quantizers.method import chosen

    if method == CACHE:
        return None
    seed = signature(chosen(method).quantize).parameters.get("seed")
    return None if seed is None else int(seed.default)


def written(suffix: str, report: Mapping[str, Any], rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> str:
    """The text of a file: ``.html``, ``.svg`` or ``.json``."""
    if suffix == ".json":
        return json.dumps(report, indent=2) + "\n"
    return page(report, rows, refused) if suffix == ".html" else picture(report["model"], rows)


def left_out(item: Refusal) -> str:
    """A line for a method that cannot work in a format."""
    return f"left out: {item.told}"


def page(report: Mapping[str, Any], rows: Sequence[Evaluation], refused: Sequence[Refusal]) -> str:
    """A page of HTML that stands alone."""
    title = escape(f"lowbit evaluate {report['model']}")
    told = [*report["notes"], *map(left_out, refused)]
    parts = [
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>',
        f"<h1>{title}</h1>",
        picture(report["model"], rows),
        table(heads(rows[0]), [cells(row) for row in rows], right=right(rows[0])),
        f"<p>{escape(meaning(rows[0]))}</p>",
        *(f"<p>{escape(line)}</p>" for line in told),
    ]
    return "\n".join(parts) + "\n</html>\n"


def picture(model: str, rows: Sequence[Evaluation]) -> str:
    """Bits against the first figure, and below against the error of the outputs, as SVG; the float model is a line."""
    quantised, (name, line) = rows[1:], next(iter(rows[0].figures.items()))
    methods = list(dict.fromkeys(row.method for row in quantised))
    colors = {method: COLORS[place % len(COLORS)] for place, method in enumerate(methods)}
    points = [_point(row, row.figures[name]) for row in quantised]
    panels = [panel(f"{model}: {FIGURES[name].head}; dashed: the float model", points, colors, BITS, line=line)]
    errors = [_point(row, row.output_error) for row in quantised if row.output_error > 0]
    if errors:
        panels.append(panel("output error, on a logarithmic axis", errors, colors, BITS, logarithmic=True))
    return drawing(f"lowbit evaluate {model}", panels)


def _point(row: Evaluation, height: float) -> Point:
    told = f"{row.method} {row.to}: {row.bits:.3f} bits, {height:.5g}"
    return Point(row.bits, height, row.method, row.to, told)
