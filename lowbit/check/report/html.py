"""Results as a page of HTML that stands alone."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TextIO

from lowbit.check.report.report import HEADINGS, RIGHT, Report, known_line
from lowbit.check.report.sentence import EITHER, choice_rows, choices_heading, example_text, hint, sentence, subject
from lowbit.check.result import CheckResult, GroupResult

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222; }
h1, h2, h3 { line-height: 1.2; margin: 1.5em 0 .5em; }
h3 small { font-weight: normal; color: #666; }
table { border-collapse: collapse; margin: .5rem 0 1rem; }
th, td { padding: .25rem .8rem; text-align: left; border-bottom: 1px solid #ddd; }
th { border-bottom: 2px solid #888; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.pass { color: #17692b; } .known { color: #8a5a00; } .MISMATCH { color: #b00020; font-weight: bold; }
.summary { font-size: 1.1em; }
pre { background: #f5f5f5; border-left: 3px solid #bbb; padding: .6rem .8rem; overflow-x: auto; }
"""


def write_html(report: Report, stream: TextIO) -> None:
    """A page that stands alone: the table, published differences, and every mismatch with its examples."""
    report = report.fit_to_print()
    verdict = escape(report.verdict.split()[0], quote=True)
    parts = [
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>lowbit check</title><style>{STYLE}</style>',
        f'<h1>lowbit check</h1>\n<p class="summary {verdict}">{escape(report.summary())}</p>',
    ]
    if report.results:
        parts.append(table(HEADINGS, [row.cells() for row in report.rows()], right=RIGHT))
    parts += [f"<p>skipped {escape(skipped.kernel)}: {escape(skipped.reason)}</p>" for skipped in report.skipped]
    known = report.known()
    if known:
        items = (
            f'<li>{escape(known_line(entry))} <a href="{escape(entry.link, quote=True)}">{escape(entry.link)}</a></li>'
            for entry in known
        )
        parts += ["<h2>known differences</h2>\n<ol>", *items, "</ol>"]
    for result in report.distinct_mismatches():
        parts += _mismatch(result)
    stream.write("\n".join(parts) + "\n</html>\n")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """A table, with the columns in ``right`` as numbers."""

    def cells(tag: str, row: Sequence[str]) -> str:
        return "".join(_cell(tag, text, number=index in right) for index, text in enumerate(row))

    lines = [f"<tr>{cells('th', head)}</tr>", *(f"<tr>{cells('td', row)}</tr>" for row in rows)]
    return "<table>\n" + "\n".join(lines) + "\n</table>"


def _cell(tag: str, text: str, *, number: bool) -> str:
    verdict = text.partition(" ")[0]
    name = "number" if number else verdict if verdict in ("pass", "known", "MISMATCH") else ""
    return f'<{tag} class="{name}">{escape(text)}</{tag}>' if name else f"<{tag}>{escape(text)}</{tag}>"


def _mismatch(result: CheckResult) -> list[str]:
    operation = result.operation
    told = f"{result.differences:,} of {result.vectors:,} vectors differ: {subject(result)} {sentence(result)}."
    types = f"{operation.source} → {operation.target}"
    parts = [
        f"<h2>{escape(result.kernel)}: {types} under {escape(operation.rule_name)}</h2>",
        f"<p>{escape(told)}</p>",
    ]
    if text := hint(result):
        parts.append(f"<p>{escape(text)}</p>")
    rows = [row[:3] for row in choice_rows(result, whole=True)]
    if rows:
        parts += [table(("axis", choices_heading(result), "asked for"), rows), f"<p>{EITHER}</p>"]
    for group in result.groups:
        parts += _group(group, result)
    return [*parts, f"<pre>{escape(result.command)}</pre>"]


def _group(group: GroupResult, result: CheckResult) -> list[str]:
    total = f" of {group.total:,}" if group.total > group.differences else ""
    catches = f" <small>{escape(group.catches)}</small>" if group.catches else ""
    examples = (f"<pre>{escape(example_text(example, result))}</pre>" for example in group.examples)
    return [f"<h3>{escape(group.name)}: {group.differences:,}{total} differ{catches}</h3>", *examples]
