"""``lowbit explain TOPIC``: every name that lowbit prints, in words."""

from __future__ import annotations

import re
from argparse import Namespace
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any

from lowbit.cli.old_spellings import OLD_TOPICS
from lowbit.cli.terminal import Terminal, terminal, wrapped
from lowbit.cli.topics import GROUPS, closed_axes, option_helps, records
from lowbit.errors import FormatError, PolicyError, UnknownFormatError, UsageError
from lowbit.exact import format_exact
from lowbit.format.registry import get_format
from lowbit.nonlinear.scheme import OPERATIONS, schemes
from lowbit.policy.accumulator import ACCUMULATORS, Accumulator, get_accumulator
from lowbit.policy.block import BLOCK_PRESETS, BlockPolicy
from lowbit.policy.cast import CAST_PRESETS, DEFECTS, Policy
from lowbit.policy.choices import Choices
from lowbit.policy.presets import EVIDENCE, Presets
from lowbit.policy.requantize import DERIVATIONS, REQUANTIZE_SCHEMES, SCALE_PRODUCTS, RequantizeScheme
from lowbit.printable import columns, counted

NOT_AN_OPTION = re.compile(r"^--?(?!(help|h|color(=.*)?|debug)$)")
"""What may be asked about though it begins like an option."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "explain",
        help="any name that lowbit prints, in words",
        description="Explain an option, an error code, a scheme, a preset, an axis, a vector flag, a word of a report: "
        f"any name that lowbit prints; or list a whole group: {', '.join(GROUPS)}. Without a topic: the groups.",
    )
    parser._negative_number_matcher = NOT_AN_OPTION  # noqa: SLF001 - else argparse takes --to for an option of this verb
    parser.add_argument(
        "topic", metavar="TOPIC", nargs="?", help="LB201, nearest_even, ivit, --to, TieEven, FTZ, so, ..."
    )


def run(arguments: Namespace) -> int:
    page = terminal(arguments)
    if arguments.topic is None:
        counts = {name: len(group.topics()) for name, group in GROUPS.items()}
        rows = [(name, counted(count, "topic")) for name, count in counts.items()]
        page.lines("lowbit explain " + line for line in columns([*rows, ("TOPIC", "any name out of these")]))
        return 0
    wanted = arguments.topic.strip().lower()
    if wanted in GROUPS:
        _write_group(page, wanted)
        _write_rows(
            page, [(f"also {GROUPS[group].title}", GROUPS[group].topics()[name]) for group, name in _named(wanted)]
        )
        return 0
    if "=" in wanted and write_pair(page, *wanted.split("=", 1)):
        return 0
    topics = _topics(wanted)
    if not topics and _write_plain_accumulator(page, wanted):
        return 0
    if not topics:
        _fail(arguments.topic)
    for index, (group, name) in enumerate(topics):
        if index:
            page.write()
        page.write(f"{page.paint(name, 'bold')}  {page.paint(GROUPS[group].title, 'dim')}")
        DETAILS.get(group, _write_summary)(page, group, name)
    return 0


def write_pair(page: Terminal, name: str, value: str) -> bool:
    """``axis=choice``, ``variant=torch``: as policies and reports spell what was chosen."""
    axes = [(what, values) for what, axis, values in closed_axes() if axis == name]
    meanings = [(what, values[value]) for what, values in axes if value in values]
    if axes and not meanings:
        known = ", ".join(dict.fromkeys(choice for _, values in axes for choice in values))
        raise UsageError(f"{value!r} is not a choice of {name}", hint=f"one of {known}")
    if name == "variant":
        groups = [GROUPS[group] for group in ("variants", "method-variants") if value in GROUPS[group].topics()]
        meanings = [(group.title, group.topics()[value]) for group in groups]
    if meanings:
        page.write(page.paint(f"{name}={value}", "bold"))
        _write_rows(page, meanings)
    return bool(meanings)


def _topics(wanted: str) -> list[tuple[str, str]]:
    """(group, name) of each topic of this name. Options are looked up last: all verbs are imported for them."""
    own = [group for group in GROUPS if group != "options"]
    names = (wanted, f"{wanted}s") if not wanted.startswith("-") else ()
    topics = _named(wanted) or [
        (group, name) for group in own for name in GROUPS[group].topics() if f"{name.lower()}s" in names
    ]
    return topics or [("options", name) for name in GROUPS["options"].topics() if name in (wanted, f"--{wanted}")]


def _named(wanted: str) -> list[tuple[str, str]]:
    """(group, name) of each topic that is spelled so, options apart."""
    own = [group for group in GROUPS if group != "options"]
    return [(group, name) for group in own for name in GROUPS[group].topics() if name.lower() == wanted]


def _fail(topic: str) -> None:
    names = {name.lower(): name for group in GROUPS.values() for name in group.topics()} | {
        name: name for name in GROUPS
    }
    if _is_format(topic):
        raise UsageError(f"{topic!r} is a format, not a topic", hint=f"`lowbit show {topic}` describes it")
    if topic.lower() in OLD_TOPICS:
        new = OLD_TOPICS[topic.lower()]
        raise UsageError(f"{topic!r} is now {new!r}", hint=f"`lowbit explain {new}`")
    close = [names[name] for name in get_close_matches(topic.lower(), list(names), n=3)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the groups are {', '.join(GROUPS)}"
    raise UsageError(f"nothing is known about {topic!r}", hint=hint)


def _is_format(topic: str) -> bool:
    try:
        get_format(topic)
    except UnknownFormatError as error:
        return error.code == "LB202"  # a name of several formats: `lowbit show` lists them
    except FormatError:
        return False
    return True


VOCABULARIES: dict[str, tuple[Presets[Any], type[Choices]]] = {
    "presets": (CAST_PRESETS, Policy),
    "axes": (CAST_PRESETS, Policy),
    "block-presets": (BLOCK_PRESETS, BlockPolicy),
    "block-axes": (BLOCK_PRESETS, BlockPolicy),
    "accumulators": (ACCUMULATORS, Accumulator),
    "accumulator-axes": (ACCUMULATORS, Accumulator),
    "schemes": (REQUANTIZE_SCHEMES, RequantizeScheme),
    "scheme-axes": (REQUANTIZE_SCHEMES, RequantizeScheme),
}
"""The groups of presets and of axes."""


def _write_group(page: Terminal, group: str) -> None:
    topics = GROUPS[group].topics()
    width = max(len(name) for name in topics)
    for name, summary in topics.items():
        head, *rest = wrapped(summary, page.columns, width + 2) or [""]
        page.write(f"{page.paint(name.ljust(width), 'cyan')}  {head}")
        page.lines(" " * (width + 2) + line for line in rest)
        if group == "axes" and name in Policy.CHOICES:
            page.write(" " * (width + 2) + page.paint(", ".join(Policy.choices(name)), "dim"))


def _write_summary(page: Terminal, group: str, name: str) -> None:
    page.lines(wrapped(GROUPS[group].topics()[name], page.columns))


def _write_option(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    meanings: dict[str, list[str]] = {}
    for verb, words in option_helps(name):
        meanings.setdefault(words, []).append(verb)
    rows = [(", ".join(verbs), words) for words, verbs in meanings.items()]
    _write_rows(page, rows if len(rows) > 1 else [("does", rows[0][1])])


def _write_kernel(page: Terminal, group: str, name: str) -> None:
    """What a kernel has to be; of a C function the prototype for each operation."""
    _write_summary(page, group, name)
    if name != "so":
        return
    from lowbit.cli.prototypes import CONTAINERS, usual

    page.write()
    page.write(page.paint("prototypes, each with the options of its types", "bold"))
    _write_rows(
        page,
        [row for entry in usual() for row in ((entry.operation, entry.prototype.c("f")), ("", entry.options))],
    )
    page.write()
    page.write(page.paint("element types, the code in the low bits", "bold"))
    _write_rows(page, [(f"{name}_t", words) for name, words in CONTAINERS.items()])
    page.write()
    page.write("`lowbit export prototypes` writes all of them as a C header")


def _write_nonlinear_scheme(page: Terminal, group: str, name: str) -> None:
    """What a scheme is of each of its operations."""
    del group
    for record in records(name):
        rows = [("codes", record.codes)]
        rows += [("variants", ", ".join(record.variants))] if record.variants[0] else []
        rows += [("scale", "--scale is needed")] if record.takes_scale else []
        rows += [("options", ", ".join(f"--option {option}=..." for option in record.options))] * bool(record.options)
        rows += [("evidence", f"{record.evidence}: {EVIDENCE[record.evidence]}")] if record.evidence else []
        rows += [("proof", f"lowbit prove {record.operation} --scheme {name}")] if record.audited else []
        head, *rest = wrapped(f"{record.operation}: {record.summary.replace('``', '`')}", page.columns)
        page.lines([page.paint(head, "cyan"), *rest])
        _write_rows(page, rows)


def _write_operation(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    _write_rows(
        page, [(scheme.id, scheme.summary.replace("``", "`")) for scheme in schemes(name).values()] or [("", "")]
    )


def _write_holders(page: Terminal, group: str, name: str) -> None:
    """A variant or an option of schemes, and whose it is."""
    _write_summary(page, group, name)
    of = [
        record.title
        for operation in OPERATIONS
        for record in schemes(operation).values()
        if name in (record.variants if group == "variants" else (*record.options, *record.operands))
    ]
    _write_rows(page, [("of", ", ".join(of))])


def _write_axis(page: Terminal, group: str, name: str) -> None:
    _write_summary(page, group, name)
    _, kind = VOCABULARIES[group]
    _write_rows(page, list(kind.CHOICES.get(name, {}).items()))


def _write_rows(page: Terminal, rows: Sequence[tuple[str, ...]]) -> None:
    page.lines(_lines(page, rows))


def _lines(page: Terminal, rows: Sequence[tuple[str, ...]]) -> list[str]:
    """Rows in columns, each a text of one line or more: the last cell is wrapped."""
    names = columns([row[:-1] for row in rows])
    indent = max(map(len, names), default=0) + 4
    texts = (wrapped(row[-1], page.columns, indent) or [""] for row in rows)
    joint = "\n" + " " * indent
    return [f"  {name.ljust(indent - 4)}  {joint.join(text)}" for name, text in zip(names, texts, strict=True)]


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
    for (axis, *_), line in zip(preset.describe(), _lines(page, preset.describe()), strict=True):
        changed = getattr(preset, axis) != getattr(plain, axis)
        page.write(page.paint(line, "bold") if changed else line)
    overrides = {
        target: rule.choose(defects=preset.defects).spell(preset)
        for target, rule in presets.overrides.get(name, {}).items()
    }
    rows = [("into", f"{target}: {changes}") for target, changes in overrides.items() if changes]
    rows += [("defect", f"{defect}: {DEFECTS[defect].summary}") for defect in getattr(preset, "defects", ())]
    _write_rows(page, [*rows, *_claim(presets, name)])


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
    targets = ", ".join(defect.targets)
    if defect.via:
        page.write(f"  rounded first to {defect.via}, from {', '.join(defect.sources) or 'every source'}")
    if defect.above is not None and defect.below is not None:
        span = f"between {format_exact(defect.above)} and {format_exact(defect.below)}"
        page.write(f"  {targets}: magnitudes {span} get code {defect.code}")
    if defect.rounded_midpoints:
        page.write(f"  {targets}: midpoints are rounded, from {', '.join(defect.sources) or 'every source'}")
    holders = [preset for preset, policy in CAST_PRESETS.items() if name in policy.defects]
    page.write(f"  reproduced under {', '.join(holders) or 'no preset'}")


DETAILS: dict[str, Callable[[Terminal, str, str], None]] = {
    "block-presets": _write_preset,
    "block-axes": _write_axis,
    "accumulators": _write_preset,
    "accumulator-axes": _write_axis,
    "axes": _write_axis,
    "presets": _write_preset,
    "defects": _write_defect,
    "schemes": _write_scheme,
    "scheme-axes": _write_axis,
    "options": _write_option,
    "kernels": _write_kernel,
    "nonlinear-schemes": _write_nonlinear_scheme,
    "operations": _write_operation,
    "variants": _write_holders,
    "scheme-options": _write_holders,
}
"""Groups that say more than a line."""
