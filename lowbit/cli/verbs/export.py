"""``lowbit export WHAT``: what other tools read, written from the tables of lowbit, from models and from plans."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from typing import Any

from lowbit.cli.file_options import input_file, output_file, say_written
from lowbit.cli.integer_models import NAMED, first_item, integer_model
from lowbit.cli.model_options import plan_formats, plan_left_out
from lowbit.cli.prototypes import header
from lowbit.cli.terminal import terminal
from lowbit.errors import UsageError
from lowbit.files.whole import require_writable, write_bytes, write_text
from lowbit.printable import counted

WORDS = {"qlinear": "QLinear operators", "integers": "operators of integers"}
"""What a layer is written with, as it is printed."""
PLANS = ("tensor_types", "compressed_tensors")
WHAT = ("prototypes", "onnx", "vectors", *PLANS)


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "export",
        help="what other tools read: a C header, an integer model as ONNX or vectors, a plan for a runtime",
        description="Write what other tools read. prototypes: a C header with the type of every function that `lowbit "
        "check --so` calls. onnx: the linear layers and convolutions of an integer model, with QLinear operators where "
        "ONNX Runtime's rounding is the scheme's, and with operators of integers elsewhere. tensor_types: a plan of "
        "`lowbit allocate` for llama-quantize --tensor-type-file. compressed_tensors: its quantization_config. "
        "vectors: a folder of .vec files, one for each parameter, input, intermediate and result of each layer of an "
        "integer model, and its graph as JSON.",
    )
    parser.add_argument("what", choices=WHAT, help="what to write")
    input_file(parser, "model", what="the model", nargs="?", metavar="MODEL|PLAN.json", help=f"onnx, vectors: {NAMED}")
    given = "vectors: values or codes, as `lowbit run` takes them; without it: the first of the held-out items"
    input_file(parser, "input", what="the input", nargs="?", metavar="INPUT", help=given)
    told = "onnx: exact, the codes of the model; qlinear, QLinear operators wherever there are such (default: exact)"
    parser.add_argument("--operators", choices=("exact", "qlinear"), help=told)
    where = "where to write; vectors: a new folder (default: standard output, but for onnx and vectors)"
    output_file(parser, "-o", "--output", metavar="FILE", help=where)


def run(arguments: Namespace) -> int:
    if arguments.what == "vectors":
        return _export_vectors(arguments)
    if arguments.input:
        raise UsageError(f"{arguments.input} is for `lowbit export vectors`, not for {arguments.what}")
    if arguments.what == "onnx":
        return _export_onnx(arguments)
    if arguments.what in PLANS:
        return _print(_of_plan(arguments), arguments)
    given = arguments.model or (arguments.operators and f"--operators {arguments.operators}")
    if given:
        raise UsageError(f"{given} is for `lowbit export onnx`, not for {arguments.what}")
    return _print(header(), arguments)


def _print(text: str, arguments: Namespace) -> int:
    if arguments.output:
        write_text(arguments.output, text)
        say_written(arguments.output)
    else:
        sys.stdout.write(text)
    return 0


def _of_plan(arguments: Namespace) -> str:
    from lowbit.allocate.runtimes import plan_config, tensor_types

    if not arguments.model or arguments.operators:
        hint = f"lowbit export {arguments.what} plan.json"
        raise UsageError(f"`lowbit export {arguments.what}` takes a plan, and no --operators", hint=hint)
    formats, others = plan_formats(arguments.model), plan_left_out(arguments.model)
    if arguments.what == PLANS[0]:
        return tensor_types(formats)
    return json.dumps({"quantization_config": plan_config(formats, others)}, indent=2) + "\n"


def _export_onnx(arguments: Namespace) -> int:
    from lowbit.models.onnx_export import EXACT, onnx_export

    if not arguments.model or not arguments.output:
        hint = "lowbit export onnx M.safetensors --output M.onnx"
        raise UsageError("`lowbit export onnx` takes a model and --output", hint=hint)
    require_writable(arguments.output)
    export = onnx_export(integer_model(arguments.model), operators=arguments.operators or EXACT)
    write_bytes(arguments.output, export.content)
    page = terminal(arguments)
    for name, sentence in export.layers.items():
        page.write(f"{name}: {WORDS[export.operators[name]]}; {sentence or 'the same codes'}")
    for name, reason in export.left_out.items():
        page.write(f"{name}: left out; {reason}")
    say_written(arguments.output)
    return 0


def _export_vectors(arguments: Namespace) -> int:
    from lowbit.files.arrays import read_arrays
    from lowbit.models.export.vectors import write_layer_vectors
    from lowbit.models.inputs import input_codes

    if not arguments.model or not arguments.output:
        hint = "lowbit export vectors M.safetensors INPUT.npy --output vectors"
        raise UsageError("`lowbit export vectors` takes a model and --output", hint=hint)
    if arguments.operators:
        raise UsageError(f"--operators {arguments.operators} is for `lowbit export onnx`, not for vectors")
    require_writable(arguments.output, folder=True)
    if arguments.input is None:
        model, codes = first_item(arguments.model)
    else:
        model = integer_model(arguments.model)
        codes = input_codes(model, read_arrays(arguments.input))
    count = write_layer_vectors(arguments.output, model, codes)
    terminal(arguments).write(f"{counted(len(model.nodes), 'layer')}, {counted(count, 'file')}")
    say_written(arguments.output)
    return 0
