"""``lowbit explain TOPIC``: every name that lowbit prints, in words."""

from __future__ import annotations

import textwrap
from argparse import Namespace
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

from lowbit.cli.device_topics import DEVICE_TOPICS
from lowbit.cli.error_topics import ERROR_TOPICS
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.terminal import Terminal, columns, terminal
from lowbit.cli.words import policy_rows
from lowbit.errors import FormatError, LowbitError, PolicyError, UnknownFormatError
from lowbit.exact import format_exact
from lowbit.format.registry import get_format
from lowbit.policy.accumulator import (
    ACCUMULATOR_AXES,
    ACCUMULATOR_CHOICES,
    ACCUMULATOR_SUMMARIES,
    ACCUMULATORS,
    get_accumulator,
)
from lowbit.policy.cast import AXES, DEFECTS, PRESET_OVERRIDES, PRESET_SUMMARIES, PRESETS, ROUNDINGS, Policy
from lowbit.policy.requantize_axes import DERIVATIONS, REQUANTIZE_AXES, REQUANTIZE_CHOICES, SCALE_PRODUCTS
from lowbit.policy.requantize_schemes import REQUANTIZE_SCHEMES

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
    found = [(group, name) for group, topics in GROUPS.items() for name in topics() if name.lower() == wanted]
    if not found and _write_plain_accumulator(page, wanted):
        return 0
    if not found:
        _fail(arguments.topic)
    for index, (group, name) in enumerate(found):
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


GROUPS: dict[str, Callable[[], Mapping[str, str]]] = {
    "errors": lambda: ERROR_TOPICS,
    "roundings": lambda: ROUNDINGS,
    "presets": lambda: PRESET_SUMMARIES,
    "axes": lambda: AXES,
    "accumulators": lambda: ACCUMULATOR_SUMMARIES,
    "accumulator-axes": lambda: ACCUMULATOR_AXES,
    "schemes": lambda: {name: scheme.summary for name, scheme in REQUANTIZE_SCHEMES.items()},
    "scheme-axes": lambda: REQUANTIZE_AXES,
    "flags": _flags,
    "defects": lambda: {name: defect.summary for name, defect in DEFECTS.items()},
    "devices": lambda: DEVICE_TOPICS,
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
        if group == "axes":
            choices = _choices(name)
            if choices:
                page.write(" " * (width + 2) + page.paint(", ".join(choices), "dim"))


def _write_summary(page: Terminal, group: str, name: str) -> None:
    for line in textwrap.wrap(GROUPS[group]()[name], WIDTH):
        page.write(line)


def _choices(axis: str) -> tuple[str, ...]:
    return () if axis in {"via", "random_bits"} else Policy.choices(axis)


def _write_axis(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    for line in columns([(choice, Policy.meaning(name, choice)) for choice in _choices(name)]):
        page.write("  " + line)


def _write_accumulator(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    for line in columns(ACCUMULATORS[name].describe()):
        page.write("  " + line)


def _write_plain_accumulator(page: Terminal, name: str) -> bool:
    """A register such as ``int20``, which has a name but is no preset."""
    try:
        accumulator = get_accumulator(name)
    except PolicyError:
        return False
    page.write(f"{page.paint(name, 'bold')}  {page.paint('accumulator', 'dim')}")
    for line in columns(accumulator.describe()):
        page.write("  " + line)
    if _is_format(name):
        page.write(f"also a format: `lowbit show {name}` describes it")
    return True


def _write_accumulator_axis(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    for line in columns(list(ACCUMULATOR_CHOICES.get(name, {}).items())):
        page.write("  " + line)


def _write_scheme(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    scheme = REQUANTIZE_SCHEMES[name]
    same = [other for other, known in REQUANTIZE_SCHEMES.items() if known == scheme and other != name]
    rows = [*scheme.words().items(), ("derivation", DERIVATIONS[scheme.derivation])]
    rows.append(("scale", SCALE_PRODUCTS[scheme.scale_product]))
    if scheme.evidence:
        origin = f", {scheme.source}" if scheme.source else ""
        rows.append(("evidence", f"{scheme.evidence}{origin}"))
    if same:
        rows.append(("same arithmetic", ", ".join(same)))
    for line in columns(rows):
        page.write("  " + line)


def _write_scheme_axis(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    for line in columns(list(REQUANTIZE_CHOICES.get(name, {}).items())):
        page.write("  " + line)


def _write_preset(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    policy = PRESETS[name]
    plain = Policy()
    for (axis, *_), line in zip(policy_rows(policy), columns(policy_rows(policy)), strict=True):
        chosen = getattr(policy, axis) != getattr(plain, axis)
        page.write("  " + (page.paint(line, "bold") if chosen else line))
    for target, other in PRESET_OVERRIDES.get(name, {}).items():
        changes = ", ".join(
            f"{axis}={own}" for axis, (own, _) in other.differences(policy).items() if axis != "defects"
        )
        if changes:
            page.write(f"  {page.paint('into', 'yellow')} {target}: {changes}")
    for defect in policy.defects:
        page.write(f"  {page.paint('defect', 'yellow')}  {defect}: {DEFECTS[defect].summary}")


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
    "accumulators": _write_accumulator,
    "accumulator-axes": _write_accumulator_axis,
    "axes": _write_axis,
    "presets": _write_preset,
    "defects": _write_defect,
    "schemes": _write_scheme,
    "scheme-axes": _write_scheme_axis,
}
"""Groups that say more than a line."""
