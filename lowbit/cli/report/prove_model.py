"""What ``lowbit prove model`` prints: every intermediate of every layer, its width and where it lies."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.integer_models import integer_model
from lowbit.cli.terminal import Terminal, print_document, terminal
from lowbit.errors import UsageError
from lowbit.printable import columns, excerpt

if TYPE_CHECKING:
    from lowbit.models.graph import IntegerModel
    from lowbit.proof.floats import FloatReport
    from lowbit.proof.model import ModelProof

SCHEMA = "lowbit/prove-model/1"
VERDICTS = {
    "proved": "no accumulator and no intermediate can leave its width, whatever codes go in",
    "refuted": "some input makes it overflow",
    "open": "bounds, which take the inputs of a layer for independent of each other, leave a width, or an audit does",
}
PAINT = {"proved": "green", "refuted": "red", "open": "yellow"}
STATUS = {"proved": ExitCode.EQUAL, "refuted": ExitCode.MISMATCH, "open": ExitCode.NOTHING_COMPARED}


def prove_model(arguments: Namespace) -> int:
    """Prove a model, print it, and return the exit status."""
    from lowbit.proof.model import prove_model as proof_of

    if not arguments.file:
        raise UsageError("`lowbit prove model` takes the file of a model", hint="lowbit prove model M.safetensors")
    model = integer_model(arguments.file, arguments.preset)
    ranges = input_ranges(model, arguments.input_range)
    proof = proof_of(model, inputs=ranges)
    report = _floats(arguments, model) if arguments.nothing_floats else None
    if arguments.output_format == "json":
        found = {} if report is None else {"floats": {"kernels": report.kernels, "arrays": report.arrays}}
        print_document({**proof.as_dict(), **found}, SCHEMA)
    else:
        _write(terminal(arguments), model, proof)
        for name, (low, high) in ranges.items():
            terminal(arguments).write(f"of input codes {name} from {low:,} to {high:,}")
        if report is not None:
            _write_floats(terminal(arguments), report)
    return STATUS[proof.verdict] if report is None or report.holds else ExitCode.MISMATCH


def input_ranges(model: IntegerModel, texts: Sequence[str]) -> dict[str, tuple[int, int]]:
    """The lowest and the highest code of each input that ``[NAME=]LOW:HIGH`` says something of.

    Raises
    ------
    UsageError
        A text is not such a range, or does not say which input it means, or two mean one.
    InputError
        A range is empty, or of codes that the input's format does not have.
    """
    ranges: dict[str, tuple[int, int]] = {}
    for text in texts:
        name, equals, span = text.rpartition("=")
        if not equals and len(model.inputs) > 1:
            names = ", ".join(f"{name}={text}" for name in model.inputs)
            raise UsageError(f"--input-range {text} does not say of which input", hint=names)
        name = name if equals else next(iter(model.inputs))
        if name not in model.inputs or name in ranges:
            what = "comes twice" if name in ranges else "is not an input of the model"
            raise UsageError(f"--input-range {text}: {excerpt(name)} {what}", hint=", ".join(model.inputs))
        low, colon, high = span.partition(":")
        try:
            ranges[name] = int(low, 0), int(high if colon else low, 0)
        except ValueError as error:
            raise UsageError(f"--input-range {text} is not LOW:HIGH", hint="--input-range=-100:100, say") from error
    return ranges


def _floats(arguments: Namespace, model: IntegerModel) -> FloatReport:
    from lowbit.files.arrays import read_arrays
    from lowbit.models.inputs import input_codes
    from lowbit.proof.floats import nothing_floats

    return nothing_floats(model, input_codes(model, read_arrays(arguments.nothing_floats)))


def _write_floats(page: Terminal, report: FloatReport) -> None:
    for name, lines in report.floating.items():
        page.write(f"{name.removeprefix('lowbit.kernels.')}: {len(lines):,} floating-point instructions, {lines[0]}")
    for name in report.arrays:
        page.write(f"{name} is not an array of integers")
    count = f"{len(report.kernels)} kernels"
    if report.holds:
        words = f"none of the {count} that ran has a floating-point instruction, and every intermediate is of integers"
        page.write(f"{page.paint('nothing floats', 'bold', 'green')}: {words}")
    else:
        page.write(f"{page.paint('something floats', 'bold', 'red')}: in {len(report.floating)} of {count}")


def _write(page: Terminal, model: IntegerModel, proof: ModelProof) -> None:
    rows = [("layer", "kind", "intermediate", "width", "lowest", "highest", "")]
    for name, bound in proof.bounds:
        rows.append((
            name,
            model.nodes[name].layer.operation,
            bound.label,
            f"{'' if bound.signed else 'u'}int{bound.bits}",
            f"{bound.low.min():,}",
            f"{bound.high.max():,}",
            "" if bound.culprit is None else "does not fit",
        ))  # fmt: skip
    head, *lines = columns(rows, right={4, 5})
    page.write(page.paint(head, "bold"))
    for line, found in zip(lines, proof.bounds, strict=True):
        page.write(line if found.bound.culprit is None else page.paint(line, PAINT[proof.verdict]))
    for function in proof.functions:
        words = f"{function.verdict}{f': {function.words}' if function.words else ''}"
        page.write(f"{function.layer}: {function.title}: {page.paint(words, PAINT[function.verdict])}")
    page.write(f"{page.paint(proof.verdict.upper(), 'bold', PAINT[proof.verdict])}: {VERDICTS[proof.verdict]}")
    if proof.first is not None:
        name, bound = proof.first
        can = "is" if proof.verdict == "refuted" else "may be"
        page.write(f"the first one: {bound.label} of layer {name!r} {can} {bound.culprit:,}, and has {bound.bits} bits")
