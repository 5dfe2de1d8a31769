"""From a model's measured layers to a problem, and from a plan back to the model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.amounts import Amount
from lowbit.allocate.plan import Plan
from lowbit.allocate.problem import Problem
from lowbit.allocate.sensitivity.measure import SCORES
from lowbit.allocate.sensitivity.measured_model import Measured
from lowbit.allocate.sensitivity.settings import LayerErrors
from lowbit.allocate.sensitivity.stored_weights import stored_weights
from lowbit.errors import AllocationError, InputError
from lowbit.files import kinds
from lowbit.files.distinct import refuse_overwriting
from lowbit.files.gguf import GgufFile, write_gguf
from lowbit.files.kinds import require_suffix
from lowbit.files.safetensors import DTYPES, Entry, write_tensors
from lowbit.files.sharded import read_checkpoint
from lowbit.format.registry import scalar_format
from lowbit.ops.block.dequantize import dequantize
from lowbit.ops.cast.cast import decode, encode

MODEL_BUDGETS = ("avg_bits", "bytes", "entropy_bits")
"""Budgets of a model: bits a weight, scales included; bytes, those of each layer whole; bits a weight with the codes of
each layer coded by rANS."""


def problem_of(
    measured: Measured,
    *,
    score: str = "relative_error",
    traces: Mapping[str, float] | None = None,
    limits: Mapping[str, Amount] | None = None,
    tie: str = "",
    fused: Sequence[tuple[str, ...]] = (),
    name: str = "",
) -> Problem:
    """The allocation problem of a measured model.

    Parameters
    ----------
    measured : Measured
    score : str
        What a layer loses; one of ``SCORES``.
    traces : mapping of str to float, optional
        Layer -> average Hessian trace, for the score ``hessian``.
    limits : mapping of str to a number or text
        By the names of ``MODEL_BUDGETS``.
    tie : str
        A regular expression; layers whose names are the same once its match is cut out must take the same format:
        ``"query|key|value"``.
    fused : sequence of tuple of str
        More groups of layers that take the same format, those that a runtime fuses.
    name : str

    Raises
    ------
    AllocationError
        The score is unknown or lacks its input for some layer, a limit is of no budget of a model, or nothing is tied.
    """
    if score not in SCORES:
        raise AllocationError(f"score {score!r} is unknown", hint=f"one of {', '.join(SCORES)}")
    unknown = sorted(set(limits or {}) - set(MODEL_BUDGETS))
    if unknown:
        raise AllocationError(
            f"a model has no budget {unknown[0]!r}",
            hint=f"{', '.join(MODEL_BUDGETS)}; others need a file of costs",
        )
    names = [layer.name for layer in measured.layers]
    bits = [[errors.bits for errors in layer.errors] for layer in measured.layers]
    coded = [[errors.entropy_bits for errors in layer.errors] for layer in measured.layers]
    return Problem.from_arrays(
        [_losses(layer, score, traces) for layer in measured.layers],
        list(measured.settings.formats),
        costs={
            "avg_bits": bits,
            "bytes": [[-(-count // 8) for count in row] for row in bits],
            "entropy_bits": coded,
        },
        divisors=dict.fromkeys(("avg_bits", "entropy_bits"), measured.parameters),
        units=dict.fromkeys(("avg_bits", "entropy_bits"), "bits a weight"),
        limits=limits,
        layers=names,
        ties=[*(tied_layers(names, tie) if tie else ()), *fused],
        name=name,
    )


def _losses(layer: LayerErrors, score: str, traces: Mapping[str, float] | None) -> list[float]:
    trace = None if traces is None else traces.get(layer.name)
    try:
        return [errors.loss(score, trace) for errors in layer.errors]
    except InputError as error:
        raise AllocationError(f"layer {layer.name}: {error.message}", hint=error.hint) from error


def tied_layers(layers: list[str], pattern: str) -> list[tuple[str, ...]]:
    """Groups of layers whose names are the same once the pattern's match is cut out.

    Raises AllocationError: the pattern is not a regular expression, or ties nothing.
    """
    try:
        tied = alike_but_for(layers, pattern)
    except re.error as error:
        raise AllocationError(f"{pattern!r} is not a regular expression: {error}") from error
    if not tied:
        raise AllocationError(
            f"{pattern!r} ties no layers: no two names differ in its match only", hint="query|key|value"
        )
    return tied


def alike_but_for(layers: Sequence[str], pattern: str) -> list[tuple[str, ...]]:
    """Groups of two layers or more whose names are the same once the match of a regular expression is cut out."""
    groups: dict[str, list[str]] = {}
    for layer in layers:
        if re.search(pattern, layer):
            groups.setdefault(re.sub(pattern, "*", layer), []).append(layer)
    return [tuple(group) for group in groups.values() if len(group) > 1]


@dataclass(frozen=True)
class Comparison:
    """What a plan and a uniform choice do to a model, measured."""

    what: str  # ``"plan"``, or the format that every layer takes
    average_bits: float  # bits a weight, scales included
    entropy_bits: float  # the same where codes are coded by rANS
    bytes: int
    weight_error: float  # ``‖W - Q(W)‖² / ‖W‖²`` over all layers together
    output_error: float | None  # the same of the outputs of the layers whose inputs are known
    loss: float  # what the allocation minimised


def compare(measured: Measured, plan: Plan) -> list[Comparison]:
    """The plan beside every uniform choice, cheapest first."""
    formats = measured.settings.formats
    rows = [_compare(measured, plan.problem, "plan", plan.picks)]
    for index, name in enumerate(formats):
        rows.append(_compare(measured, plan.problem, name, (index,) * len(measured.layers)))
    return sorted(rows, key=lambda row: (row.average_bits, row.loss))


def _compare(measured: Measured, problem: Problem, what: str, picks: tuple[int, ...]) -> Comparison:
    errors = [layer.errors[pick] for layer, pick in zip(measured.layers, picks, strict=True)]
    unit = max((error.exponent for error in errors if error.power), default=0)
    errors = [error.in_units_of(unit) for error in errors]  # sums of one unit, for the shares below
    power = fsum(error.power for error in errors)
    known = [error for error in errors if error.output is not None]
    outputs = fsum(error.output or 0.0 for error in known)
    output_power = fsum(error.output_power or 0.0 for error in known)
    return Comparison(
        what,
        sum(error.bits for error in errors) / measured.parameters,
        sum(error.entropy_bits for error in errors) / measured.parameters,
        sum(-(-error.bits // 8) for error in errors),
        fsum(error.squared for error in errors) / power if power else 0.0,
        outputs / output_power if output_power else None,
        problem.loss_of(picks),
    )


def write_applied(path: str | Path, measured: Measured, plan: Plan, output: str | Path) -> None:
    """Write a copy of the model whose layers hold the values that the plan's codes and scales stand for.

    Parameters
    ----------
    path : path
        The safetensors or GGUF file that was measured.
    measured : Measured
    plan : Plan
    output : path
        A file of the same kind; every tensor in its own dtype, to which the values of the plan's layers are rounded.
        Written whole or not at all.

    Raises
    ------
    InputError
        ``output`` is the model itself, whose weights would be lost, or cannot be written.
    """
    refuse_overwriting([(str(output), output)], [("the model", path)])
    file = read_checkpoint(Path(path))
    require_suffix(output, kinds.GGUF if isinstance(file, GgufFile) else kinds.SAFETENSORS)
    chosen = dict(zip(plan.problem.layers, plan.choices, strict=True))

    def tensors() -> Iterator[NDArray[Any]]:
        for name in file.entries:
            if name in chosen:
                parts = stored_weights(file.tensor(name), measured.settings.stored(chosen[name]))
                values = np.concatenate([dequantize(tensor, dtype=np.float64) for _, tensor in parts])
                yield _in_dtype(values.reshape(file.entries[name].shape), file.entries[name])
            else:
                yield file.raw(name)

    if isinstance(file, GgufFile):
        write_gguf(output, file.entries.values(), tensors(), file.values, version=file.version)
    else:
        write_tensors(output, file.entries.values(), tensors(), file.metadata)


def _in_dtype(values: NDArray[np.float64], entry: Entry) -> NDArray[Any]:
    """The values rounded to nearest in the dtype that the tensor had."""
    dtype = np.dtype(DTYPES[entry.dtype])
    fmt = scalar_format(dtype)
    codes = encode(values, fmt, policy="ieee" if dtype.itemsize > 1 else "ocp_nosat")
    if not np.isfinite(decode(codes, fmt, dtype=np.float64)).all():
        largest = float(np.abs(values).max())
        raise InputError(f"tensor {entry.name!r}: {largest:.6g} is beyond {fmt.id}, which is written")
    return codes.view(dtype)


def measurement(measured: Measured, score: str) -> dict[str, Any]:
    """What was measured of a model and how, as a plan's file records it."""
    settings = measured.settings
    return {
        "formats": list(settings.formats),
        "group": settings.group,
        "scale_format": settings.scale_format,
        "score": score,
        "include": settings.include,
        "exclude": settings.exclude,
        "left_out": left_out_records(measured),
    }


def left_out_records(measured: Measured) -> list[dict[str, Any]]:
    """The tensors that are left as they are, each with its reason, as JSON has them."""
    return [item.record for item in measured.left_out]
