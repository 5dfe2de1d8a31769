"""The forms that a report can be written in."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from lowbit.check.report.github import write_github
from lowbit.check.report.html import write_html
from lowbit.check.report.json import write_json
from lowbit.check.report.junit import write_junit
from lowbit.check.report.report import Report
from lowbit.check.report.text import write_text

WRITERS: Mapping[str, Callable[[Report, TextIO], None]] = {
    "text": write_text,
    "json": write_json,
    "junit": write_junit,
    "github": write_github,
    "html": write_html,
}
FORMS: Sequence[str] = tuple(WRITERS)
