"""``lowbit gen gemm|requantize|quantize|softmax|...``: a vector file of single rows, or the whole cases of a check.

Whole cases are NumPy arrays in one ``.npz``: ``KTail.16.a``, ``KTail.16.b``, ``KTail.16.expected``.
"""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from typing import TYPE_CHECKING, Any

import numpy as np

from lowbit.cli.nonlinear_options import chosen_nonlinearity
from lowbit.cli.operation_options import add_operation_options, chosen_requantization, operation_of
from lowbit.cli.terminal import Terminal
from lowbit.dut.prototype import as_output
from lowbit.errors import UsageError
from lowbit.files.whole import write_bytes
from lowbit.format.registry import block_format_of, get_format, integer_format
from lowbit.nonlinear.scheme import NONLINEARITIES
from lowbit.printable import columns
from lowbit.vectors.case import Case
from lowbit.vectors.operations import generate
from lowbit.vectors.recipe import Recipe
from lowbit.vectors.vec import render

if TYPE_CHECKING:
    from lowbit.check.operation import Operation

BLOCKS = ("quantize", "dequantize")
LAYERS = ("linear", "conv")
WHOLE = ("quantize_linear",)
"""Operations with whole cases only."""
KERNELS = ("gemm", "requantize", *LAYERS, *BLOCKS, "quantize_linear", *NONLINEARITIES)
LENGTH, ROWS = 64, 2000
ROWS_OF_CODES = 120
ROWS_OF_LAYERS = {"linear": 120, "conv": 16}
IMAGE = {"height": 6, "width": 7, "channels": 4, "outputs": 4}
"""Of convolutions in a vector file, with windows of 3 x 3 and one place around the image."""
GROUPS = {None: 1, "any": 2, "depthwise": 4}
SHOWN_ELEMENTS = 2000
"""Of larger matrices the first and the last elements are shown; a file has them all."""


def add_kernel_options(parser: Any) -> None:
    """The options of all but conversions."""
    length = f"elements of a dot product or a row (default: {LENGTH})"
    parser.add_argument("--length", type=int, default=LENGTH, help=length)
    parser.add_argument("--case", metavar="NAME", help="one case of a check, KTail.16: shown, or written to FILE.npz")
    add_operation_options(parser, "what the results follow")


def generate_kernel(arguments: Namespace) -> int:
    """Write dot products (vec) or whole matrices (npz)."""
    if arguments.n is not None and arguments.n < 1:
        raise UsageError(f"--n {arguments.n}: at least one row is needed")
    matrices = arguments.case or (arguments.output or "").endswith(".npz")
    if not matrices and arguments.op in WHOLE:
        hint = "--output FILE.npz for all of them, or --case ScaledTie.0"
        raise UsageError(f"`lowbit gen {arguments.op}` has whole cases, not rows", hint=hint)
    if not matrices:
        if arguments.layout != "vec":
            hint = "a .vec file, or matrices with --output FILE.npz"
            raise UsageError(f"the layout {arguments.layout!r} is for conversions", hint=hint)
        makers = {"gemm": _dot_products, "requantize": _requantizations}
        makers |= {**dict.fromkeys(LAYERS, _layers), **dict.fromkeys(BLOCKS, _block_tensors)}
        file = generate(makers.get(arguments.op, _rows_of_codes)(arguments))
        data = render(file)
        if arguments.output:
            write_file(arguments.output, data, f"{len(file.rows)} rows")
        else:
            sys.stdout.write(data.decode("ascii"))
        return 0
    operation, cases = _cases(arguments)
    if arguments.output:
        write_file(arguments.output, _archive(operation, cases), f"{len(cases)} cases")
    else:
        _show(operation, cases[0])
    return 0


def write_file(name: str, data: bytes, what: str) -> None:
    """Write a file and say so."""
    write_bytes(name, data)
    sys.stderr.write(f"{name}: {what}, {len(data)} bytes\n")


def _dot_products(arguments: Namespace) -> Recipe:
    from lowbit.policy.accumulator import get_accumulator

    accumulator = get_accumulator(arguments.accumulator or "int32")
    source = f"{_matrix_format(arguments.a)}_{_matrix_format(arguments.b)}"
    target = "int32" if accumulator.result_width <= 32 else "int64"
    if arguments.zero_points:
        raise UsageError("dot products have no zero points", hint="matrices do: --output FILE.npz")
    return Recipe("gemm", source, target, accumulator.name, "directed", {"length": arguments.length})


def _matrix_format(name: str | None) -> str:
    """The id of an integer format: names of others have underscores, which separate the two of a product."""
    return integer_format(get_format(name or "int8")).id


def _requantizations(arguments: Namespace) -> Recipe:
    scheme, rows = chosen_requantization(arguments), {"rows": arguments.n or ROWS}
    source, target = f"int{scheme.accumulator_bits}", arguments.target or "int8"
    return Recipe("requantize", source, target, scheme.name, "directed", rows)


def _layers(arguments: Namespace) -> Recipe:
    source = f"{_matrix_format(arguments.a)}_{_matrix_format(arguments.b)}"
    numbers = {"rows": arguments.n or ROWS_OF_LAYERS[arguments.op]}
    numbers |= {"zero_points": 1} if arguments.zero_points else {}
    policy, target = chosen_requantization(arguments).name, arguments.target or "int8"
    if arguments.op == "linear":
        return Recipe("linear", source, target, policy, "directed", {**numbers, "length": arguments.length})
    groups = GROUPS[arguments.groups]
    policy += "+window=3+padding=1" + (f"+groups={groups}" if groups > 1 else "")
    return Recipe("conv", source, target, policy, "directed", {**numbers, **IMAGE})


def _block_tensors(arguments: Namespace) -> Recipe:
    into = arguments.op == "quantize"
    name = arguments.target if into else arguments.source
    if not name:
        option = "--to" if into else "--from"
        hint = "`lowbit formats` lists block formats; int4.g128 and the like are named by their parts"
        raise UsageError(f"`lowbit gen {arguments.op}` needs {option} FORMAT", hint=hint)
    fmt = block_format_of(name)
    policy = "+".join([arguments.policy or (fmt.default_policy if into else "ieee"), *arguments.choice])
    rows = {"rows": arguments.n} if arguments.n else {}
    source, target = ("float32", fmt.id) if into else (fmt.id, "float32")
    return Recipe(arguments.op, source, target, policy, "directed", rows)


def _rows_of_codes(arguments: Namespace) -> Recipe:
    nonlinearity, source, target = chosen_nonlinearity(arguments)
    variant = f"+variant={nonlinearity.variant}" if nonlinearity.variant else ""
    numbers = {"length": arguments.length, "rows": arguments.n or ROWS_OF_CODES, **dict(nonlinearity.options)}
    if nonlinearity.scale is not None:
        numbers["scale"] = nonlinearity.scale
    policy = nonlinearity.scheme + variant
    return Recipe(nonlinearity.operation, source.id, target.id, policy, "directed", numbers)


def _cases(arguments: Namespace) -> tuple[Operation, list[Case]]:
    """The operation, and the cases of it that ``lowbit check`` would run."""
    operation = operation_of(arguments)
    set_name = "random" if arguments.set == "random" else "directed"
    cases = operation.cases(set_name, arguments.n or 200, 1 if arguments.seed is None else arguments.seed)
    if arguments.case:
        cases = [case for case in cases if case.name == arguments.case]
        if not cases:
            raise UsageError(f"there is no case {arguments.case!r}", hint="as reports name it: KTail.16")
    return operation, cases


def _expected(operation: Operation, case: Case) -> dict[str, Any]:
    """The expected results, by name where there are several."""
    answers, outputs = operation.expected(case), operation.prototype.outputs
    if len(outputs) == 1:
        return {"expected": answers.astype(outputs[0].dtype)}
    parts = operation.prototype.split(answers, case)
    return {f"expected {name}": as_output(parts[name], output) for name, output in zip(parts, outputs, strict=True)}


def _archive(operation: Operation, cases: list[Case]) -> bytes:
    """Operands, scalars and expected results as an .npz."""
    arrays: dict[str, Any] = {}
    for case in cases:
        arrays |= {f"{case.name}.{name}": array for name, array in case.arrays.items()}
        arrays |= {f"{case.name}.{name}": np.array(value) for name, value in case.scalars.items()}
        results = _expected(operation, case).items()
        arrays |= {f"{case.name}.{name.replace(' ', '.')}": array for name, array in results}
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _show(operation: Operation, case: Case) -> None:
    """A case to read: its operands and what must come out; elements that stand alone are a line each."""
    page = Terminal()
    page.write(f"{operation.name}, {case.place}, {operation.rule_name}")
    arrays = {**case.arrays, **_products(operation, case), **_expected(operation, case)}
    if case.divisible:
        rows = [[str(cell) for cell in row] for row in zip(*arrays.values(), strict=True)]
        page.lines(columns([list(arrays), *rows], right=range(len(arrays))))
        return
    for name, array in arrays.items():
        page.write(f"{name} =")
        page.write(np.array2string(array, threshold=SHOWN_ELEMENTS, max_line_width=page.columns))


def _products(operation: Operation, case: Case) -> dict[str, list[str]]:
    """Of a requantisation, each accumulator times the scale, and what the scheme makes of it step by step."""
    if operation.name != "requantize":
        return {}
    from lowbit.check.report.requantize import number

    details = [operation.detail(case, (at,)) for at in range(case.outputs)]
    names = dict.fromkeys(name for detail in details for name, _ in detail.steps)
    columns = [[("exact product", detail.product), *detail.steps] for detail in details]
    return {
        name: [number(dict(steps)[name]) if name in dict(steps) else "" for steps in columns]
        for name in ("exact product", *names)
    }
