"""``lowbit quantize MODEL --to FORMAT --output OUT.safetensors``: a checkpoint into a block format, by any method."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import also_writes, input_file
from lowbit.cli.model_options import (
    add_selection,
    add_work_options,
    excluded,
    journal_of,
    own_journal,
    plan_formats,
    require_calibration,
    tasks_bar,
)
from lowbit.cli.model_report import add_file_options, config_of_output, show
from lowbit.cli.progress import Bar
from lowbit.errors import UsageError
from lowbit.files.distinct import Named
from lowbit.printable import counted

if TYPE_CHECKING:
    from lowbit.campaign.checkpoint import Converted

CONTAINERS = ("compressed_tensors", "lowbit", "gguf")
INTEGERS = ("packed", "bytes")
CODERS = ("huffman", "rans")
WORK = ("calibrate", "journal", "scheduler")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "quantize",
        help="a checkpoint's matrices into a block format",
        description="Quantise the matrices of a safetensors file, one after the other, and copy its other tensors. "
        "compressed-tensors reads the result, and with it vLLM and transformers, where it has the format; others are "
        "stored in a way of lowbit's own; ggml's (ggml_q4_0, ...) go into a GGUF file where the output ends so. With "
        "--method a run that was stopped goes on where it was.",
    )
    add_file_options(parser, "minilm")
    formats = (
        "the block format: nvfp4, mxfp4, int4.g128, ...; + between those that a method chooses from (default with "
        "--method: the method's own)"
    )
    parser.add_argument("--to", metavar="FORMAT", help=formats)
    plan = "instead of --to: the formats of a plan of `lowbit allocate`"
    input_file(parser, "--plan", what="the plan", metavar="PLAN.json", help=plan)
    parser.add_argument("--policy", metavar="PRESET", help="a block policy (default: the format's own)")
    add_selection(parser)
    parser.add_argument(
        "--container",
        choices=CONTAINERS,
        help="how it is stored (default: gguf if the output ends so, else compressed_tensors where that is possible)",
    )
    parser.add_argument(
        "--integers",
        choices=INTEGERS,
        default=INTEGERS[0],
        help="how compressed-tensors has integers: packed (pack-quantized, the default), or bytes (int-quantized, int8 "
        "alone)",
    )
    coder = "code the codes without loss where that saves bytes; the container is then lowbit's own"
    parser.add_argument("--entropy", choices=CODERS, help=coder)
    squares = (
        "llama.cpp's importance matrix, GGUF or .dat: how much the columns count where ggml searches, in the K-quants, "
        "IQ4, and Q4_0 to Q5_1 (ggml_q4_k, ...)"
    )
    input_file(parser, "--importance", what="the importance matrix", metavar="IMATRIX", help=squares)
    group = parser.add_argument_group("a published quantiser")
    method = (
        "NAME[:VARIANT][:OPTION=VALUE]...: gptq, awq:duo_scaling, gptq:order=activation:damping=0.02; `lowbit list "
        "methods` has them (default: round to nearest)"
    )
    group.add_argument("--method", metavar="NAME", help=method)
    seen = "sentences that the method sees, UTF-8, a line each; MODEL is then minilm, or the folder of a BERT model"
    input_file(group, "--calibrate", what="the calibration text", metavar="TEXT", help=seen)
    add_work_options(group)
    also_writes(parser, _also_written)


def _also_written(arguments: Namespace) -> list[Named]:
    return [*config_of_output(arguments), *(own_journal(arguments) if arguments.method else ())]


def run(arguments: Namespace) -> int:
    lacking = [arguments.to, arguments.plan].count(None)
    if not lacking or (lacking == 2 and not arguments.method):
        raise UsageError("`lowbit quantize` takes --to FORMAT or --plan PLAN.json", hint="--to nvfp4, say")
    show(_by_method(arguments) if arguments.method else _to_nearest(arguments), arguments, "quantize")
    return 0


def _refuse_work(arguments: Namespace) -> None:
    """Refuse options of methods where there is none: UsageError."""
    alone = next((name for name in WORK if getattr(arguments, name) is not None), "jobs" * (arguments.jobs != 1))
    if alone:
        raise UsageError(f"--{alone} is for --method", hint="--method gptq, say")


def _options(arguments: Namespace) -> dict[str, Any]:
    """What every quantisation takes."""
    names = ("policy", "include", "container", "integers", "entropy", "threads")
    return {name: getattr(arguments, name) for name in names} | {"exclude": excluded(arguments)}


def _to_nearest(arguments: Namespace) -> Converted:
    from lowbit.campaign.checkpoint import quantize_file
    from lowbit.models.packages import place_of

    _refuse_work(arguments)
    with Bar() as bar:
        return quantize_file(
            place_of(arguments.checkpoint),
            arguments.output,
            arguments.to if arguments.plan is None else plan_formats(arguments.plan),
            importance=arguments.importance,
            progress=bar.tensors,
            **_options(arguments),
        )


def _by_method(arguments: Namespace) -> Converted:
    from lowbit.models.packages import place_of
    from lowbit.models.quantization import quantize_by_method
    from lowbit.quantizers.method import chosen

    if arguments.importance:
        hint = "leave one of them out; methods weigh by the sentences of --calibrate"
        raise UsageError("--importance is for ggml's own searches, not for --method", hint=hint)
    method = chosen(arguments.method)
    require_calibration(method, arguments)
    formats = {} if arguments.plan is None else plan_formats(arguments.plan)
    with journal_of(arguments) as journal, tasks_bar("layers") as progress:
        converted, layers = quantize_by_method(
            place_of(arguments.checkpoint),
            arguments.output,
            {name: block.id for name, block in formats.items()} if arguments.plan else arguments.to,
            method=arguments.method,
            calibration=arguments.calibrate,
            journal=journal,
            jobs=arguments.jobs,
            scheduler=arguments.scheduler,
            progress=progress,
            **_options(arguments),
        )
    errors = [layer.error for layer in layers.values()]
    sizes = [tensor.size for tensor in converted.tensors]
    bits = sum(layers[tensor.name].bits * tensor.size for tensor in converted.tensors) / sum(sizes)
    of = "the outputs on the calibration" if arguments.calibrate else "the weights"
    note = f"{method.name}: {bits:.3f} bits a weight, relative squared error of {of} {sum(errors) / len(errors):.4g}"
    return replace(converted, notes=(*converted.notes, f"{note}, the mean of {counted(len(errors), 'tensor')}"))
