"""``lowbit check model MODEL``: a kernel library's outputs and intermediates of an integer model, layer by layer."""

from __future__ import annotations

from argparse import Namespace

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.model_options import listed
from lowbit.cli.terminal import print_document, terminal, wrapped
from lowbit.dut.kinds import KINDS
from lowbit.errors import UsageError

MODEL = "model"
"""The operation's name."""


def check_model(arguments: Namespace) -> int:
    """Run the check; the exit status."""
    from lowbit.check.model.compare import compare_model
    from lowbit.check.model.kernel import dump_of
    from lowbit.check.report import model as report
    from lowbit.files.arrays import read_arrays
    from lowbit.models.inputs import input_codes
    from lowbit.models.store import read_model

    named = [name for name in KINDS if getattr(arguments, name)]
    if not arguments.model or not named or not arguments.inputs:
        ways = f"lowbit check model M.safetensors --inputs IN.npy --results DUMP.npz, or {', '.join(_others())}"
        raise UsageError("`lowbit check model` takes a model, --inputs and a kernel", hint=ways)
    model = read_model(arguments.model)
    codes = input_codes(model, read_arrays(arguments.inputs))
    wanted = tuple(model.nodes) if arguments.layers == "all" else listed(arguments.layers or "") or model.outputs
    kernel = getattr(arguments, named[0])
    dump = dump_of(named[0], kernel, model, codes, wanted, arguments.timeout)
    comparison = compare_model(model, codes, dump)
    if arguments.output_format == "json":
        print_document(report.document(comparison, kernel), report.SCHEMA)
    elif arguments.output_format == "text":
        page = terminal(arguments)
        for line in report.lines(comparison, kernel):
            indent = len(line) - len(line.lstrip())
            page.lines(wrapped(line, page.columns, indent))
    else:
        raise UsageError(f"`lowbit check model` writes text and json, not {arguments.output_format}")
    return ExitCode.MISMATCH if comparison.differences else ExitCode.EQUAL


def _others() -> list[str]:
    return [f"--{kind.option} {kind.metavar}" for kind in KINDS.values() if kind.option != "results"]
