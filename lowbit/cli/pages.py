"""Parts of the pages about formats of any kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from lowbit._version import __version__
from lowbit.cli.terminal import Terminal
from lowbit.format.common import Format
from lowbit.policy.block import BlockPolicy
from lowbit.policy.cast import Policy
from lowbit.printable import columns

DRAWN_BITS = 16
"""Codes and fields are drawn bit by bit up to this width, and by their widths beyond."""


def format_document(fmt: Format, schema: str, policy: Policy | BlockPolicy) -> dict[str, Any]:
    """What the JSON of every format has."""
    return {
        "schema": schema,
        "lowbit": __version__,
        "id": fmt.id,
        "aliases": list(fmt.aliases),
        "kind": fmt.kind,
        "family": fmt.family,
        "summary": fmt.summary,
        "default_policy": {"name": policy.name, **{axis: choice for axis, choice, _ in policy.describe()}},
        "source": asdict(fmt.source),
    }


def write_head(page: Terminal, fmt: Format) -> None:
    """Name, summary and aliases."""
    page.write(f"{page.paint(fmt.id, 'bold')}  {fmt.summary}".rstrip())
    if fmt.aliases:
        page.write(page.paint("also " + ", ".join(fmt.aliases), "dim"))
    page.write()


def write_boxes(page: Terminal, widths: Sequence[int], inside: Sequence[str], below: Sequence[str]) -> None:
    """Boxes side by side: what stands in each and below it is as wide as the box."""
    horizontal, vertical, top, bottom = ("─", "│", "┌┬┐", "└┴┘") if page.boxes else ("-", "|", "+++", "+++")
    upper, lower = (
        corners[1].join(horizontal * width for width in widths).join(corners[::2]) for corners in (top, bottom)
    )
    page.lines(
        [f"  {upper}", f"  {vertical}{vertical.join(inside)}{vertical}", f"  {lower}", f"   {' '.join(below)}", ""]
    )


def write_policy(
    page: Terminal, policy: Policy | BlockPolicy, summaries: Mapping[str, str], choices: Sequence[Sequence[str]]
) -> None:
    """The default policy, with its choices."""
    page.write()
    write_rows(page, [("default policy", f"{policy.name}: {summaries[policy.name]}")])
    page.lines(page.paint(f"  {line}", "dim") for line in columns(choices))


def write_source(page: Terminal, fmt: Format) -> None:
    """Who defines the format."""
    source = fmt.source
    if not source.title:
        return
    page.write()
    parts = [part for part in (source.title, source.edition, source.clause) if part]
    write_rows(page, [("source", ", ".join(parts)), *([("", source.url)] if source.url else [])])


def write_rows(page: Terminal, rows: list[tuple[str, str]]) -> None:
    """A name and what it stands for, a line each."""
    width = max(18, *(len(name) for name, _ in rows))
    for name, text in rows:
        page.write(f"{page.paint(name.ljust(width), 'cyan')}  {text}")
