"""The sensitivities of a whole model: layer after layer from the file, over processes or machines, resumable.

Every layer is measured by itself, so the numbers are the same however the work is split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.sensitivity.measure import Errors, measure
from lowbit.allocate.sensitivity.scores import second_moment
from lowbit.allocate.sensitivity.settings import LayerErrors, Settings
from lowbit.campaign import Journal, Progress, run_tasks, unseen, workers
from lowbit.errors import InputError
from lowbit.files.distinct import Named, refuse_overwriting
from lowbit.files.npz import npz_array, npz_names
from lowbit.files.safetensors import Entry, TensorFile, read_header
from lowbit.files.selection import LeftOut, select
from lowbit.printable import excerpt

SCHEMA = "lowbit/sensitivity/1"


@dataclass(frozen=True)
class Measured:
    """A model's layers, in the order of the file, and the tensors that are left as they are."""

    settings: Settings
    layers: tuple[LayerErrors, ...]
    left_out: tuple[LeftOut, ...]
    unscaled: tuple[str, ...] = ()  # layers of 8-bit floats without scales beside them: measured as they stand

    @property
    def parameters(self) -> int:
        """How many weights the layers have together."""
        return sum(layer.parameters for layer in self.layers)


def measure_model(
    path: str | Path,
    settings: Settings,
    *,
    journal: str | Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
    progress: Progress = unseen,
) -> Measured:
    """Measure every chosen layer of a safetensors file under every format.

    Parameters
    ----------
    path : path
    settings : Settings
    journal : path, optional
        Where finished layers are noted; lines that are there already are not measured again.
    jobs : int
        Processes.
    scheduler : str, optional
        Address of a Dask scheduler (``tcp://host:port``) that does the work instead; its workers must see the file
        under the same path. Needs ``lowbit[dask]``.
    progress : callable
        Takes (layers done, layers, name).

    Raises
    ------
    InputError
        The file, a layer or the journal is unusable, or no tensor is chosen.
    """
    if journal is not None:
        inputs: list[Named] = [("the inputs", settings.inputs)] if settings.inputs else []
        refuse_overwriting([(f"the journal {journal}", journal)], [("the model", path), *inputs])
    file = read_header(path)
    entries, left_out = select(file, settings.include, settings.exclude)
    _check_inputs(settings, entries)
    with workers(min(jobs, len(entries)), scheduler=scheduler) as executor:
        layers = run_tasks(
            partial(measure_named, str(Path(path).resolve()), settings=settings),
            [entry.name for entry in entries],
            _errors,
            journal=None if journal is None else Journal(journal, _subject(file, settings)),
            executor=executor,
            progress=progress,
        )
    layers_in_order = tuple(LayerErrors(entry.name, entry.shape, layers[entry.name]) for entry in entries)
    unscaled = tuple(entry.name for entry in entries if entry.dtype.startswith("F8"))
    return Measured(settings, layers_in_order, left_out, unscaled)


def measure_named(path: str, name: str, settings: Settings) -> list[dict[str, Any]]:
    """The errors of one layer of a file under every format, as JSON has them: what a worker does."""
    weights = read_header(path).tensor(name)
    try:
        moment = _moment(settings.inputs, name, weights.shape) if settings.inputs else None
        return [asdict(measure(weights, settings.stored(fmt), moment)) for fmt in settings.formats]
    except InputError as error:
        raise InputError(f"tensor {excerpt(name)}: {error.message}", hint=error.hint) from error


def _errors(entries: list[Mapping[str, Any]]) -> tuple[Errors, ...]:
    return tuple(Errors(**entry) for entry in entries)


def _subject(file: TensorFile, settings: Settings) -> dict[str, Any]:
    """What the errors of a layer depend on; which layers are chosen may differ from run to run."""
    with file.path.open("rb") as source:
        length = int.from_bytes(source.read(8), "little")
        digest = hashlib.sha256(source.read(length)).hexdigest()
    return {
        "schema": SCHEMA,
        "model": {**_state_of(file.path), "header_sha256": digest},
        "settings": {name: value for name, value in asdict(settings).items() if name not in ("include", "exclude")},
        "inputs": _state_of(Path(settings.inputs)) if settings.inputs else None,
    }


def _state_of(path: Path) -> dict[str, int]:
    """What changes when a file is written again."""
    status = path.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _check_inputs(settings: Settings, entries: list[Entry]) -> None:
    if not settings.inputs:
        return
    layers = {entry.name for entry in entries}
    for name in sorted(npz_names(settings.inputs)):
        if name not in layers:
            raise InputError(f"{settings.inputs} has inputs of {excerpt(name)}, which is not a layer that is measured")


def _moment(inputs: str, name: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    """XᵀX of a layer's inputs, which the file has, or has the inputs X for; None where it has neither."""
    if name not in npz_names(inputs):
        return None
    array, columns = npz_array(inputs, name), int(np.prod(shape[1:]))
    if array.dtype.kind not in "fiub":
        raise InputError(f"{inputs}: its inputs are of dtype {array.dtype}, not real numbers")
    square = array.shape == (columns, columns)
    if not square and (array.ndim < 2 or array.shape[-1] != columns):
        raise InputError(f"{inputs}: its inputs are of shape {array.shape}, the layer has {columns} inputs")
    with np.errstate(over="ignore", invalid="ignore"):
        moment = np.asarray(array, dtype=np.float64) if square else second_moment(array)
    if not np.isfinite(moment).all():
        raise InputError(f"{inputs}: its inputs are not finite, or their squares are beyond binary64")
    return moment
