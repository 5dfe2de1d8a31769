"""``lowbit check``: compare a kernel, or all that are installed here, with the reference."""

from __future__ import annotations

import sys
import textwrap
from argparse import Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lowbit.check.report.report import Report
from lowbit.check.report.text import write_text
from lowbit.check.report.writers import FORMS, WRITERS
from lowbit.check.result import MISMATCH, CheckResult
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import input_file
from lowbit.cli.integer_models import MODEL, check_model
from lowbit.cli.number_types import integer, seconds
from lowbit.cli.operation_options import (
    CONVERSIONS,
    OPERATIONS,
    add_operation_options,
    conversion_formats,
    operation_of,
    refuse_other_options,
)
from lowbit.cli.progress import Bar
from lowbit.cli.terminal import add_output_format, terminal
from lowbit.cli.verbs.encode import add_policy_options
from lowbit.dut.kinds import CONTAINERS, KINDS, Question
from lowbit.dut.library import LIBRARIES
from lowbit.errors import UsageError
from lowbit.format.registry import scalar_format

if TYPE_CHECKING:
    from lowbit.check.operation import Operation
    from lowbit.vectors.case import Case

SETS = ("boundary", "directed", "random", "exhaustive")
RANDOM_ROWS, RANDOM_CASES = 1_000_000, 200
AT_ONCE_BITS = 20
"""All codes of a format of more bits are not held at once."""
HELP_WIDTH = 100
EXAMPLES_OF_MANY = 3


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "check",
        help="compare a kernel with the reference and name the rule it follows",
        formatter_class=RawDescriptionHelpFormatter,
        description=textwrap.fill(
            "Without an operation: the boundary vectors of every format against the kernels installed here, or of "
            "those that --from, --to and --library name. With a kernel: that one. `gemm` checks integer matrix "
            "products with directed matrices, those of the libraries installed here where no kernel is given; "
            "`requantize` checks the way from accumulators to codes; `linear` and `conv` both and a bias as one "
            "kernel; `quantize` the codes and scales of blocks, "
            "`quantize_linear` codes by a given scale, those of the libraries, too; "
            "`softmax`, `gelu`, `layernorm`, `rmsnorm`, `logistic`, "
            "`tanh`, `exp` and `l2norm` check integer-only nonlinearities; `model` compares the layers of an integer "
            "model one by one. Exit status 0: equal, published differences "
            "included; 1: a mismatch.",
            HELP_WIDTH,
        ),
        epilog=textwrap.fill(
            f"{CONTAINERS} {', '.join(f'`lowbit explain {name}`' for name in KINDS)} say more.", HELP_WIDTH
        ),
    )
    parser.add_argument(
        "op",
        nargs="?",
        choices=(*OPERATIONS, MODEL),
        help="encode (from float32), decode (to it), convert; gemm, requantize, linear, conv; quantize; softmax; ...",
    )
    whole = "model: an integer model, whose layers are compared one by one"
    input_file(parser, "model", what="the model", nargs="?", metavar="MODEL", help=whole)
    parser.add_argument("--layers", metavar="LIST", help="model: layers that the kernel returns, or `all`; the outputs")
    parser.add_argument("--from", dest="source", metavar="FORMAT", help="the format of the inputs")
    parser.add_argument("--to", dest="target", metavar="FORMAT", help="the format of the results")
    device = parser.add_argument_group("kernel").add_mutually_exclusive_group()
    for kind in KINDS.values():
        option, path_of = f"--{kind.option}", kind.file_of
        input_file(device, option, what=kind.what, path_of=path_of, metavar=kind.metavar, help=kind.help)
    parser.add_argument("--values", action="store_true", help="the Python function takes and returns values, not codes")
    inputs = "the inputs of the results (.vec .hex .npy .bin)"
    input_file(parser, "--inputs", what="the file of inputs", metavar="FILE", help=inputs)
    parser.add_argument("--set", choices=SETS, help="which inputs (default: boundary, which is the same as directed)")
    parser.add_argument(
        "--n", type=integer, metavar="ROWS", help="random: how many (default: 1000000; gemm and the like: 200 calls)"
    )
    parser.add_argument("--seed", type=integer, default=1, help="random: from which seed (default: 1)")
    add_operation_options(parser, "what to compare with")
    add_policy_options(parser)
    parser.add_argument("--nan", choices=("exact", "any"), default="exact", help="whether the code of a NaN counts")
    parser.add_argument("--no-nan", action="store_true", help="leave out the inputs that are NaN: conversions")
    parser.add_argument("--max-errors", default="1", metavar="N", help="examples of each group, or `all` (default: 1)")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="for loading, and for a chunk of rows (default: 60)",
    )
    parser.add_argument("--library", action="append", choices=LIBRARIES, help="without a kernel: only this library")
    parser.add_argument("--verbose", action="store_true", help="without a kernel: every conversion and every defect")
    add_output_format(parser, FORMS)


def run(arguments: Namespace) -> int:
    if arguments.op == MODEL:
        return check_model(arguments)
    if arguments.model or arguments.layers:
        raise UsageError(f"{arguments.model or '--layers'} is for `lowbit check model`, not for {arguments.op}")
    max_errors = _max_errors(arguments.max_errors)
    named = [name for name in KINDS if getattr(arguments, name)]
    if arguments.op is None:
        _refuse_without_operation(arguments, named)
    else:
        refuse_other_options(arguments, "check")
    if arguments.no_nan and (arguments.set == "exhaustive" or not named):
        wrong = "for --set exhaustive, which is all inputs" if named else "for a check without a kernel"
        raise UsageError(f"--no-nan is not {wrong}", hint="--nan any takes any NaN for another")
    if named:
        report = Report([_check_device(arguments, named[0], max_errors)], arguments=_recorded(arguments))
    else:
        report = _check_installed(arguments, max_errors)
    _write(report, arguments)
    if not report.vectors:
        return ExitCode.NOTHING_COMPARED
    return ExitCode.MISMATCH if report.verdict == MISMATCH else ExitCode.EQUAL


def _max_errors(text: str) -> int:
    if text == "all":
        return sys.maxsize
    if not (text.isascii() and text.isdigit()):
        raise UsageError(f"--max-errors {text!r} is neither a number nor `all`")
    return int(text)


def _refuse_without_operation(arguments: Namespace, named: Sequence[str]) -> None:
    for name in [*named, *(["inputs"] if arguments.inputs else [])]:
        raise UsageError(
            f"--{name} is given, but no operation: one of {', '.join(OPERATIONS)}",
            hint="lowbit check encode --from float32 --to float8_e4m3fn --so ./cast.so:cast",
        )


def _check_device(arguments: Namespace, name: str, max_errors: int) -> CheckResult:
    from lowbit.check.run import check

    operation = operation_of(arguments)
    every_input = _is_sweep(arguments)
    cases = operation.cases("directed", 0, 0) if every_input else _cases(arguments, operation)
    question = Question(operation.prototype, cases, arguments.timeout, arguments.values)
    with KINDS[name].make(getattr(arguments, name), question) as device:
        device.open()
        with Bar(1 << scalar_format(operation.source).bits if every_input else len(cases)) as bar:
            settings: Any = {
                "max_errors": max_errors,
                "progress": lambda done, wrong: bar.update(done, f"{wrong:,} differ"),
            }
            if every_input:
                from lowbit.check.cast.exhaustive import check_every_input

                return check_every_input(device, operation, **settings)  # type: ignore[arg-type]
            return check(device, operation, cases, **settings)


def _is_sweep(arguments: Namespace) -> bool:
    """Whether all inputs are asked for of a conversion that has many."""
    if arguments.set != "exhaustive" or arguments.inputs or arguments.op not in CONVERSIONS:
        return False
    from lowbit.check.cast.codes import check_exhaustive_bits

    source, _ = conversion_formats(arguments, "check")
    check_exhaustive_bits(source)
    return source.bits > AT_ONCE_BITS


def _cases(arguments: Namespace, operation: Operation) -> list[Case]:
    if arguments.inputs:
        return _without_nans(arguments, operation.read_cases(arguments.inputs))
    set_name = {None: "directed", "boundary": "directed"}.get(arguments.set, arguments.set)
    default = RANDOM_ROWS if arguments.op in CONVERSIONS else RANDOM_CASES
    count = default if arguments.n is None else arguments.n
    if count < 1:
        raise UsageError(f"--n {count}: at least one row or case is needed")
    return _without_nans(arguments, operation.cases(set_name, count, arguments.seed))


def _without_nans(arguments: Namespace, cases: list[Case]) -> list[Case]:
    """The cases without the inputs that are NaN, where that is asked for: many kernels leave open what these become."""
    if not arguments.no_nan:
        return cases
    from lowbit.ops.arrays import is_nan

    source, _ = conversion_formats(arguments, "check")
    kept = [~is_nan(case.arrays["codes"], source) for case in cases]
    return [case.where(mask) for case, mask in zip(cases, kept, strict=True)]


def _check_installed(arguments: Namespace, max_errors: int) -> Report:
    """Check what the libraries installed here offer."""
    from lowbit.check.installed import OPERATIONS as OFFERED
    from lowbit.check.installed import Skipped, check_installed

    name = arguments.op or "convert"
    if arguments.op and arguments.op not in OFFERED.keys() - CONVERSIONS.keys():
        operation = operation_of(arguments)
        prototype = operation.prototype.c("cast" if arguments.op in CONVERSIONS else "f")
        ways = f"--so ./{arguments.op}.so:f with {prototype}, --python module:function or --results FILE"
        raise UsageError("no kernel is given", hint=ways)
    if arguments.inputs:
        raise UsageError("--inputs is given, but no kernel", hint="--so, --python or --results")
    if arguments.accumulator:
        raise UsageError("--accumulator is for a kernel", hint="--so ./gemm.so:gemm --accumulator int32")
    source, target = _wanted(arguments)
    products = arguments.library or [product for product, operations in LIBRARIES.items() if name in operations]
    results, skipped = [], []
    options: Any = {"source": source, "target": target, "max_errors": min(max_errors, EXAMPLES_OF_MANY)}
    with Bar() as bar:
        for item in check_installed(name, products, **options):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            results.append(item)
            bar.update(len(results), f"{item.kernel}: {item.operation.source} -> {item.operation.target}")
    heard = {item.kernel for item in results} | {item.kernel for item in skipped}
    reason = _without_offer(arguments)
    skipped += [Skipped(product, reason) for product in products if product not in heard]
    return Report(results, skipped, _recorded(arguments))


def _wanted(arguments: Namespace) -> tuple[str, str]:
    """The formats whose operations are looked at, with wildcards."""
    if arguments.op == "gemm":
        return f"{arguments.a or '*'}_{arguments.b or '*'}", "*"
    source, target = (scalar_format(name).id if name else "*" for name in (arguments.source, arguments.target))
    return source, target


def _without_offer(arguments: Namespace) -> str:
    if arguments.op != "gemm":
        source, target = (
            scalar_format(name).id if name else "any format" for name in (arguments.source, arguments.target)
        )
        return f"offers no conversion from {source} to {target}"
    if not (arguments.a or arguments.b):
        return "offers no integer matrix product"
    return f"offers no integer matrix product of {arguments.a or 'any format'} and {arguments.b or 'any format'}"


def _recorded(arguments: Namespace) -> dict[str, Any]:
    """The arguments as the report records them."""
    return {name: value for name, value in vars(arguments).items() if name not in ("verb", "color", "debug")}


def _write(report: Report, arguments: Namespace) -> None:
    if arguments.output_format == "text":
        page = terminal(arguments)
        write_text(report, page.stream, color=page.color, verbose=arguments.verbose)
    else:
        WRITERS[arguments.output_format](report, sys.stdout)
