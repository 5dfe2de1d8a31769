"""Integer models as verbs name them: a file of one, or a float model that lowbit knows, which becomes one.

``lowbit evaluate MODEL --layers`` compares one with its float twin layer by layer, ``lowbit check model MODEL`` what a
kernel library hands out with one.
"""

from __future__ import annotations

import json
from argparse import Namespace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.exit_codes import ExitCode
from lowbit.cli.file_options import input_file, say_written
from lowbit.cli.model_options import listed, plan_formats
from lowbit.cli.terminal import print_document, terminal, wrapped
from lowbit.dut.kinds import KINDS
from lowbit.errors import InputError, UsageError
from lowbit.files.reading import CANNOT_READ
from lowbit.files.whole import require_writable, write_text
from lowbit.printable import excerpt

if TYPE_CHECKING:
    from lowbit.models.conversion.subject import Subject
    from lowbit.models.graph import IntegerModel

NAMED = "an integer model (.safetensors), or a float model that becomes one: mnist_vit, mnist_resnet, ..., minilm"


MODEL = "model"
"""The name of the operation that ``check_model`` is."""

SUFFIXES = (".svg", ".json")
"""Of what ``--layers`` writes."""


def add_conversion_options(parser: Any) -> None:
    """How a float model becomes an integer one."""
    presets = "whose arithmetic a float model gets: ibert, ivit, hawq_v3, mobilequant_w8a8, ... (default: the model's)"
    parser.add_argument("--preset", metavar="NAME", help=presets)


def add_sentences(parser: Any) -> None:
    """What minilm is calibrated with and measured on."""
    seen, held_out = "minilm: sentences of the calibration, a line each", "minilm: sentences that it is measured on"
    input_file(parser, "--calibrate", what="the calibration text", metavar="TEXT", help=seen)
    input_file(parser, "--held-out", what="the held-out text", metavar="TEXT", help=held_out)


def opened(arguments: Namespace, *, measured: bool) -> tuple[IntegerModel, Subject | None]:
    """An integer model, and its float twin with its data where it has one and ``measured`` asks for it.

    Raises
    ------
    InputError
        There is no such model, or its float twin is not known.
    UsageError
        A file's model is to be converted, which it is already.
    """
    from lowbit.models.conversion.subject import known_subjects, subject_of
    from lowbit.models.layer_inputs import read_sentences
    from lowbit.models.packages import MINILM
    from lowbit.models.store import read_model

    others = set(known_subjects()) - {MINILM}  # a file may be minilm's
    for option in ("calibrate", "held_out"):
        if getattr(arguments, option) and str(arguments.model) in others:
            raise UsageError(f"--{option.replace('_', '-')} is for minilm; {arguments.model} has data of its own")
    texts = [read_sentences(file) if file else () for file in (arguments.calibrate, arguments.held_out)]
    _require_known(str(arguments.model), known_subjects())
    if str(arguments.model) in known_subjects():
        subject = subject_of(str(arguments.model), *texts)
        formats = plan_formats(arguments.plan) if arguments.plan else {}
        weights = {name: fmt.id for name, fmt in formats.items()}
        return subject.convert(arguments.preset, weights=weights).model, subject
    _require_float(arguments)
    model = read_model(arguments.model)
    return model, subject_of(_float_of(model, arguments.model), *texts) if measured else None


def _require_known(name: str, known: list[str]) -> None:
    """Refuse what is neither a model nor a file: InputError."""
    if name in known or Path(name).exists():
        return
    near = get_close_matches(name, known, 1)
    hint = f"did you mean {near[0]}?" if near else f"a file of one, or one of {', '.join(known)}"
    raise InputError(f"{excerpt(name)} is neither a model that lowbit knows nor a file", hint=hint, code=CANNOT_READ)


def integer_model(name: str, preset: str | None = None) -> IntegerModel:
    """A file's model, or what a float model that lowbit knows becomes under a preset, or its own."""
    return _opened_plainly(name, preset, measured=False)[0]


def first_item(name: str) -> tuple[IntegerModel, dict[str, Any]]:
    """The same, with the codes of the first item of the held-out data of the float model."""
    model, subject = _opened_plainly(name, measured=True)
    assert subject is not None
    return model, dict.fromkeys(model.inputs, subject.codes(model, subject.held_out[0][:1]))


def _opened_plainly(name: str, preset: str | None = None, *, measured: bool) -> tuple[IntegerModel, Subject | None]:
    own = Namespace(model=name, preset=preset, plan=None, calibrate=None, held_out=None)
    return opened(own, measured=measured)


def _require_float(arguments: Namespace) -> None:
    """Refuse what says how a float model becomes an integer one, of a file that holds an integer model."""
    for option in ("preset", "plan"):
        if getattr(arguments, option):
            hint = "`lowbit run mnist_vit --preset NAME --save M.safetensors`, say, makes such a file"
            raise UsageError(f"--{option} is for float models, and {arguments.model} is an integer model", hint=hint)


def _float_of(model: IntegerModel, file: Any) -> str:
    name = model.facts.get("float")
    if not isinstance(name, str):
        raise InputError(f"{file} does not say which float model it was", hint="give the name of that: mnist_vit, say")
    return name


def evaluate_layers(arguments: Namespace) -> int:
    """Compare, and print or write it."""
    from lowbit.cli.report import layers as report
    from lowbit.models.conversion.layerwise import FALLS_OFF, compare_layers, falls_off, measure

    for output in arguments.output:
        if Path(output).suffix.lower() not in SUFFIXES:
            raise UsageError(f"--output {output}: with --layers the name ends in one of {', '.join(SUFFIXES)}")
        require_writable(output)
    model, subject = opened(arguments, measured=True)
    assert subject is not None
    distances = compare_layers(subject, model, subject.held_out[0])
    outcome, first = measure(subject, model), falls_off(distances)
    document = report.document(arguments.model, distances, outcome, first)
    for output in arguments.output:
        picture = Path(output).suffix.lower() == ".svg"
        title = f"{arguments.model}: an integer model beside its float twin"
        write_text(
            output, report.picture(title, distances, FALLS_OFF) if picture else json.dumps(document, indent=2) + "\n"
        )
    if arguments.output_format == "json":
        print_document(document, report.SCHEMA)
    else:
        page = terminal(arguments)
        page.table([report.HEADS, *map(report.cells, distances)], right=range(3, len(report.HEADS)))
        page.lines(report.told(outcome))
        off = f"the first layer that falls off (a cosine below {FALLS_OFF}): {first.layer}" if first else ""
        page.write(off or f"no layer falls off: every cosine is at least {FALLS_OFF}")
    say_written(*arguments.output)
    return 0


def check_model(arguments: Namespace) -> int:
    """Run the check; the exit status."""
    from lowbit.check.model.compare import compare_model
    from lowbit.check.model.kernel import dump_of, require_layers
    from lowbit.check.report import model as report
    from lowbit.files.arrays import read_arrays
    from lowbit.models.inputs import input_codes

    named = [name for name in KINDS if getattr(arguments, name)]
    if not arguments.model or not named or not arguments.inputs:
        ways = f"lowbit check model M.safetensors --inputs IN.npy --results DUMP.npz, or {', '.join(_others())}"
        raise UsageError("`lowbit check model` takes a model, --inputs and a kernel", hint=ways)
    model = integer_model(arguments.model)
    codes = input_codes(model, read_arrays(arguments.inputs))
    wanted = _layers(arguments.layers, model)
    kernel = getattr(arguments, named[0])
    dump = dump_of(named[0], kernel, model, codes, wanted, arguments.timeout)
    if arguments.layers is not None:
        require_layers(wanted, dump, f"in {kernel}")
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


def _layers(text: str | None, model: IntegerModel) -> tuple[str, ...]:
    """The layers that ``--layers`` names, those of the model; the outputs without it."""
    from lowbit.check.model.kernel import require_layers

    if text is None:
        return model.outputs
    names = tuple(model.nodes) if text == "all" else tuple(listed(text))
    if not names:
        raise UsageError("--layers names no layer", hint="`all`, or names with commas between them")
    require_layers(names, model.nodes, "of the model")
    return names


def _others() -> list[str]:
    return [f"--{kind.option} {kind.metavar}" for kind in KINDS.values() if kind.option != "results"]
