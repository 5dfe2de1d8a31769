"""The sensitivities of a whole model: layer after layer from the file, over processes or machines, resumable.

Every layer is measured by itself, so the numbers are the same however the work is split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.sensitivity.measure import Errors, measure, measure_method
from lowbit.allocate.sensitivity.scores import second_moment
from lowbit.allocate.sensitivity.settings import LayerErrors, Settings
from lowbit.campaign import Journal, Progress, run_tasks, unseen, workers
from lowbit.campaign.chosen import require_values
from lowbit.campaign.journal import digest, state_of
from lowbit.errors import InputError
from lowbit.files.distinct import Named, refuse_overwriting
from lowbit.files.gguf import GgufFile
from lowbit.files.npz import npz_array, npz_names
from lowbit.files.safetensors import Entry, TensorFile
from lowbit.files.selection import LeftOut, select
from lowbit.files.sharded import read_checkpoint
from lowbit.format.block import BlockFormat
from lowbit.models.layer_inputs import layer_inputs, seen_layers
from lowbit.printable import excerpt
from lowbit.quantizers.method import chosen

SCHEMA = "lowbit/sensitivity/2"


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
    """Measure every chosen layer of a safetensors or GGUF file under every format.

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
    file = read_checkpoint(Path(path))
    if isinstance(file, GgufFile):
        require_values(file, Path(path))
    entries, left_out = select(file, settings.include, settings.exclude)
    if settings.calibration:
        entries, unseen_ones = seen_layers(path, entries)
        left_out += unseen_ones
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
    weights = read_checkpoint(Path(path)).tensor(name)
    try:
        rows, moment = _inputs(path, name, weights.shape, settings)
        formats = [settings.stored(fmt) for fmt in settings.formats]
        return [asdict(errors) for errors in _measured(weights, formats, settings.method, rows, moment)]
    except InputError as error:
        raise InputError(f"tensor {excerpt(name)}: {error.message}", hint=error.hint) from error


def _measured(
    weights: NDArray[Any],
    formats: list[BlockFormat],
    method: str,
    rows: NDArray[Any] | None,
    moment: NDArray[np.float64] | None,
) -> Iterator[Errors]:
    """The errors under each format."""
    if not method:
        yield from (measure(weights, fmt, moment) for fmt in formats)
        return
    quantiser = chosen(method)
    if quantiser.needs_activations and rows is None:
        what = "their XᵀX alone" if moment is not None else "none"
        raise InputError(
            f"{quantiser.name} needs rows of the layer's inputs, and there are {what}",
            hint="an array (samples, inputs) for every layer, or sentences",
        )
    yield from (measure_method(weights, fmt, quantiser, rows, moment) for fmt in formats)


def _inputs(
    path: str, name: str, shape: tuple[int, ...], settings: Settings
) -> tuple[NDArray[Any] | None, NDArray[np.float64] | None]:
    """The inputs of a layer and their XᵀX, of these what is known."""
    if settings.calibration:
        file = read_checkpoint(Path(path))
        layers, _ = seen_layers(path, select(file, settings.include, settings.exclude)[0])
        rows = layer_inputs(path, settings.calibration, tuple(layer.name for layer in layers))[name]
        return rows, second_moment(rows)
    return _from_file(settings.inputs, name, shape) if settings.inputs else (None, None)


def _errors(entries: list[Mapping[str, Any]]) -> tuple[Errors, ...]:
    return tuple(Errors(**entry) for entry in entries)


def _subject(file: TensorFile, settings: Settings) -> dict[str, Any]:
    """What the errors of a layer depend on; which layers are chosen may differ from run to run."""
    unlisted = ("include", "exclude", "calibration")
    with file.path.open("rb") as source:
        first = min(entry.start for entry in file.entries.values())
        length = first if isinstance(file, GgufFile) else int.from_bytes(source.read(8), "little")
        header = hashlib.sha256(source.read(length)).hexdigest()
    return {
        "schema": SCHEMA,
        "model": {**state_of(file.path), "header_sha256": header},
        "settings": {name: value for name, value in asdict(settings).items() if name not in unlisted},
        "calibration": digest(settings.calibration),
        "inputs": state_of(Path(settings.inputs)) if settings.inputs else None,
    }


def _check_inputs(settings: Settings, entries: list[Entry]) -> None:
    if not settings.inputs:
        return
    layers = {entry.name for entry in entries}
    for name in sorted(npz_names(settings.inputs)):
        if name not in layers:
            raise InputError(f"{settings.inputs} has inputs of {excerpt(name)}, which is not a layer that is measured")


def _from_file(
    inputs: str, name: str, shape: tuple[int, ...]
) -> tuple[NDArray[Any] | None, NDArray[np.float64] | None]:
    """The inputs X of a layer and XᵀX, where the file has X; XᵀX alone where it has that; None where it has neither."""
    if name not in npz_names(inputs):
        return None, None
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
    return None if square else array.reshape(-1, columns), moment
