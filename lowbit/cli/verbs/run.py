"""``lowbit run MODEL INPUT``: an integer model, from values or codes to codes and labels."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

import numpy as np

from lowbit.cli.file_options import input_file, output_file, say_written
from lowbit.cli.integer_models import NAMED, add_conversion_options, add_sentences, opened
from lowbit.cli.terminal import add_output_format, print_document, terminal
from lowbit.errors import UsageError
from lowbit.printable import excerpt

SCHEMA = "lowbit/run/1"
LISTED = 20
"""Items that text lists; JSON and the files have them all."""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "run",
        help="an integer model: codes in, codes and labels out",
        description="Run an integer model. Nothing floats between its input codes and its output codes; floating-point "
        "inputs become the nearest codes first. Classifiers name the label of the largest code of each item.",
    )
    input_file(parser, "model", what="the model", metavar="MODEL", help=NAMED)
    arrays = "values (floats) or codes (integers): .npy, or .npz or .safetensors with an array for each input"
    more = "; without it: the held-out data of the model, float and integer side by side"
    input_file(parser, "input", what="the input", nargs="?", metavar="INPUT", help=arrays + more)
    add_conversion_options(parser)
    plan = "a plan of `lowbit allocate`: the format of each weight of a float model, int8.channel or int4.channel"
    input_file(parser, "--plan", what="the plan", metavar="PLAN.json", help=plan)
    add_sentences(parser)
    output_file(parser, "--save", metavar="FILE", help="write the integer model that a float one became: .safetensors")
    output_file(parser, "-o", "--output", metavar="FILE", help="write the output codes: .npy, .npz or .safetensors")
    dump = "write every intermediate of every layer, LAYER:LABEL, and every result, LAYER: .npz or .safetensors"
    output_file(parser, "--dump", metavar="FILE", help=dump)
    add_output_format(parser)


def run(arguments: Namespace) -> int:
    from lowbit.files.arrays import read_arrays, write_arrays
    from lowbit.files.kinds import SAFETENSORS, require_suffix
    from lowbit.files.whole import require_writable
    from lowbit.models.inputs import input_codes
    from lowbit.models.store import write_model

    for name in (arguments.output, arguments.dump, arguments.save):
        if name:
            require_writable(name)
    if arguments.save:
        require_suffix(arguments.save, SAFETENSORS)
    if arguments.input is None and (arguments.output or arguments.dump):
        raise UsageError("--output and --dump take an INPUT", hint=".npy, .npz or .safetensors")
    _require_places(arguments, several=False)
    model, subject = opened(arguments, measured=arguments.input is None)
    _require_places(arguments, several=len(model.outputs) > 1)
    if subject is not None and arguments.input is None:
        _measure(arguments, model, subject)
        if arguments.save:
            write_model(arguments.save, model)
        say_written(arguments.save)
        return 0
    codes = input_codes(model, read_arrays(arguments.input))
    dump: dict[str, Any] = {}

    def trace(name: str, step: Any) -> None:
        dump[f"{name}:{step.label}"] = dump[name] = step.codes

    results = model.run(codes, trace if arguments.dump else None)
    outputs = results if isinstance(results, dict) else {model.outputs[0]: results}
    if arguments.output:
        write_arrays(arguments.output, outputs)
    if arguments.dump:
        write_arrays(arguments.dump, dump)
    if arguments.save:
        write_model(arguments.save, model)
    if arguments.output_format == "json":
        print_document(_document(model, outputs), SCHEMA)
    else:
        _write(arguments, model, outputs)
    say_written(arguments.output, arguments.dump, arguments.save)
    return 0


def _require_places(arguments: Namespace, *, several: bool) -> None:
    """Refuse names of files that have no place for one output, or ``several``, or for a dump."""
    from lowbit.files.arrays import require_place

    for name, more in ((arguments.output, several), (arguments.dump, True)):
        if name:
            require_place(name, several=more)


def _measure(arguments: Namespace, model: Any, subject: Any) -> None:
    """Float and integer side by side on held-out data."""
    from dataclasses import asdict

    from lowbit.cli.report.layers import told
    from lowbit.models.conversion.layerwise import measure

    outcome = measure(subject, model)
    if arguments.output_format == "json":
        print_document({"outcome": asdict(outcome)}, SCHEMA)
        return
    page = terminal(arguments)
    preset = excerpt(str(model.facts.get("preset", "")), quoted=False)
    page.write(
        f"{subject.name}: {len(model.nodes)} integer layers, arithmetic of {preset}; nothing floats between them"
    )
    page.lines(told(outcome))


def _labels(model: Any, outputs: dict[str, Any]) -> list[str]:
    """The label of each item; none for a model that is not a classifier."""
    names, codes = model.facts.get("labels", []), outputs[model.outputs[0]]
    if not names or not isinstance(names, list) or codes.shape[-1:] != (len(names),):
        return []
    return [str(names[place]) for place in codes.reshape(-1, len(names)).argmax(axis=-1)]


def _document(model: Any, outputs: dict[str, Any]) -> dict[str, Any]:
    described = {}
    for name, codes in outputs.items():
        quantity = model.quantity(name)
        described[name] = {
            "format": quantity.format,
            "scale": quantity.scale,
            "zero_point": quantity.zero_point,
            "codes": codes.tolist(),
        }
    return {"outputs": described, "labels": _labels(model, outputs)}


def _write(arguments: Namespace, model: Any, outputs: dict[str, Any]) -> None:
    page, labels = terminal(arguments), _labels(model, outputs)
    for name, codes in outputs.items():
        quantity = model.quantity(name)
        rows = codes.reshape(-1, codes.shape[-1]) if codes.ndim else codes.reshape(1, 1)
        page.write(
            f"{name}: {quantity.format} codes of shape {codes.shape}; a code is worth (code - {quantity.zero_point}) * "
            f"{quantity.scale:.6g}"
        )
        for place, row in enumerate(rows[:LISTED]):
            label = f"{excerpt(labels[place], quoted=False)}: " if labels else ""
            page.write(f"  {place}: {label}{np.array2string(row, threshold=16, max_line_width=np.iinfo(int).max)}")
        if len(rows) > LISTED:
            page.write(f"  and {len(rows) - LISTED:,} more; --output FILE has them all")
