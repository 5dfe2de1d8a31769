"""``lowbit scan MODEL``: which formats a checkpoint holds, how they are stored, and what its values do not need."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import also_reads, output_file, say_written
from lowbit.cli.model_report import checkpoint_file
from lowbit.cli.number_types import integer
from lowbit.cli.progress import Bar
from lowbit.cli.terminal import Terminal, add_output_format, print_document, terminal, wrapped
from lowbit.files.distinct import Named
from lowbit.printable import counted, excerpt, first_names

if TYPE_CHECKING:
    from lowbit.campaign.scan import Group, Scan
    from lowbit.files.audit import Tally

LINEAGES = ("bfloat16", "float16")
NAME = "config.json"
LISTED = 3
"""Tensors named for each group; JSON has them all."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "scan",
        help="what formats a checkpoint holds, and an audit of how they are stored",
        description="Say what is in a safetensors file, a folder of such files (compressed-tensors and lowbit's own "
        "ones, too) or a GGUF file: of each group of tensors the packing, the scales and the bits of a weight. The "
        "format audit counts places where other bits would give the same value, and are not the canonical ones: signs "
        "of zeros, payloads of NaNs, codes under a scale of zero, bits beside packed codes, low bits that the origin "
        "of weights cannot have given them; and how many bits such places could carry. It cannot see what is hidden in "
        "the values.",
    )
    checkpoint_file(parser, "minilm or smollm2")
    declared = "what weights in float32 come from (default: what config.json beside them says, if it does)"
    parser.add_argument("--lineage", choices=LINEAGES, help=declared)
    where = "write a copy with every value in its canonical form; with --lineage, weights in float32 are rounded to it"
    output_file(parser, "--clean", metavar="OUTPUT", help=where)
    parser.add_argument("--threads", type=integer, default=1, metavar="N", help="threads (default: 1)")
    add_output_format(parser)
    also_reads(parser, _config)


def _config(arguments: Namespace) -> list[Named]:
    from lowbit.models.packages import place_of

    place = place_of(arguments.checkpoint)
    return [(f"{NAME} beside the checkpoint", (place if place.is_dir() else place.parent) / NAME)]


def run(arguments: Namespace) -> int:
    from lowbit.campaign.scan import clean_file, scan_file
    from lowbit.models.packages import place_of

    checkpoint = place_of(arguments.checkpoint)
    with Bar() as bar:
        options: dict[str, Any] = {"lineage": arguments.lineage, "threads": arguments.threads, "progress": bar.tensors}
        scan = scan_file(checkpoint, **options)
        left = None
        if arguments.clean:
            clean_file(checkpoint, arguments.clean, lineage=arguments.lineage, progress=bar.tensors)
            left = scan_file(arguments.clean, **options)
    if arguments.output_format == "json":
        print_document(_document(scan, left, arguments), "lowbit/scan/1")
    else:
        _write(terminal(arguments), scan, left)
    say_written(arguments.clean)
    return 0


def _write(page: Terminal, scan: Scan, left: Scan | None) -> None:
    from lowbit.campaign.scan import UNSEEN, capacity_words
    from lowbit.files.audit import KINDS

    def findings(tally: Tally) -> None:
        for kind, (count, places, bits) in tally.found.items():
            page.write(f"    {count:,} of {places:,} {KINDS[kind]}: {capacity_words(bits)}")

    sizes = [sum(getattr(group, name) for group in scan.groups) for name in ("values", "stored")]
    count = sum(len(group.names) for group in scan.groups)
    page.write(f"{scan.container}: {counted(count, 'tensor')}, {sizes[0]:,} values in {sizes[1]:,} bytes")
    for group in scan.groups:
        head = f"{counted(len(group.names), 'tensor')} with {group.values:,} values: "
        page.write(f"  {head}{page.paint(excerpt(group.format, quoted=False), 'bold')}, {_bits(group)}")
        page.lines(f"    {line}" for text in _told(group) for line in wrapped(text, page.columns, 4))
        findings(group.tally)
    if scan.tally.found:
        page.write("  the file itself")
        findings(scan.tally)
    for note in scan.notes:
        page.write(note)
    page.write(f"capacity of what is not canonical: {capacity_words(scan.capacity)}")
    if left is not None:
        page.write(f"capacity that is left in the copy: {capacity_words(left.capacity)}")
    page.write("the audit cannot see:")
    page.lines(f"  {line}" for text in UNSEEN for line in wrapped(f"- {text}", page.columns, 2))


def _bits(group: Group) -> str:
    return f"{group.bits_per_weight:.4g} bits a weight" if group.values else "empty"


def _told(group: Group) -> list[str]:
    return [text for text in (group.packing, group.scales, first_names(group.names, LISTED)) if text]


def _document(scan: Scan, left: Scan | None, arguments: Namespace) -> dict[str, Any]:
    from lowbit.campaign.scan import UNSEEN

    return {
        "checkpoint": str(arguments.checkpoint),
        "container": scan.container,
        "groups": [
            {
                "format": group.format,
                "packing": group.packing,
                "scales": group.scales or None,
                "bits_per_weight": group.bits_per_weight,
                "values": group.values,
                "bytes": group.stored,
                "tensors": group.names,
                "findings": _records(group.tally),
            }
            for group in scan.groups
        ],
        "findings": _records(scan.tally),
        "capacity_bits": scan.capacity,
        "clean": None if left is None else {"output": str(arguments.clean), "capacity_bits": left.capacity},
        "notes": list(scan.notes),
        "not_seen": list(UNSEEN),
    }


def _records(tally: Tally) -> list[dict[str, Any]]:
    return [
        {"kind": kind, "count": count, "places": places, "capacity_bits": bits}
        for kind, (count, places, bits) in tally.found.items()
    ]
