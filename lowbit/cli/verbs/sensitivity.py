"""``lowbit sensitivity``: what each format would cost each layer of a model."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import also_writes, input_file, output_file
from lowbit.cli.model_options import (
    add_model_options,
    journal_of,
    measure,
    model_problem,
    own_journal,
    require_calibration,
)
from lowbit.cli.model_report import left_out_heading, model_file, write_left_out
from lowbit.cli.terminal import add_output_format, print_document, terminal, wrapped
from lowbit.files.whole import require_writable
from lowbit.printable import counted, excerpt, printable

if TYPE_CHECKING:
    from lowbit.allocate.problem import Problem
    from lowbit.allocate.sensitivity import Measured


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "sensitivity",
        help="what each format would cost each layer of a model",
        description="Quantise every layer of a safetensors file to nearest in every format, and measure. The result "
        "is a table, or with --output a file of costs that `lowbit allocate` reads. With --output a run that was "
        "stopped goes on where it was.",
    )
    model_file(parser, "model", "the model", "a GGUF file in floats")
    add_model_options(parser)
    method = (
        "measure what a quantiser makes of the layers, NAME[:VARIANT][:OPTION=VALUE]...: gptq, awq:duo_scaling, "
        "gptq:order=activation, ... (default: round to nearest)"
    )
    parser.add_argument("--method", metavar="NAME", help=method)
    seen = "sentences, UTF-8, a line each, in place of --inputs; MODEL is then minilm, or the folder of a BERT model"
    input_file(parser, "--calibrate", what="the calibration text", metavar="TEXT", help=seen)
    output_file(parser, "-o", "--output", metavar="COSTS.toml", help="write the costs to a file")
    add_output_format(parser)
    also_writes(parser, own_journal)


def run(arguments: Namespace) -> int:
    from lowbit.models.packages import weights_of
    from lowbit.quantizers.method import chosen

    method = chosen(arguments.method) if arguments.method else None
    if method:
        require_calibration(method, arguments)
    if arguments.output:
        require_writable(arguments.output)
    model = str(weights_of(arguments.model))
    with journal_of(arguments) as journal:
        measured = measure(model, arguments, journal)
        problem = model_problem(model, measured, arguments)
        if arguments.output:
            from lowbit.allocate import write_costs

            write_costs(_stored(problem, measured), arguments.output)
    notes = _notes(model, measured) if method else []
    if arguments.output_format == "json":
        print_document({**_document(measured, problem), "notes": notes}, "lowbit/sensitivities/1")
    else:
        _write(measured, problem, arguments, notes)
    return 0


def _notes(model: str, measured: Measured) -> list[str]:
    """What must be known of what the method makes of the layers, as `lowbit evaluate` says it."""
    from lowbit.models.evaluation import notes_on

    settings, layers = measured.settings, [layer.name for layer in measured.layers]
    return notes_on([settings.method], model, settings.calibration, layers)


def _stored(problem: Problem, measured: Measured) -> Problem:
    """The same with the formats as they were measured, scales included: a file of costs has nothing else to say it."""
    names = tuple(measured.settings.stored(name).id for name in measured.settings.formats)
    return replace(problem, choices=(names,) * len(problem.layers))


def _losses(measured: Measured, problem: Problem) -> list[list[float]]:
    width = len(measured.settings.formats)
    return [
        [float(loss) for loss in problem.losses[at * width : (at + 1) * width]] for at in range(len(problem.layers))
    ]


def _document(measured: Measured, problem: Problem) -> dict[str, Any]:
    from lowbit.allocate.model import left_out_records

    layers = [
        {
            "layer": layer.name,
            "shape": list(layer.shape),
            "choices": [
                {
                    "format": name,
                    "loss": loss,
                    "bits": errors.bits,
                    "entropy_bits": errors.entropy_bits,
                    "squared_error": errors.loss("squared_error"),
                }
                for name, loss, errors in zip(measured.settings.formats, losses, layer.errors, strict=True)
            ],
        }
        for layer, losses in zip(measured.layers, _losses(measured, problem), strict=True)
    ]
    return {
        "model": problem.name,
        "layers": layers,
        "left_out": left_out_records(measured),
        "unscaled": list(measured.unscaled),
    }


def _write(measured: Measured, problem: Problem, arguments: Namespace, notes: list[str]) -> None:
    page = terminal(arguments)
    names = measured.settings.formats
    rows = [
        (excerpt(layer.name, quoted=False), "x".join(map(str, layer.shape)), *(f"{loss:.3g}" for loss in losses))
        for layer, losses in zip(measured.layers, _losses(measured, problem), strict=True)
    ]
    page.table([("layer", "shape", *names), *rows], right=range(1, len(names) + 2))
    by = f" by {arguments.method}" if arguments.method else ""
    layers = f"{arguments.score}{by} of {counted(len(measured.layers), 'layer')} with {measured.parameters:,} weights"
    scales = measured.settings.scales
    page.write(f"{layers}{scales and ', '}{scales}; {left_out_heading(measured.left_out)}")
    write_left_out(page, measured.left_out, measured.unscaled)
    for note in notes:
        page.lines(wrapped(printable(note, line=True), page.columns))
    if arguments.output:
        page.write(f"written: {arguments.output}; lowbit allocate {arguments.output} --budget avg_bits=4")
