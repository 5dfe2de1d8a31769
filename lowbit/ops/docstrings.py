"""Docstrings that are completed from records: their sections and entries, taken apart and put together again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from inspect import cleandoc
from textwrap import fill, indent

WIDTH = 112
_SECTION = re.compile(r"^([A-Z]\w+)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(?=\S)", re.MULTILINE)


def sections_of(docstring: str) -> tuple[str, dict[str, str]]:
    """The summary of a numpydoc docstring, and the text of each of its sections by its heading."""
    summary, *parts = _SECTION.split(cleandoc(docstring))
    return summary.strip(), dict(zip(parts[::2], parts[1::2], strict=True))


def entries_of(section: str) -> dict[str, str]:
    """The entries of a section like "Parameters", by the name, or the first of the names, that each is for."""
    return {re.split(r"\W+", entry.lstrip("*"))[0]: entry.rstrip() for entry in _ENTRY.split(section) if entry}


def docstring_of(summary: str, sections: Mapping[str, str]) -> str:
    """A docstring of these sections, as it stands in a source."""
    blocks = [f"{name}\n{'-' * len(name)}\n{text.strip()}\n" for name, text in sections.items()]
    return indent("\n".join([f"{summary}\n", *blocks]), "    ").strip() + "\n    "


def entry(head: str, *paragraphs: str) -> str:
    """An entry of a section: its first line, and paragraphs below it."""
    return "\n".join([head, *(indent(fill(text, WIDTH), "    ") for text in paragraphs if text)])


def listed(items: Iterable[str]) -> str:
    """A list below the first line of an entry."""
    return "\n".join(indent(fill(f"- {item}", WIDTH, subsequent_indent="  "), "    ") for item in items)
