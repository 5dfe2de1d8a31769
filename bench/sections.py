"""Sections of ``bench/README.md`` that the benches write themselves."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from lowbit.files.whole import write_text

README = Path(__file__).with_name("README.md")


def write_section(title: str, lines: Iterable[str]) -> None:
    """Put lines in the place of those between a heading of the second level and the next one, or at the end."""
    text, heading = README.read_text(encoding="utf-8"), f"## {title}\n"
    before, _, rest = (text if heading in text else f"{text}\n{heading}").partition(heading)
    following = re.search(r"^## ", rest, re.MULTILINE)
    after = rest[following.start() :] if following else ""
    write_text(README, "\n".join([f"{before}{heading}", *lines, "", after]).rstrip("\n") + "\n")
