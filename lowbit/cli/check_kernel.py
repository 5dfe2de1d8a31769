"""``lowbit check gemm|requantize|softmax|...``: kernels that are called with whole cases."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from lowbit.check.operation import SETS, Operation
from lowbit.check.report.text import Report
from lowbit.cli.nonlinear_options import OWN_OPTIONS, add_nonlinear_options, chosen_nonlinearity
from lowbit.cli.progress import Bar
from lowbit.errors import InputError
from lowbit.format.registry import get_format
from lowbit.nonlinear.scheme import NONLINEARITIES
from lowbit.vectors.case import Case

KERNELS = ("gemm", "requantize", *NONLINEARITIES)
"""The operations of this file, beside the conversions."""

RANDOM_CASES = 200
WIDEST_RESULT = 16
OPTIONS = {
    "gemm": "--a, --b, --accumulator and --zero-points",
    "requantize": "--scheme and --result",
    **dict.fromkeys(NONLINEARITIES, "--scheme, --variant, --scale, --option, --from and --to"),
}
TYPES = ("source", "target")
CAST_OPTIONS = ("source", "target", "policy", "rounding", "overflow", "choice", "values")


def add_kernel_options(parser: Any) -> None:
    """The options of matrix products, requantisations and nonlinearities."""
    group = parser.add_argument_group("gemm")
    group.add_argument("--a", metavar="FORMAT", help="format of the left matrix (default: int8)")
    group.add_argument("--b", metavar="FORMAT", help="format of the right matrix (default: int8)")
    group.add_argument("--accumulator", metavar="NAME", help="what to compare with (default: int32)")
    group.add_argument("--zero-points", action="store_true", help="the kernel takes a zero point for each matrix")
    group = parser.add_argument_group("requantize")
    group.add_argument("--scheme", metavar="NAME", help="what to compare with (default: tflite_double)")
    group.add_argument("--result", metavar="FORMAT", help="format of the results (default: int8)")
    add_nonlinear_options(parser)


def kernel_operation(arguments: Namespace) -> Operation:
    """The operation that the command line describes."""
    if arguments.op in NONLINEARITIES:
        return _nonlinearity(arguments)
    _refuse(arguments, OWN_OPTIONS)
    return _requantization(arguments) if arguments.op == "requantize" else _product(arguments)


def _nonlinearity(arguments: Namespace) -> Operation:
    from lowbit.check.nonlinear.operation import NonlinearOperation

    _refuse(arguments, ("a", "b", "accumulator", "zero_points", "result"))
    return NonlinearOperation(*chosen_nonlinearity(arguments))


def _product(arguments: Namespace) -> Operation:
    from lowbit.check.gemm.operation import GemmOperation
    from lowbit.policy.accumulator import get_accumulator
    from lowbit.vectors.gemm.values import Operands

    _refuse(arguments, ("scheme", "result"))
    a, b = (get_format(name or "int8") for name in (arguments.a, arguments.b))
    operands = Operands(a, b, arguments.zero_points)  # type: ignore[arg-type]
    return GemmOperation(operands, get_accumulator(arguments.accumulator or "int32"))


def _requantization(arguments: Namespace) -> Operation:
    from lowbit.check.requantize.operation import RequantizeOperation
    from lowbit.format.scalar import FixedFormat
    from lowbit.policy.requantize import get_requantize_scheme

    _refuse(arguments, ("a", "b", "accumulator", "zero_points"))
    result = get_format(arguments.result or "int8")
    if not isinstance(result, FixedFormat) or result.fraction_bits or result.bits > WIDEST_RESULT:
        raise InputError(
            f"--result {result.id} is no format of a requantisation",
            hint=f"an integer of at most {WIDEST_RESULT} bits: int8, uint8, int16, int4, ...",
            code="LB100",
        )
    return RequantizeOperation(get_requantize_scheme(arguments.scheme or "tflite_double"), result)


def _refuse(arguments: Namespace, names: Sequence[str]) -> None:
    for name in names:
        if getattr(arguments, name):
            raise InputError(f"--{name.replace('_', '-')} is not for `check {arguments.op}`", code="LB100")


def check_kernels(arguments: Namespace, max_errors: int, given: dict[str, Any]) -> Report:
    """Check the device that is given, or without one the libraries installed here."""
    _refuse_cast_options(arguments)
    if arguments.op not in NONLINEARITIES:
        _refuse(arguments, OWN_OPTIONS)
    if not (arguments.so or arguments.python or arguments.results):
        return _check_libraries(arguments, max_errors, given)
    from lowbit.check.run import check_kernel

    operation = kernel_operation(arguments)
    cases = _cases(arguments, operation)
    with _kernel(arguments, operation, cases) as kernel, Bar(len(cases)) as bar:
        result = check_kernel(
            kernel,
            operation,
            cases,
            max_errors=max_errors,
            progress=lambda done, wrong: bar.update(done, f"{wrong:,} differ"),
        )
    return Report([result], arguments=given)


def _cases(arguments: Namespace, operation: Operation) -> list[Case]:
    if arguments.inputs:
        return operation.read_cases(arguments.inputs)
    set_name = arguments.set or "directed"
    if set_name not in SETS:
        raise InputError(
            f"--set {set_name} is for conversions",
            hint=f"`check {operation.name}` has {' and '.join(SETS)}",
            code="LB100",
        )
    count = RANDOM_CASES if arguments.n is None else arguments.n
    if count < 1:
        raise InputError(f"--n {count}: at least one case is needed", code="LB100")
    return operation.cases(set_name, count, arguments.seed)


def _kernel(arguments: Namespace, operation: Operation, cases: Sequence[Case]) -> AbstractContextManager[Any]:
    from lowbit.dut.case_files import CaseFile
    from lowbit.dut.kernel import needed_room, python_kernel, shared_object_kernel

    if arguments.results:
        return nullcontext(CaseFile(arguments.results, get_format(operation.target), cases))
    make, device = (shared_object_kernel, arguments.so) if arguments.so else (python_kernel, arguments.python)
    kernel = make(device, operation.prototype, needed_room(list(cases)), timeout=arguments.timeout)
    kernel.open()
    return kernel


def _check_libraries(arguments: Namespace, max_errors: int, given: dict[str, Any]) -> Report:
    from lowbit.check.cast.installed import Skipped
    from lowbit.check.gemm.installed import check_installed_gemm

    if arguments.op != "gemm":
        raise InputError(
            "no device is given",
            hint=f"--so ./{arguments.op}.so:f with {kernel_operation(arguments).prototype.c('f')}",
            code="LB100",
        )
    if arguments.inputs:
        raise InputError("--inputs is given, but no device", hint="--so, --python or --results", code="LB100")
    if arguments.accumulator:
        raise InputError("--accumulator is for a device", hint="--so ./gemm.so:gemm --accumulator int32", code="LB100")
    results, skipped = [], []
    with Bar() as bar:
        for item in check_installed_gemm(arguments.kernel, arguments.a, arguments.b, max_errors=min(max_errors, 3)):
            if isinstance(item, Skipped):
                skipped.append(item)
            else:
                results.append(item)
                bar.update(len(results), f"{item.kernel}: {item.source}")
    return Report(results, skipped, given)


def _refuse_cast_options(arguments: Namespace) -> None:
    names = {"source": "from", "target": "to"}
    for name in CAST_OPTIONS:
        if getattr(arguments, name, None) and not (name in TYPES and arguments.op in NONLINEARITIES):
            raise InputError(
                f"--{names.get(name, name)} is for conversions",
                hint=f"`check {arguments.op}` takes {OPTIONS[arguments.op]}",
                code="LB100",
            )
    if arguments.nan != "exact":
        raise InputError("--nan is for conversions: integers have no NaN", code="LB100")
