"""The options of the verbs that measure a model: ``sensitivity``, and ``allocate --model``."""

from __future__ import annotations

import tomllib
from argparse import ArgumentParser, Namespace
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lowbit.cli.file_options import input_file, output_file
from lowbit.cli.number_types import integer
from lowbit.cli.progress import Bar
from lowbit.errors import InputError, UsageError
from lowbit.files.reading import unreadable
from lowbit.printable import excerpt

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lowbit.allocate.problem import Problem
    from lowbit.allocate.sensitivity import Measured

FORMATS = "int2,int3,int4,int6,int8,float4_e2m1fn,float8_e4m3fn"
LARGEST_TRACE = 1 << 1023
"""Integers from here on are not float64 values."""
SCORE_NAMES = ("relative_error", "squared_error", "hessian", "output_error")
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
        "--traces), output_error (needs --inputs)",
    )
    traces = "TOML: layer = average Hessian trace"
    input_file(what, "--traces", what="the file of traces", metavar="FILE", help=traces)
    inputs = ".npz: inputs of layers (samples, inputs), or their X'X"
    input_file(what, "--inputs", what="the file of inputs", metavar="FILE", help=inputs)
    add_selection(what)
    what.add_argument("--tie", default="", metavar="REGEX", help="layers that differ in its match only go together")
    work = parser.add_argument_group("how the work is done")
    work.add_argument("--jobs", type=integer, default=1, metavar="N", help="processes (default: 1)")
    work.add_argument("--scheduler", metavar="ADDRESS", help="a Dask scheduler, tcp://host:port")
    journal = "notes finished layers, so that the run can be resumed"
    output_file(work, "--journal", metavar="FILE", help=journal)


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

    if arguments.jobs < 1:
        raise UsageError(f"--jobs {arguments.jobs}: at least one process is needed")
    settings = Settings(
        tuple(name.strip() for name in arguments.formats.split(",") if name.strip()),
        arguments.group,
        arguments.scale_format,
        arguments.include,
        excluded(arguments),
        str(Path(arguments.inputs).resolve()) if arguments.inputs else "",
    )
    with Bar() as bar:
        return measure_model(
            model,
            settings,
            journal=arguments.journal or journal,
            jobs=arguments.jobs,
            scheduler=arguments.scheduler,
            progress=lambda done, total, name: bar.update(
                done, f"{done} of {total} layers: {excerpt(name, quoted=False)}"
            ),
        )


def model_problem(model: str, measured: Measured, arguments: Namespace, limits: Mapping[str, str]) -> Problem:
    """The allocation problem of a measured model."""
    from lowbit.allocate.model import problem_of

    return problem_of(
        measured,
        score=arguments.score,
        traces=read_traces(arguments.traces) if arguments.traces else None,
        limits=limits,
        tie=arguments.tie,
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
