"""``lowbit check``: compare a kernel, or all that are installed here, with the reference."""

from __future__ import annotations

import sys
import textwrap
from argparse import Namespace, RawDescriptionHelpFormatter
from typing import Any

from lowbit.check.report.text import Report, write_text
from lowbit.check.report.writers import FORMS, WRITERS
from lowbit.check.result import MISMATCH
from lowbit.cli.check_kernel import KERNELS, add_kernel_options, check_kernels
from lowbit.cli.device_topics import CONTAINERS
from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import input_file, python_file, shared_object
from lowbit.cli.nonlinear_options import OWN_OPTIONS
from lowbit.cli.number_types import integer, seconds
from lowbit.cli.progress import Bar
from lowbit.cli.terminal import terminal
from lowbit.cli.verbs.encode import add_policy_options, chosen_policy
from lowbit.errors import InputError, PolicyError
from lowbit.format.registry import get_format
from lowbit.format.scalar import Scalar
from lowbit.policy.cast import Policy

OPERATIONS = {"encode": ("float32", ""), "decode": ("", "float32"), "convert": ("", "")}
"""Operation -> the source and the target it means where none is given."""
SETS = ("boundary", "random", "exhaustive", "directed")
RANDOM_ROWS = 1_000_000
HELP_WIDTH = 100
KERNEL_OPTIONS = ("a", "b", "accumulator", "zero_points", "scheme", "result", *OWN_OPTIONS)
PRODUCTS = ("numpy", "ml_dtypes", "onnxruntime", "torch")


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "check",
        help="compare a kernel with the reference and name the rule it follows",
        formatter_class=RawDescriptionHelpFormatter,
        description=textwrap.fill(
            "Without an operation: the boundary vectors of every format against the kernels installed here, or of "
            "those that --from, --to and --kernel name. With a device: that one. `gemm` checks integer matrix products "
            "with directed matrices, those of the libraries installed here where no device is given; `requantize` "
            "checks the way from accumulators to codes; `softmax`, `gelu`, `layernorm`, `logistic`, `tanh`, `exp` and "
            "`l2norm` check integer-only nonlinearities. Exit status 0: equal, published differences included; 1: a "
            "mismatch.",
            HELP_WIDTH,
        ),
        epilog=textwrap.fill(f"{CONTAINERS} `lowbit explain so`, `python` and `results` say more.", HELP_WIDTH),
    )
    parser.add_argument(
        "op",
        nargs="?",
        choices=(*OPERATIONS, *KERNELS),
        help="encode (from float32), decode (to it), convert; gemm; requantize; softmax, gelu, layernorm, ...",
    )
    parser.add_argument("--from", dest="source", metavar="FORMAT", help="the format of the inputs")
    parser.add_argument("--to", dest="target", metavar="FORMAT", help="the format of the results")
    device = parser.add_argument_group("device").add_mutually_exclusive_group()
    _add_device_files(device)
    parser.add_argument("--values", action="store_true", help="the Python function takes and returns values, not codes")
    inputs = "the inputs of the results (.vec .hex .npy .bin)"
    input_file(parser, "--inputs", what="the file of inputs", metavar="FILE", help=inputs)
    parser.add_argument("--set", choices=SETS, help="which inputs (default: boundary; gemm and the like: directed)")
    parser.add_argument(
        "--n", type=integer, metavar="ROWS", help="random: how many (default: 1000000; gemm and the like: 200 calls)"
    )
    parser.add_argument("--seed", type=integer, default=1, help="random: from which seed (default: 1)")
    add_kernel_options(parser)
    add_policy_options(parser)
    parser.add_argument("--nan", choices=("exact", "any"), default="exact", help="whether the code of a NaN counts")
    parser.add_argument("--max-errors", default="3", metavar="N", help="examples of each group, or `all` (default: 3)")
    parser.add_argument(
        "--timeout",
        type=seconds,
        default=60.0,
        metavar="SECONDS",
        help="for loading, and for a chunk of rows (default: 60)",
    )
    parser.add_argument("--kernel", action="append", choices=PRODUCTS, help="without a device: only this product")
    parser.add_argument("--format", dest="output", choices=FORMS, default="text", help="form of the report")


def _add_device_files(device: Any) -> None:
    input_file(
        device,
        "--so",
        what="the device",
        path_of=shared_object,
        metavar="FILE:SYMBOL",
        help="a C function in a shared object (`lowbit explain so`)",
    )
    input_file(
        device,
        "--python",
        what="the device",
        path_of=python_file,
        metavar="MODULE:FUNCTION",
        help="a function over NumPy arrays",
    )
    results = "results computed elsewhere (.hex .npy .bin), in order"
    input_file(device, "--results", what="the file of results", metavar="FILE", help=results)


def run(arguments: Namespace) -> int:
    max_errors = _max_errors(arguments.max_errors)
    if arguments.op is None:
        _refuse_device_options(arguments)
        report = _check_installed(arguments, max_errors)
    elif arguments.op in KERNELS:
        report = check_kernels(arguments, max_errors, _given(arguments))
    else:
        report = _check_device(arguments, max_errors)
    _write(report, arguments)
    if not report.vectors:
        return ExitCode.NOTHING_COMPARED
    return ExitCode.MISMATCH if report.verdict == MISMATCH else ExitCode.EQUAL


def _max_errors(text: str) -> int:
    if text == "all":
        return sys.maxsize
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"--max-errors {text!r} is neither a number nor `all`", code="LB100")
    return int(text)


def _refuse_device_options(arguments: Namespace) -> None:
    given = [name for name in ("so", "python", "results", "inputs") if getattr(arguments, name)]
    if given:
        raise InputError(
            f"--{given[0]} is given, but no operation: one of {', '.join(OPERATIONS)}",
            hint="lowbit check encode --from float32 --to float8_e4m3fn --so ./cast.so:cast",
            code="LB100",
        )


def _refuse_kernel_options(arguments: Namespace) -> None:
    given = [name for name in KERNEL_OPTIONS if getattr(arguments, name)]
    if given:
        option = given[0].replace("_", "-")
        raise InputError(f"--{option} is for `check gemm`, `check requantize` or `check softmax`", code="LB100")


def _check_installed(arguments: Namespace, max_errors: int) -> Report:
    from lowbit.check.cast.installed import Skipped, check_installed

    source, target = (get_format(name).id if name else "" for name in (arguments.source, arguments.target))
    products = arguments.kernel or PRODUCTS
    results, skipped = [], []
    with Bar() as bar:
        for item in check_installed(products, source=source, target=target, max_errors=min(max_errors, 3)):
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            results.append(item)
            bar.update(len(results), f"{item.kernel}: {item.source} -> {item.target}")
    heard = {item.kernel for item in results} | {item.kernel for item in skipped}
    wanted = f"offers no conversion from {source or 'any format'} to {target or 'any format'}"
    skipped += [Skipped(product, wanted) for product in products if product not in heard]
    return Report(results, skipped, _given(arguments))


def _check_device(arguments: Namespace, max_errors: int) -> Report:
    from lowbit.check.cast.run import Job

    source, target = _formats(arguments)
    count = RANDOM_ROWS if arguments.n is None else arguments.n
    if count < 1:
        raise InputError(f"--n {count}: at least one row is needed", code="LB100")
    if arguments.set == "directed":
        raise InputError(
            "--set directed is for gemm and requantize", hint="boundary, random or exhaustive", code="LB100"
        )
    _refuse_kernel_options(arguments)
    job = Job(
        source=source,
        target=target,
        policy=_policy(arguments, target),
        set=arguments.set or "boundary",
        count=count,
        seed=arguments.seed,
        nan=arguments.nan,
        max_errors=max_errors,
        timeout=arguments.timeout,
    )
    return Report([_run_device(arguments, job)], arguments=_given(arguments))


def _run_device(arguments: Namespace, job: Any) -> Any:
    from lowbit.check.cast.run import check_device, check_results
    from lowbit.dut.container import prototype
    from lowbit.dut.files import FileDevice, read_codes

    if arguments.so or arguments.python:
        with _isolated_device(arguments, job) as device, Bar(1 << job.source.bits) as bar:
            device.open()
            if arguments.inputs:
                codes = read_codes(arguments.inputs, job.source)
                return check_results(device.name, codes, None, device.run(codes), job)
            return check_device(device, job, lambda done, wrong: bar.update(done, f"{wrong:,} differ"))
    if not arguments.results:
        raise InputError(
            "no device is given",
            hint=f"--so ./cast.so:cast with {prototype(job.source, job.target)}, --python module:function or --results "
            "FILE",
            code="LB100",
        )
    device_file = FileDevice(arguments.results, job.target)
    if arguments.inputs:
        codes = read_codes(arguments.inputs, job.source)
        return check_results(device_file.name, codes, None, device_file.run(codes), job)
    return check_device(device_file, job)


def _isolated_device(arguments: Namespace, job: Any) -> Any:
    from lowbit.dut.python import PythonDevice
    from lowbit.dut.shared_object import SharedObjectDevice

    if arguments.so:
        return SharedObjectDevice(arguments.so, job.source, job.target, timeout=job.timeout)
    return PythonDevice(arguments.python, job.source, job.target, values=arguments.values, timeout=job.timeout)


def _formats(arguments: Namespace) -> tuple[Scalar, Scalar]:
    defaults = OPERATIONS[arguments.op]
    names = [given or default for given, default in zip((arguments.source, arguments.target), defaults, strict=True)]
    for name, option in zip(names, ("--from", "--to"), strict=True):
        if not name:
            raise InputError(f"`check {arguments.op}` needs {option} FORMAT", code="LB100")
    return get_format(names[0]), get_format(names[1])


def _policy(arguments: Namespace, target: Scalar) -> Policy:
    policy = chosen_policy(arguments, target)
    if policy.stochastic:
        raise PolicyError(
            "a stochastic rounding cannot be checked: the device's random bits are not known",
            hint="check the kernel with its random bits fixed, under the rounding that they amount to",
        )
    return policy


def _given(arguments: Namespace) -> dict[str, Any]:
    """The arguments as the report records them."""
    return {name: value for name, value in vars(arguments).items() if name not in ("verb", "color", "debug")}


def _write(report: Report, arguments: Namespace) -> None:
    if arguments.output == "text":
        page = terminal(arguments)
        write_text(report, page.stream, color=page.color)
    else:
        WRITERS[arguments.output](report, sys.stdout)
