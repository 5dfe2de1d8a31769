"""The options of the verbs that measure a model: ``sensitivity``, and ``allocate --model``."""

from __future__ import annotations

import json
import tomllib
from argparse import ArgumentParser, Namespace
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import input_file, output_file
from lowbit.cli.number_types import integer
from lowbit.cli.progress import Bar
from lowbit.cli.streams import write_error
from lowbit.errors import FormatError, InputError, PolicyError, UsageError
from lowbit.files.reading import unreadable
from lowbit.files.whole import is_stream
from lowbit.printable import excerpt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lowbit.allocate.problem import Problem
    from lowbit.allocate.sensitivity import Measured
    from lowbit.campaign import Progress
    from lowbit.files.distinct import Named
    from lowbit.format.block import BlockFormat
    from lowbit.quantizers.method import Method

FORMATS = "int2,int3,int4,int6,int8,float4_e2m1fn,float8_e4m3fn"
LARGEST_TRACE = 1 << 1023
"""Integers from here on are not float64 values."""
RUNTIME_NAMES = ("vllm", "llama.cpp")
SCORE_NAMES = ("relative_error", "squared_error", "hessian", "output_error")
PLAN_HINT = "`lowbit allocate ... --output FILE` writes one"
SCALE_FORMATS = ("float16", "bfloat16", "float32")


def add_model_options(parser: ArgumentParser) -> None:
    """What is measured of a model, and how the work is split."""
    what = parser.add_argument_group("what is measured")
    formats = f"to choose from, mxfp4, nvfp4, int4.g32.asymmetric, ...; int4 is int4.g128 (default: {FORMATS})"
    what.add_argument("--formats", default=FORMATS, metavar="LIST", help=formats)
    group = "neighbouring weights that share a scale unless the format says so; 0: one scale an output (default: 128)"
    what.add_argument("--group", type=integer, default=128, metavar="N", help=group)
    what.add_argument("--scale-format", choices=SCALE_FORMATS, default="float16", help="of the scales (float16)")
    what.add_argument(
        "--score",
        choices=SCORE_NAMES,
        default="relative_error",
        help="what a layer loses: relative_error (1 / SQNR, the default), squared_error, hessian (HAWQ: needs "
        "--traces), output_error (needs the layers' inputs: --inputs, or --calibrate of `lowbit sensitivity`)",
    )
    traces = "TOML: layer = average Hessian trace"
    input_file(what, "--traces", what="the file of traces", metavar="FILE", help=traces)
    inputs = ".npz: inputs of layers (samples, inputs), or their X'X"
    input_file(what, "--inputs", what="the file of inputs", metavar="FILE", help=inputs)
    add_selection(what)
    what.add_argument("--tie", default="", metavar="REGEX", help="layers that differ in its match only go together")
    runtime = (
        "layers that it fuses take one format (queries, keys and values; gate and up; the experts of a layer), and "
    )
    runtime += "formats that it cannot serve are left out"
    what.add_argument("--runtime", choices=RUNTIME_NAMES, help=runtime)
    add_work_options(parser.add_argument_group("how the work is done"))


def add_work_options(work: Any) -> None:
    """Who does the work of a campaign, and where what is finished is noted."""
    work.add_argument("--jobs", type=integer, default=1, metavar="N", help="processes (default: 1)")
    work.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port")
    journal = "notes what is finished, so that the run can be resumed"
    output_file(work, "--journal", metavar="FILE", help=journal)


def own_journal(arguments: Namespace) -> list[Named]:
    """The journal beside an output, the first of several, which is removed once that is there; none where one is named.

    Raises UsageError: there is nobody to do the work.
    """
    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: at least one process is needed")
    outputs = arguments.output if isinstance(arguments.output, list) else [arguments.output]
    if not outputs or not outputs[0] or arguments.journal or is_stream(outputs[0]):
        return []
    return [(f"the journal of {outputs[0]}", f"{outputs[0]}.partial")]


@contextmanager
def journal_of(arguments: Namespace) -> Iterator[str | None]:
    """Where what is finished is noted: the journal that is named, or the one beside the output.

    The latter goes once the output is there, and where the run that began it is refused: the command that mends that
    is another run. What cannot be written, an interrupt and a lost worker leave it, as the same command goes on.
    """
    own = next((str(journal) for _, journal in own_journal(arguments)), None)
    begun = own is not None and not Path(own).exists()
    journal = arguments.journal or own
    try:
        yield journal
    except KeyboardInterrupt as error:
        if journal is None or not Path(journal).exists():
            raise
        raise KeyboardInterrupt(f"the same command goes on where this one stopped, from {journal}") from error
    except (FormatError, InputError, PolicyError) as error:
        if begun and error.code != "LB101":
            _remove_own_journal(arguments)
        raise
    _remove_own_journal(arguments)


def _remove_own_journal(arguments: Namespace) -> None:
    for _, journal in own_journal(arguments):
        Path(journal).unlink(missing_ok=True)


@contextmanager
def tasks_bar(what: str) -> Iterator[Progress]:
    """A progress bar for the tasks of a campaign: ``(done, total, name)``."""
    with Bar() as bar:
        yield lambda done, total, name: bar.update(done, f"{done} of {total} {what}: {excerpt(name, quoted=False)}")


def require_calibration(method: Method, arguments: Namespace) -> None:
    """Refuse a method that needs activations where there are none: UsageError."""
    if method.needs_activations and not (arguments.calibrate or getattr(arguments, "inputs", None)):
        from lowbit.models.evaluation import CALIBRATE

        raise UsageError(f"--method {method.name} needs activations", hint=CALIBRATE)


def listed(text: str) -> list[str]:
    """The names of a list with commas between them."""
    return [name.strip() for name in text.split(",") if name.strip()]


def add_selection(parser: Any) -> None:
    """Which tensors are layers."""
    parser.add_argument("--include", default="", metavar="REGEX", help="only tensors whose names match")
    parser.add_argument(
        "--exclude",
        metavar="REGEX",
        help="tensors to leave as they are (default: embed|lm_head|norm; '' leaves out none)",
    )


def excluded(arguments: Namespace) -> str:
    """The pattern of ``--exclude``, or the usual one."""
    from lowbit.files.selection import LEFT_OUT

    return LEFT_OUT if arguments.exclude is None else str(arguments.exclude)


def measure(model: str, arguments: Namespace, journal: str | None = None) -> Measured:
    """Measure a model as the options say, with a progress bar."""
    from lowbit.allocate.sensitivity import Settings, measure_model
    from lowbit.models.layer_inputs import read_sentences

    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: at least one process is needed")
    _require_score(arguments)
    settings = Settings(
        _formats(model, arguments),
        arguments.group,
        arguments.scale_format,
        arguments.include,
        excluded(arguments),
        str(Path(arguments.inputs).resolve()) if arguments.inputs else "",
        method=getattr(arguments, "method", None) or "",
        calibration=read_sentences(arguments.calibrate, model) if getattr(arguments, "calibrate", None) else (),
    )
    with tasks_bar("layers") as progress:
        return measure_model(
            model,
            settings,
            journal=arguments.journal or journal,
            jobs=arguments.jobs,
            scheduler=arguments.scheduler,
            progress=progress,
        )


def _formats(model: str, arguments: Namespace) -> tuple[str, ...]:
    """Those that are measured; what the runtime cannot serve is told, and left out."""
    from lowbit.files.gguf import is_gguf

    formats = tuple(listed(arguments.formats))
    if not arguments.runtime:
        return formats
    if arguments.runtime == "vllm" and is_gguf(Path(model)):
        what = f"{model} has llama.cpp's names, by which the layers that vLLM fuses are not known here"
        raise UsageError(what, hint="the safetensors file of the model, or --runtime llama.cpp")
    from lowbit.allocate.runtimes import served_formats

    kept, others = served_formats(formats, arguments.runtime, arguments.group, arguments.scale_format)
    if others:
        write_error(f"left out, as {arguments.runtime} does not serve them: {', '.join(others)}\n")
    return kept


def _require_score(arguments: Namespace) -> None:
    """Refuse a score that lacks its numbers before anything is measured: UsageError."""
    from lowbit.allocate.sensitivity.measure import INPUTS

    if arguments.score == "hessian" and not arguments.traces:
        hint = "--traces FILE, TOML: layer = average Hessian trace"
        raise UsageError("--score hessian needs the traces of the layers", hint=hint)
    if arguments.score == "output_error" and not (arguments.inputs or getattr(arguments, "calibrate", None)):
        raise UsageError("--score output_error needs the inputs of the layers", hint=INPUTS)


def model_problem(model: str, measured: Measured, arguments: Namespace) -> Problem:
    """The allocation problem of a measured model, without limits."""
    from lowbit.allocate.model import problem_of
    from lowbit.allocate.runtimes import fused_layers

    layers = [layer.name for layer in measured.layers]
    return problem_of(
        measured,
        score=arguments.score,
        traces=read_traces(arguments.traces) if arguments.traces else None,
        tie=arguments.tie,
        fused=fused_layers(layers, arguments.runtime) if arguments.runtime else (),
        name=Path(model).name,
    )


def read_traces(path: str) -> dict[str, float]:
    """Average Hessian traces by layer, from a TOML file of ``"layer" = number``."""
    try:
        document = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    for layer, trace in document.items():
        whole = isinstance(trace, int) and not isinstance(trace, bool)
        if whole and abs(trace) >= LARGEST_TRACE:
            raise InputError(f"{path}: the trace of {excerpt(layer)} is a number of {trace.bit_length():,} bits")
        if not (whole or isinstance(trace, float)) or not isfinite(trace) or trace < 0:
            raise InputError(
                f"{path}: the trace of {excerpt(layer)} is {excerpt(str(trace))}, not a number of at least 0",
                hint='layer names with dots need quotes: "encoder.layer.0.weight" = 0.25',
            )
    return {layer: float(trace) for layer, trace in document.items()}


def plan_formats(path: str) -> dict[str, BlockFormat]:
    """The block format of each layer of a plan; a scalar format has the scales with which it was measured."""
    from lowbit.allocate.sensitivity.stored_weights import stored_format
    from lowbit.format.registry import get_format

    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
        measured = document.get("model") or {}
        group, scale = measured.get("group", 0), str(measured.get("scale_format", "float16"))
        choices = {str(layer["layer"]): str(layer["choice"]) for layer in document["layers"]}
    except OSError as error:
        raise unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not a plan: it is not JSON", hint=PLAN_HINT) from error
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a plan: it does not list layers with their choices", hint=PLAN_HINT) from error
    if type(group) is not int:
        raise InputError(
            f"{path} is not a plan: its group is {excerpt(str(group))}, not a whole number", hint=PLAN_HINT
        )
    for layer, choice in choices.items():
        if not measured and get_format(choice).kind != "block":
            what = f"{path} does not say how many weights of {layer} share a scale in {choice}"
            raise InputError(what, hint=f"name it in the file of costs: {choice}.g128, say")
    return {layer: stored_format(choice, group, scale) for layer, choice in choices.items()}


def plan_left_out(path: str) -> list[str]:
    """The matrices that the plan of a measured model leaves as they are; none where it does not say."""
    document = json.loads(Path(path).read_text(encoding="utf-8"))
    items = (document.get("model") or {}).get("left_out") or []
    try:
        return [str(item["tensor"]) for item in items if len(item["shape"]) == 2]
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is not a plan: its left_out is not a list of tensors", hint=PLAN_HINT) from error
