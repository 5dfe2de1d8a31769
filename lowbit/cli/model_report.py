"""What verbs of models share: the files of ``quantize`` and ``dequantize``, and what was left as it is, in words."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import also_reads, also_writes, input_file, output_file, say_written
from lowbit.cli.number_types import integer
from lowbit.cli.terminal import Terminal, add_output_format, print_document, terminal, wrapped
from lowbit.files.distinct import Named
from lowbit.files.whole import is_stream
from lowbit.printable import counted, first_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lowbit.campaign.checkpoint import Converted
    from lowbit.files.selection import LeftOut

LISTED = 4
"""Tensors named for each reason; JSON and the plan's file have them all."""


def left_out_heading(left_out: Sequence[LeftOut]) -> str:
    """How many tensors are left as they are."""
    count, numbers = len(left_out), sum(item.size for item in left_out)
    return f"{counted(count, 'tensor')} with {counted(numbers, 'number')} left as they are"


def write_left_out(page: Terminal, left_out: Sequence[LeftOut], unscaled: Sequence[str] = ()) -> None:
    """A line for each reason, with the names."""
    groups: dict[str, list[str]] = {}
    for item in left_out:
        groups.setdefault(item.reason, []).append(item.name)
    if unscaled:
        reason = "8-bit floats without scales beside them are measured by the values that they hold"
        groups[reason] = list(unscaled)
    for reason, names in groups.items():
        listed = first_names(names, LISTED)
        page.lines(f"  {line}" for line in wrapped(f"{reason}: {listed}", page.columns, 2))


def checkpoint_file(parser: Any, package: str) -> None:
    """Add the argument that names a checkpoint: a file, a folder, or a package, of which help names one."""
    told = f"the checkpoint: a .safetensors or .gguf file, the folder of a model's files, or {package}"
    input_file(parser, "checkpoint", what="the checkpoint", path_of=_place, metavar="MODEL", help=told)


def add_file_options(parser: Any, package: str) -> None:
    """The checkpoint, the output, and how the work is done."""
    checkpoint_file(parser, package)
    where = "the file to write, or the new folder"
    output_file(parser, "-o", "--output", required=True, metavar="OUT.safetensors", help=where)
    parser.add_argument("--threads", type=integer, default=1, metavar="N", help="threads (default: 1)")
    add_output_format(parser)
    also_writes(parser, config_of_output)
    also_reads(parser, lambda arguments: _beside(arguments.checkpoint, "the checkpoint"))


def model_file(parser: Any, name: str, what: str, *more: str) -> None:
    """Add the argument that names a model: its weights, a folder with them, or ``minilm``."""
    told = ", ".join(["a .safetensors file, or a folder with model.safetensors", *more])
    input_file(parser, name, what=what, path_of=_weights, metavar="MODEL", help=f"{what}: {told}")
    also_reads(parser, lambda arguments: _beside(getattr(arguments, name.lstrip("-")), what))


def _place(model: str) -> str:
    from lowbit.models.packages import place_of

    return str(place_of(model))


def _weights(model: str) -> str:
    from lowbit.models.packages import weights_of

    return str(weights_of(model))


def _beside(model: str | None, what: str) -> list[Named]:
    from lowbit.models.sentences import BESIDE

    if model is None:
        return []
    return [(f"{name} of {what}", Path(_weights(model)).parent / name) for name in BESIDE]


def config_of_output(arguments: Namespace) -> list[Named]:
    """The config.json beside an output in another folder."""
    from lowbit.files.model_config import NAME, same_folder

    source, output = Path(_place(arguments.checkpoint)), Path(arguments.output)
    if source.is_dir():
        return []  # a new folder has nothing in it
    if is_stream(output) or same_folder(source, output):
        return []
    return [(f"{NAME} beside {output}", output.parent / NAME)]


def show(converted: Converted, arguments: Namespace, verb: str, values: str = "") -> None:
    """Say what was done: on standard output, or on standard error where the checkpoint goes there.

    ``values`` is the dtype of values that are written, if any are.
    """
    streamed = is_stream(arguments.output)
    if arguments.output_format == "json" and not streamed:
        document = _document(converted, arguments) | ({"dtype": values} if values else {})
        print_document(document, f"lowbit/{verb}/1")
    else:
        _write(Terminal(arguments.color, sys.stderr) if streamed else terminal(arguments), converted, values)
    say_written(arguments.output, str(converted.config) if converted.config else None)


def _write(page: Terminal, converted: Converted, values: str) -> None:
    for fmt, size, count, kind in _formats(converted):
        page.write(f"{counted(count, 'tensor')} with {size:,} values: {fmt}, {kind}" + f"; now {values}" * bool(values))
    if converted.left_out:
        page.write(left_out_heading(converted.left_out))
    write_left_out(page, converted.left_out)
    for note in converted.notes:
        page.write(note)


def _formats(converted: Converted) -> list[tuple[str, int, int, str]]:
    """Of each format: its id, how many values and tensors are in it, and where it is described."""
    from lowbit.files.compressed_tensors import kind_as_stored

    totals: dict[str, tuple[str, int, int, str]] = {}
    for tensor in converted.tensors:
        name = tensor.format.id
        own = {"lowbit": "lowbit's own", "gguf": "GGUF"}
        kind = own.get(converted.container) or f"{kind_as_stored(tensor)} of compressed-tensors"
        _, values, count, _ = totals.get(name, (name, 0, 0, kind))
        totals[name] = (name, values + tensor.size, count + 1, kind)
    return list(totals.values())


def _document(converted: Converted, arguments: Namespace) -> dict[str, Any]:
    return {
        "checkpoint": str(arguments.checkpoint),
        "output": str(arguments.output),
        "config": str(converted.config) if converted.config else None,
        "container": converted.container,
        "tensors": [
            {"tensor": tensor.name, "shape": list(tensor.shape), "format": tensor.format.id}
            for tensor in converted.tensors
        ],
        "left_out": [item.record for item in converted.left_out],
        "notes": list(converted.notes),
    }
