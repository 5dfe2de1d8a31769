"""``lowbit evaluate MODEL --methods gptq,awq --to int4.g128,nvfp4 ...``: quantisers of a model, side by side."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

from lowbit.cli.file_options import also_writes, input_file, output_file, say_written
from lowbit.cli.integer_models import add_conversion_options, evaluate_layers
from lowbit.cli.model_options import (
    add_selection,
    add_work_options,
    excluded,
    journal_of,
    listed,
    own_journal,
    plan_formats,
    tasks_bar,
)
from lowbit.cli.model_report import model_file
from lowbit.cli.terminal import add_output_format, print_document, terminal, wrapped
from lowbit.errors import UsageError
from lowbit.files.whole import require_writable, write_text
from lowbit.printable import counted, printable

SUFFIXES = (".html", ".svg", ".json")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "evaluate",
        help="what quantisers and formats make of a model: bits against what they cost",
        description="Quantise the linear layers of a model by every method in every format, and measure on text that "
        "no method has seen: bits a weight, the error of the layers' outputs, and of sentence models the cosine of the "
        "sentences' vectors and those of the float model, of language models the perplexity. What a method cannot do "
        "is left out, and the reason is printed. A run that was stopped goes on where it was, with --output or "
        "--journal.",
    )
    model_file(parser, "model", "the model", "config.json and vocab.txt beside it, a GGUF file, minilm or smollm2")
    methods = (
        "quantisers, NAME[:VARIANT][:OPTION=VALUE]...: rtn,awq:duo_scaling,gptq:order=activation:damping=0.02; "
        "`lowbit list methods` has them, `lowbit explain NAME` variants, `lowbit explain OPTION` options"
    )
    parser.add_argument("--methods", default="", metavar="LIST", help=methods)
    formats = (
        "block formats: int4.g128,nf4.g64,mxfp4, ...; + between those that one method chooses from (default: the one "
        "that each method works in unasked)"
    )
    parser.add_argument("--to", metavar="LIST", help=formats)
    caches = "what keys and values of a language model are kept in, weights as they are: kivi2, kivi4, nsnquant1, "
    parser.add_argument(
        "--kv-formats", "--kv-format", default="", metavar="LIST", help=caches + "nsnquant2, or block formats"
    )
    plan = "a plan of `lowbit allocate`: each layer in the format that it has there"
    input_file(parser, "--plan", what="the plan", metavar="PLAN.json", help=plan)
    seen = "text that methods see, UTF-8, a sentence a line; needed by gptq, awq and others"
    input_file(parser, "--calibrate", what="the calibration text", metavar="TEXT", help=seen)
    held_out = "text that everything is measured on"
    input_file(parser, "--held-out", what="the held-out text", metavar="TEXT", help=held_out)
    integers = "an integer model beside its float twin, layer by layer; MODEL is a file of one, mnist_vit, ..., minilm"
    parser.add_argument("--layers", action="store_true", help=integers)
    add_conversion_options(parser)
    add_selection(parser)
    add_work_options(parser.add_argument_group("how the work is done"))
    written = "write the table and a picture: .html, .svg or .json; several times for several files"
    output_file(parser, "-o", "--output", metavar="FILE", action="append", default=[], help=written)
    add_output_format(parser)
    also_writes(parser, own_journal)


def run(arguments: Namespace) -> int:
    from lowbit.cli.report import evaluate as report
    from lowbit.models.evaluation import Subject, evaluate_model
    from lowbit.models.joint import DEFAULT
    from lowbit.models.packages import weights_of

    if arguments.layers:
        return evaluate_layers(arguments)
    methods, formats, caches = listed(arguments.methods), listed(arguments.to or ""), listed(arguments.kv_formats)
    if arguments.preset:
        raise UsageError("--preset is for --layers")
    if not arguments.held_out:
        raise UsageError(
            "`lowbit evaluate` takes --held-out TEXT",
            hint="a text in UTF-8: sentences, a line each, for a model of sentences; any for a language model",
        )
    if not methods and not caches:
        hint = "--methods rtn,gptq --to int4.g128, say; of a language model also --kv-formats kivi2"
        raise UsageError("`lowbit evaluate` takes --methods", hint=hint)
    suffixes = {output: _suffix(output) for output in arguments.output}
    for output in arguments.output:
        require_writable(output)
    plans = {}
    if arguments.plan:
        plans = {"plan": {layer: fmt.id for layer, fmt in plan_formats(arguments.plan).items()}}
    subject = Subject.of(
        weights_of(arguments.model),
        arguments.calibrate,
        arguments.held_out,
        plans,
        include=arguments.include,
        exclude=excluded(arguments),
    )
    with journal_of(arguments) as journal, tasks_bar("combinations") as progress:
        rows, refused = evaluate_model(
            subject,
            methods,
            [*formats, *plans] or [DEFAULT],
            caches=caches,
            journal=journal,
            jobs=arguments.jobs,
            scheduler=arguments.scheduler,
            progress=progress,
        )
        document = report.document(arguments.model, subject, rows, refused)
        for output, suffix in suffixes.items():
            write_text(output, report.written(suffix, document, rows, refused))
    if arguments.output_format == "json":
        print_document(document)
    else:
        _write(arguments, rows, refused, document)
    say_written(*arguments.output)
    return 0


def _suffix(output: str) -> str:
    suffix = Path(output).suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--output {output}: the name ends in none of {', '.join(SUFFIXES)}")
    return suffix


def _write(arguments: Namespace, rows: Any, refused: Any, document: dict[str, Any]) -> None:
    from lowbit.cli.report import evaluate as report

    page = terminal(arguments)
    page.table([report.heads(rows[0]), *map(report.cells, rows)], right=report.right(rows[0]))
    layers, held_out = (
        counted(document["layers"], "layer"),
        counted(document["held_out"], f"held-out {document['sample']}"),
    )
    told = f"{layers} with {document['weights']:,} weights; {held_out}"
    page.lines(
        wrapped(f"{told}, {document['calibration']} of the calibration; {report.meaning(rows[0])}", page.columns)
    )
    for note in document["notes"]:
        page.lines(wrapped(printable(note, line=True), page.columns))
    for item in refused:  # a line each, to be searched
        page.write(printable(report.left_out(item), line=True))
