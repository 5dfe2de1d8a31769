"""``lowbit explain TOPIC``: every name that lowbit prints, in words."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from lowbit.cli.error_topics import ERROR_TOPICS
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.terminal import Terminal, columns, terminal
from lowbit.dut.kinds import KINDS
from lowbit.errors import FormatError, LowbitError, PolicyError, UnknownFormatError
from lowbit.exact import format_exact
from lowbit.format.registry import get_format
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from lowbit.policy.cast import DEFECTS, PRESETS, ROUNDINGS, Policy
from lowbit.policy.choices import Choices
from lowbit.policy.presets import Presets
from lowbit.policy.requantize import DERIVATIONS, REQUANTIZE_SCHEMES, SCALE_PRODUCTS, RequantizeScheme

WIDTH = 100
"""Prose is wrapped here."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "explain",
        help="error codes, rounding modes, policies, flags, defects in words",
        description="Explain an error code, a rounding mode, a preset, an axis, a vector flag or a defect; or list a "
        f"whole group: {', '.join(GROUPS)}. Without a topic: the groups.",
    )
    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="LB201, nearest_even, ocp_sat, TieEven, presets, ...")


def run(arguments: Namespace) -> int:
    page = terminal(arguments)
    if arguments.topic is None:
        rows = [(name, f"{len(group())} topics") for name, group in GROUPS.items()]
        for line in columns([*rows, ("TOPIC", "any name out of these")]):
            page.write("lowbit explain " + line)
        return 0
    wanted = arguments.topic.strip().lower()
    if wanted in GROUPS:
        _write_group(page, wanted)
        return 0
    topics = [(group, name) for group, names in GROUPS.items() for name in names() if name.lower() == wanted]
    if not topics and _write_plain_accumulator(page, wanted):
        return 0
    if not topics:
        _fail(arguments.topic)
    for index, (group, name) in enumerate(topics):
        if index:
            page.write()
        page.write(f"{page.paint(name, 'bold')}  {page.paint(TITLES[group], 'dim')}")
        DETAILS.get(group, _write_summary)(page, group, name)
    return 0


def _fail(topic: str) -> None:
    names = {name.lower(): name for topics in GROUPS.values() for name in topics()} | {name: name for name in GROUPS}
    if _is_format(topic):
        raise LowbitError(
            f"{topic!r} is a format, not a topic", hint=f"`lowbit show {topic}` describes it", code="LB100"
        )
    close = [names[name] for name in get_close_matches(topic.lower(), list(names), n=3)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the groups are {', '.join(GROUPS)}"
    raise LowbitError(f"nothing is known about {topic!r}", hint=hint, code="LB100")


def _is_format(topic: str) -> bool:
    try:
        get_format(topic)
    except UnknownFormatError as error:
        return error.code == "LB202"  # a name of several formats: `lowbit show` lists them
    except FormatError:
        return False
    return True


def _flags() -> Mapping[str, str]:
    from lowbit.vectors.flags.cast import FLAGS

    return {flag.name: f"{flag.catches} ({flag.source})" for flag in FLAGS.values()}


VOCABULARIES: dict[str, tuple[Presets[Any], type[Choices]]] = {
    "presets": (PRESETS, Policy),
    "axes": (PRESETS, Policy),
    "accumulators": (ACCUMULATORS, Accumulator),
    "accumulator-axes": (ACCUMULATORS, Accumulator),
    "schemes": (REQUANTIZE_SCHEMES, RequantizeScheme),
    "scheme-axes": (REQUANTIZE_SCHEMES, RequantizeScheme),
}
"""The groups of presets and of axes."""

GROUPS: dict[str, Callable[[], Mapping[str, str]]] = {
    "errors": lambda: ERROR_TOPICS,
    "roundings": lambda: ROUNDINGS,
    "presets": lambda: PRESETS.summaries,
    "axes": lambda: Policy.AXES,
    "accumulators": lambda: ACCUMULATORS.summaries,
    "accumulator-axes": lambda: Accumulator.AXES,
    "schemes": lambda: REQUANTIZE_SCHEMES.summaries,
    "scheme-axes": lambda: RequantizeScheme.AXES,
    "flags": _flags,
    "defects": lambda: {name: defect.summary for name, defect in DEFECTS.items()},
    "devices": lambda: {name: kind.topic for name, kind in KINDS.items()},
    "statuses": lambda: {str(code.value): code.meaning for code in ExitCode},
}
"""Group -> its topics with a line on each."""

TITLES = {
    "errors": "error code",
    "roundings": "choice of the axis `rounding`",
    "presets": "policy preset",
    "axes": "policy axis",
    "accumulators": "accumulator preset",
    "accumulator-axes": "accumulator axis",
    "schemes": "requantisation scheme",
    "scheme-axes": "requantisation axis",
    "flags": "vector flag: the bug that its rows are made to catch",
    "defects": "defect of a product",
    "devices": "device of `lowbit check`",
    "statuses": "exit status",
}


def _write_group(page: Terminal, group: str) -> None:
    topics = GROUPS[group]()
    width = max(len(name) for name in topics)
    for name, summary in topics.items():
        head, *rest = textwrap.wrap(summary, max(40, WIDTH - width - 2))
        page.write(f"{page.paint(name.ljust(width), 'cyan')}  {head}")
        for line in rest:
            page.write(" " * (width + 2) + line)
        if group == "axes" and name in Policy.CHOICES:
            page.write(" " * (width + 2) + page.paint(", ".join(Policy.choices(name)), "dim"))


def _write_summary(page: Terminal, group: str, name: str) -> None:
    for line in textwrap.wrap(GROUPS[group]()[name], WIDTH, break_on_hyphens=False):
        page.write(line)


def _write_axis(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    _, kind = VOCABULARIES[group]
    _write_rows(page, list(kind.CHOICES.get(name, {}).items()))


def _write_rows(page: Terminal, rows: Sequence[tuple[str, ...]]) -> None:
    for line in columns(rows):
        page.write("  " + line)


def _write_plain_accumulator(page: Terminal, name: str) -> bool:
    """A register such as ``int20``, which has a name but is not a preset."""
    try:
        accumulator = get_accumulator(name)
    except PolicyError:
        return False
    page.write(f"{page.paint(name, 'bold')}  {page.paint('accumulator', 'dim')}")
    _write_rows(page, accumulator.describe())
    if _is_format(name):
        page.write(f"also a format: `lowbit show {name}` describes it")
    return True


def _write_preset(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    presets, kind = VOCABULARIES[group]
    preset, plain = presets[name], kind()
    for (axis, *_), line in zip(preset.describe(), columns(preset.describe()), strict=True):
        changed = getattr(preset, axis) != getattr(plain, axis)
        page.write("  " + (page.paint(line, "bold") if changed else line))
    for target, rule in presets.overrides.get(name, {}).items():
        changes = rule.choose(defects=preset.defects).spell(preset)
        if changes:
            page.write(f"  {page.paint('into', 'yellow')} {target}: {changes}")
    for defect in getattr(preset, "defects", ()):
        page.write(f"  {page.paint('defect', 'yellow')}  {defect}: {DEFECTS[defect].summary}")
    _write_rows(page, _claim(presets, name))


def _claim(presets: Presets[Any], name: str) -> list[tuple[str, str]]:
    """How well what a preset claims is founded."""
    claim = presets.claims[name]
    return [("evidence", ", ".join(filter(None, (claim.evidence, claim.source))))] if claim.evidence else []


def _write_scheme(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    scheme = REQUANTIZE_SCHEMES[name]
    rows = [(axis, words if axis in scheme.CHOICES else value) for axis, value, words in scheme.describe()]
    rows.append(("derivation", DERIVATIONS[scheme.derivation]))
    rows.append(("scale", SCALE_PRODUCTS[scheme.scale_product]))
    rows += _claim(REQUANTIZE_SCHEMES, name)
    same = [other for other, known in REQUANTIZE_SCHEMES.items() if known == scheme and other != name]
    if same:
        rows.append(("same arithmetic", ", ".join(same)))
    _write_rows(page, rows)


def _write_defect(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    defect = DEFECTS[name]
    if defect.via:
        page.write(f"  rounded first to {defect.via}, from {', '.join(defect.sources) or 'every source'}")
    if defect.above is not None and defect.below is not None:
        span = f"between {format_exact(defect.above)} and {format_exact(defect.below)}"
        page.write(f"  {defect.target}: magnitudes {span} get code {defect.code}")
    holders = [preset for preset, policy in PRESETS.items() if name in policy.defects]
    page.write(f"  reproduced under {', '.join(holders) or 'no preset'}")


DETAILS: dict[str, Callable[[Terminal, str, str], None]] = {
    "accumulators": _write_preset,
    "accumulator-axes": _write_axis,
    "axes": _write_axis,
    "presets": _write_preset,
    "defects": _write_defect,
    "schemes": _write_scheme,
    "scheme-axes": _write_axis,
}
"""Groups that say more than a line."""
