"""``lowbit dequantize MODEL.safetensors --to float16 --output OUT.safetensors``: a checkpoint's values."""

from __future__ import annotations

from argparse import Namespace
from typing import Any

from lowbit.cli.model_report import add_file_options, show
from lowbit.cli.progress import Bar

DTYPES = ("float16", "bfloat16", "float32")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "dequantize",
        help="the values of a quantised checkpoint",
        description="Write the values of a checkpoint that `lowbit quantize` or compressed-tensors made, or of a GGUF "
        "file, one tensor after the other; config.json beside it says how it is quantised, unless its own metadata "
        "does. From a GGUF file into one that ends in .gguf, the metadata goes along.",
    )
    add_file_options(parser, "smollm2")
    parser.add_argument("--to", choices=DTYPES, default="bfloat16", help="the dtype of the values (default: bfloat16)")
    parser.add_argument(
        "--exact",
        action="store_true",
        help="round values of NVFP4 once; compressed-tensors rounds scale and product to binary32 first",
    )


def run(arguments: Namespace) -> int:
    from lowbit.campaign.checkpoint import dequantize_file
    from lowbit.models.packages import place_of

    with Bar() as bar:
        converted = dequantize_file(
            place_of(arguments.checkpoint),
            arguments.output,
            dtype=arguments.to,
            exact=arguments.exact,
            threads=arguments.threads,
            progress=bar.tensors,
        )
    show(converted, arguments, "dequantize", values=arguments.to)
    return 0
