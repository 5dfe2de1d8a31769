"""``lowbit quantize MODEL.safetensors --to FORMAT --output OUT.safetensors``: a checkpoint into a block format."""

from __future__ import annotations

import json
from argparse import Namespace
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import input_file
from lowbit.cli.model_options import add_selection, excluded
from lowbit.cli.model_report import add_file_options, show
from lowbit.cli.progress import Bar
from lowbit.errors import InputError, UsageError
from lowbit.files.reading import unreadable
from lowbit.printable import excerpt

if TYPE_CHECKING:
    from lowbit.format.block import BlockFormat

CONTAINERS = ("compressed_tensors", "lowbit")
INTEGERS = ("packed", "bytes")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "quantize",
        help="a checkpoint's matrices into a block format",
        description="Quantise the matrices of a safetensors file, one after the other, and copy its other tensors. "
        "compressed-tensors reads the result, and with it vLLM and transformers, where it has the format; others are "
        "stored in a way of lowbit's own.",
    )
    add_file_options(parser)
    parser.add_argument("--to", metavar="FORMAT", help="the block format: nvfp4, mxfp4, int4.g128, ...")
    plan = "instead of --to: the formats of a plan of `lowbit allocate`"
    input_file(parser, "--plan", what="the plan", metavar="PLAN.json", help=plan)
    parser.add_argument("--policy", metavar="PRESET", help="a block policy (default: the format's own)")
    add_selection(parser)
    parser.add_argument(
        "--container", choices=CONTAINERS, help="how it is stored (default: compressed_tensors where that is possible)"
    )
    parser.add_argument(
        "--integers",
        choices=INTEGERS,
        default=INTEGERS[0],
        help="how compressed-tensors has integers: packed (pack-quantized, the default), or bytes (int-quantized, int8 "
        "alone)",
    )


def run(arguments: Namespace) -> int:
    from lowbit.campaign.checkpoint import quantize_file

    if (arguments.to is None) == (arguments.plan is None):
        raise UsageError("`lowbit quantize` takes --to FORMAT or --plan PLAN.json", hint="--to nvfp4, say")
    with Bar() as bar:
        converted = quantize_file(
            arguments.checkpoint,
            arguments.output,
            arguments.to if arguments.plan is None else _formats(arguments.plan),
            policy=arguments.policy,
            include=arguments.include,
            exclude=excluded(arguments),
            container=arguments.container,
            integers=arguments.integers,
            threads=arguments.threads,
            progress=bar.tensors,
        )
    show(converted, arguments, "quantize")
    return 0


def _formats(path: str) -> dict[str, BlockFormat]:
    """The block format of each layer of a plan; a scalar format has the scales with which it was measured."""
    from lowbit.allocate.sensitivity.stored_weights import stored_format

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        measured = document.get("model") or {}
        group, scale = index(measured.get("group", 0)), str(measured.get("scale_format", "float16"))
        choices = {str(layer["layer"]): str(layer["choice"]) for layer in document["layers"]}
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        hint = "`lowbit allocate --model ... --output FILE` writes one"
        raise InputError(f"{path} is not a plan: {excerpt(str(error))}", hint=hint) from error
    return {layer: stored_format(choice, group, scale) for layer, choice in choices.items()}
