"""The forms that a report can be written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from lowbit.check.report.html import write_html
from lowbit.check.report.text import Report, write_github, write_json, write_junit, write_text

WRITERS: Mapping[str, Callable[[Report, TextIO], None]] = {
    "text": write_text,
    "json": write_json,
    "junit": write_junit,
    "github": write_github,
    "html": write_html,
}
FORMS: Sequence[str] = tuple(WRITERS)
