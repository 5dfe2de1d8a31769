"""``lowbit list WHAT``: what there is, a line each."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lowbit.cli.terminal import NARROWEST, Terminal, add_output_format, print_document, terminal, wrapped
from lowbit.cli.topics import methods
from lowbit.cli.verbs import formats
from lowbit.errors import UsageError
from lowbit.nonlinear.scheme import OPERATIONS, schemes
from lowbit.policy.accumulator import ACCUMULATORS
from lowbit.policy.block import BLOCK_PRESETS
from lowbit.policy.cast import CAST_PRESETS
from lowbit.policy.presets import Presets
from lowbit.policy.requantize import REQUANTIZE_SCHEMES
from lowbit.printable import columns

Record = dict[str, Any]
BELOW = 4
"""Columns before a text that stands below its name."""


class Table(NamedTuple):
    """What is listed: the records, and the option that one is named by elsewhere."""

    records: Callable[[str | None], list[Record]]
    use: str


def _presets(op: str | None) -> list[Record]:
    """The presets of the vocabularies, with the grade of their evidence."""
    vocabularies: dict[str, Presets[Any]] = {"cast": CAST_PRESETS, "block": BLOCK_PRESETS, "gemm": ACCUMULATORS}
    return [
        {"op": name, "id": preset, "summary": claim.summary, "evidence": claim.evidence}
        for name, presets in vocabularies.items()
        if op in (None, name)
        for preset, claim in presets.claims.items()
    ]


def _schemes(op: str | None) -> list[Record]:
    """The schemes of requantisations and of the integer-only nonlinearities."""
    found = [
        {"op": "requantize", "id": name, "summary": claim.summary, "variants": [], "evidence": claim.evidence}
        for name, claim in REQUANTIZE_SCHEMES.claims.items()
    ]
    found += [
        {
            "op": operation,
            "id": record.id,
            "summary": record.summary.replace("``", "`"),
            "variants": [variant for variant in record.variants if variant],
            "evidence": record.evidence,
        }
        for operation in OPERATIONS
        for record in schemes(operation).values()
    ]
    return [record for record in found if op in (None, record["op"])]


def _methods(op: str | None) -> list[Record]:
    del op
    return [{"id": name, "summary": summary.split(";")[0]} for name, summary in sorted(methods().items())]


def _layouts(op: str | None) -> list[Record]:
    del op
    from lowbit.ops.pack.layouts import LAYOUTS

    return [
        {"id": name, "bits": [layout.low, layout.high], "summary": layout.summary} for name, layout in LAYOUTS.items()
    ]


TABLES: Mapping[str, Table] = {
    "units": Table(
        lambda _: [],  # what there is instead is said
        "no unit yet: matrix units come with a later release; `lowbit list policies --op gemm` has "
        "the accumulators of instructions",
    ),
    "policies": Table(_presets, "--policy, --accumulator; `lowbit explain ID` prints all choices of one"),
    "schemes": Table(_schemes, "--scheme; `lowbit explain ID` says what it does"),
    "methods": Table(
        _methods,
        "`lowbit evaluate MODEL --methods ID`, `lowbit quantize MODEL --method ID`, and in Python "
        "lowbit.quantizers.ID(weights, activations); `lowbit explain ID` has its variants and source; llm_int8 "
        "quantises activations as well, and is lowbit.llm_int8_matmul alone",
    ),
    "layouts": Table(_layouts, "layout= of lowbit.pack and lowbit.unpack"),
}
"""What may be listed, beside the formats."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "list",
        help=f"what there is: formats, {', '.join(TABLES)}",
        description="List what there is, a line each. formats: the number formats (`lowbit formats` is the same); "
        "policies: presets of casts, block formats and accumulators; schemes: how requantisations and integer-only "
        "nonlinearities are computed; units: matrix units (none yet); methods: quantisers; layouts: how codes narrower "
        "than a byte are packed.",
    )
    parser.add_argument("what", metavar="WHAT", choices=("formats", *TABLES), help=f"formats, {', '.join(TABLES)}")
    formats.add_filters(parser.add_argument_group("formats"))
    group = parser.add_argument_group("policies, schemes")
    group.add_argument("--op", metavar="OPERATION", help="only those of cast, block, gemm, requantize, softmax, ...")
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    _refuse_filters(arguments)
    if arguments.what == "formats":
        return formats.run(arguments)
    table = TABLES[arguments.what]
    records = table.records(arguments.op)
    if not records and arguments.op:
        known = ", ".join(dict.fromkeys(record["op"] for record in table.records(None)))
        raise UsageError(f"--op {arguments.op}: no {arguments.what} are of it", hint=f"one of {known}")
    if arguments.output_format == "json":
        print_document({arguments.what: records}, "lowbit/list/1")
    else:
        page = terminal(arguments)
        if records:
            _write(page, records)
        page.lines(wrapped(f"used as {table.use}" if records else table.use, page.columns))
    return 0


def _refuse_filters(arguments: Namespace) -> None:
    takes = {"formats": ("kind", "bits", "family"), "policies": ("op",), "schemes": ("op",)}.get(arguments.what, ())
    for option in ("kind", "bits", "family", "op"):
        if getattr(arguments, option) is not None and option not in takes:
            hint = f"it takes {', '.join(f'--{name}' for name in takes)}" if takes else "it takes no filter"
            raise UsageError(f"--{option} is not for `lowbit list {arguments.what}`", hint=hint)


def _write(page: Terminal, records: Sequence[Record]) -> None:
    """The names in columns; what it is beside them, or below where there is no room."""
    heads = [name for name in ("op", "id", "bits", "evidence") if any(record.get(name) for record in records)]
    names = columns([heads, *([_cell(record[name]) for name in heads] for record in records)])
    indent = max(map(len, names)) + 2
    beside = page.columns - indent >= NARROWEST
    for line, record in zip(names, [{"summary": "what it is"}, *records], strict=True):
        variants = record.get("variants")
        text = record["summary"] + (f" (variants: {', '.join(variants)})" if variants else "")
        lines = wrapped(text, page.columns, indent if beside else BELOW)
        head = line.ljust(indent) + lines.pop(0) if beside else line
        page.write(page.paint(head, "bold") if line is names[0] else head)
        for more in lines if beside or line is not names[0] else ():
            page.write(" " * (indent if beside else BELOW) + more)


def _cell(value: Any) -> str:
    if not isinstance(value, list):
        return str(value)
    whole = all(isinstance(part, int) for part in value)
    return " to ".join(map(str, dict.fromkeys(value))) if value and whole else ", ".join(map(str, value))
