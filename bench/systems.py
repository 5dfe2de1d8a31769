"""The page of the papers' systems: ``python -m bench.systems`` writes docs/explanation/systems.md from systems.toml."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.learned import results
from lowbit.files.whole import write_text

ROOT = Path(__file__).parents[1]
ROWS = Path(__file__).with_suffix(".toml")
PAGE = ROOT / "docs" / "explanation" / "systems.md"
PARTS = {
    "formats": "Formats, files and what is stored",
    "weights": "Quantisers of weights",
    "activations": "Quantisers of activations",
    "integers": "Integer-only models, and tasks of numbers",
    "allocation": "Which layer gets how many bits",
    "training": "Training",
}
BEGIN = "<!-- written by `python -m bench.systems` -->\n"
NUMBER = re.compile(r"(?<![\w.^/])\d+(?:,\d{3})*\.\d+(?:e-?\d+)?(?![\w/])")
"""The numbers of a figure that its evidence must have: those with a point."""


def rows() -> list[dict[str, Any]]:
    """The systems, as the file has them."""
    systems: list[dict[str, Any]] = tomllib.loads(ROWS.read_text(encoding="utf-8"))["system"]
    return systems


def measured(row: Mapping[str, Any], known: Mapping[str, Any]) -> str:
    """The figures of a system; those of demonstrations stand in a table of their own."""
    parts = [row["measured"]] if "measured" in row else []
    missing = [f"`{name}`" for name in row.get("learned", ()) if name not in known]
    if "learned" in row:
        parts.append("what is learned: [below](#what-is-learned-and-trained)")
    if missing:
        parts.append(f"not measured yet: {', '.join(missing)}")
    return "; ".join(parts)


def learned(known: Mapping[str, Any]) -> list[str]:
    """The demonstrations, what is asked of each beside what was measured."""
    lines = ["## What is learned and trained", "", "| shown by | what | asked | measured | reached |"]
    lines.append("| --- | --- | --- | --- | --- |")
    for name, entry in known.items():
        for row in entry["rows"]:
            numbers = ", ".join(f"{what} {number:.4g}" for what, number in row["measured"].items())
            reached = "" if row["asked"] == "reported" else "yes" if row["met"] else "**no**"
            lines.append(line((f"`{name}`", row["claim"], row["asked"], numbers, reached)))
    return lines


def line(cells: Iterable[str]) -> str:
    """A row of a table in Markdown."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page(known: Mapping[str, Any]) -> str:
    """The tables, a section for each part."""
    lines = []
    for part, title in PARTS.items():
        lines += [f"## {title}", "", "| system | claims | what is here | shown by | measured here |"]
        lines.append("| --- | --- | --- | --- | --- |")
        for row in rows():
            if row["part"] == part:
                name = f"[{row['name']}](https://arxiv.org/abs/{row['paper']})"
                command = f"`{row['command']}`"
                if "learned" in row and not row["command"].startswith("python -m bench.learned"):
                    command += f", `python -m bench.learned {' '.join(row['learned'])}`"
                cells = (name, row["claims"], row["here"], command, measured(row, known))
                lines.append(line(cells))
        lines.append("")
    return "\n".join([*lines, *learned(known)])


def replaced(text: str, known: Mapping[str, Any]) -> str:
    """The page with its tables written anew."""
    return text[: text.index(BEGIN)] + BEGIN + "\n" + page(known).rstrip("\n") + "\n"


if __name__ == "__main__":
    write_text(PAGE, replaced(PAGE.read_text(encoding="utf-8"), results()))
