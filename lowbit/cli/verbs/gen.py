"""``lowbit gen OPERATION``: make a vector set and write it as .vec, CSV, .npy or packed words."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

from lowbit.cli.file_options import output_file
from lowbit.cli.gen_kernel import KERNELS, add_kernel_options, generate_kernel, write_file
from lowbit.cli.number_types import integer
from lowbit.cli.operation_options import conversion_formats, refuse_other_options
from lowbit.cli.verbs.encode import add_policy_options
from lowbit.errors import UsageError
from lowbit.vectors.cast.sets import conversion_inputs, conversion_set
from lowbit.vectors.layouts import BINARY_LAYOUTS, LAYOUTS, render_layout
from lowbit.vectors.operations import CONVERSIONS
from lowbit.vectors.recipe import Recipe

SETS = ("boundary", "random", "exhaustive")
ORACLE_UP_TO = 50_000
"""Larger sets take their expected codes from the kernels: the oracle does about 50,000 a second."""

FARTHEST = 1000
"""Ulps beside a point: more would be most of the inputs, and fill the memory."""

DISTRIBUTIONS = ("bits", "normal")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "gen",
        help="generate test vectors",
        description="Generate the inputs of a conversion, and with --expected the codes that the oracle asks for; or "
        "dot products, accumulators, outputs of layers, rows of codes and whole cases for `check gemm` and its like. "
        "The same arguments give the same bytes forever.",
    )
    parser.add_argument(
        "op",
        choices=(*CONVERSIONS, *KERNELS),
        help="encode (from float32), decode (to float32), convert, gemm, requantize, softmax, ...",
    )
    parser.add_argument("--from", dest="source", metavar="FORMAT", help="the format of the inputs")
    parser.add_argument("--to", dest="target", metavar="FORMAT", help="the format of the outputs")
    add_policy_options(parser)
    parser.add_argument("--set", choices=SETS, default="boundary", help="which inputs (default: boundary)")
    parser.add_argument("--reach", type=integer, default=3, help="boundary: source ulps beside each point (default: 3)")
    parser.add_argument("--n", type=integer, metavar="ROWS", help="random: how many (default: 1000)")
    parser.add_argument("--seed", type=integer, metavar="SEED", help="random: from which seed (default: 0)")
    parser.add_argument("--distribution", choices=DISTRIBUTIONS, help="random: any bits (default), or about N(0, 1)")
    parser.add_argument("--expected", action="store_true", help="conversions: add the codes that the policy asks for")
    add_kernel_options(parser)
    output_file(
        parser,
        "-o",
        "--output",
        metavar="FILE",
        help="where to write (default: standard output); FILE.npz, "
        "for gemm, requantize and nonlinearities: the whole cases of `check` as NumPy arrays",
    )
    parser.add_argument(
        "--layout",
        choices=LAYOUTS,
        default="vec",
        help="form of the file (default: vec); for conversions also npy: a vector of input codes, "
        "with --expected a structured array; hex: one packed word a row; csv",
    )


def run(arguments: Namespace) -> int:
    refuse_other_options(arguments, "gen")
    if arguments.op in KERNELS:
        return generate_kernel(arguments)
    recipe = _recipe(arguments)
    binary = arguments.layout in BINARY_LAYOUTS
    if binary and not arguments.output:
        hint = "name a file with --output FILE"
        raise UsageError(f"the layout {arguments.layout!r} is binary", hint=hint)
    file = conversion_set(recipe, oracle_up_to=ORACLE_UP_TO) if arguments.expected else conversion_inputs(recipe)
    data = render_layout(file, arguments.layout)
    if arguments.output:
        write_file(arguments.output, data, f"{len(file.rows)} rows")
    else:
        sys.stdout.write(data.decode("ascii"))
    return 0


def _recipe(arguments: Namespace) -> Recipe:
    source, target = conversion_formats(arguments, "gen")
    words = [arguments.policy or ("ieee" if arguments.op == "decode" else target.default_policy)]
    words += [f"{axis}={value}" for axis in ("rounding", "overflow") if (value := getattr(arguments, axis))]
    return Recipe(
        arguments.op,
        source.id,
        target.id,
        "+".join([*words, *arguments.choice]),
        "representative" if arguments.op == "decode" and arguments.set == "boundary" else arguments.set,
        _generator_arguments(arguments),
    )


def _generator_arguments(arguments: Namespace) -> dict[str, Any]:
    if arguments.set == "random":
        if arguments.n is not None and arguments.n < 1:
            raise UsageError(f"--n {arguments.n}: at least one row is needed")
        return {
            "count": 1000 if arguments.n is None else arguments.n,
            "seed": arguments.seed or 0,
            "distribution": arguments.distribution or "bits",
        }
    for option in ("n", "seed", "distribution"):
        if getattr(arguments, option) is not None:
            raise UsageError(f"--{option} is for --set random; --set {arguments.set} has no choice")
    if not 0 <= arguments.reach <= FARTHEST:
        hint = f"0 takes the points alone, {FARTHEST:,} are the most; --set exhaustive has all inputs"
        raise UsageError(f"--reach {arguments.reach} is not a number of ulps here", hint=hint)
    return {"reach": arguments.reach} if arguments.set == "boundary" and arguments.op != "decode" else {}
