"""The sensitivities of a whole model: layer after layer from the file, over processes or machines, resumable.

A finished layer is one line of a journal beside the output. A run that was cut off goes on where it stopped; a journal
of other settings is refused. Every layer is measured by itself, so the numbers are the same however the work is split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.sensitivity.journal import Journal
from lowbit.allocate.sensitivity.measure import measure
from lowbit.allocate.sensitivity.scores import second_moment
from lowbit.allocate.sensitivity.settings import LayerErrors, Settings
from lowbit.errors import InputError
from lowbit.files.distinct import Named, refuse_overwriting
from lowbit.files.safetensors import Entry, read_header

Progress = Callable[[int, int, str], None]


def unseen(done: int, total: int, name: str) -> None:
    """Progress that nobody looks at."""
    del done, total, name


@dataclass(frozen=True)
class Measured:
    """A model's layers, in the order of the file, and how many numbers were left as they are."""

    settings: Settings
    layers: tuple[LayerErrors, ...]
    left_out_tensors: int
    left_out_parameters: int

    @property
    def parameters(self) -> int:
        """How many weights the layers have together."""
        return sum(layer.parameters for layer in self.layers)


def measure_named(path: str, name: str, settings: Settings) -> LayerErrors:
    """Measure one layer of a file: what a process or a machine is given."""
    weights = read_header(path).tensor(name)
    moment = _moment(settings.inputs, name, weights.shape) if settings.inputs else None
    try:
        errors = tuple(measure(weights, scheme, moment) for scheme in settings.schemes())
    except InputError as error:
        raise InputError(f"tensor {name!r}: {error.message}", hint=error.hint) from error
    return LayerErrors(name, weights.shape, errors)


def _moment(inputs: str, name: str, shape: tuple[int, ...]) -> NDArray[np.float64] | None:
    with np.load(inputs) as archive:
        if name not in archive.files:
            return None
        array = archive[name]
    columns = int(np.prod(shape[1:]))
    if array.shape == (columns, columns):
        return np.asarray(array, dtype=np.float64)
    if array.ndim < 2 or array.shape[-1] != columns:
        raise InputError(f"{inputs}: {name!r} is of shape {array.shape}, the layer has {columns} inputs")
    return second_moment(array)


def measure_model(
    path: str | Path,
    settings: Settings,
    *,
    journal: str | Path | None = None,
    jobs: int = 1,
    scheduler: str = "",
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
    scheduler : str
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
    chosen = [entry for entry in file.entries.values() if settings.chosen(entry)]
    if not chosen:
        raise InputError(
            f"{path}: none of {len(file.entries)} tensors is chosen",
            hint="weights with two axes or more are, unless --exclude matches; --exclude '' leaves nothing out",
        )
    _check_inputs(settings, chosen)
    notes = Journal(Path(journal), file, settings) if journal is not None else None
    done = dict(notes.read()) if notes else {}
    missing = [entry.name for entry in chosen if entry.name not in done]
    for layer in _run(str(Path(path).resolve()), missing, settings, jobs, scheduler):
        done[layer.name] = layer
        if notes:
            notes.append(layer)
        progress(len(done), len(chosen), layer.name)
    others = [entry for entry in file.entries.values() if entry not in chosen]
    return Measured(
        settings,
        tuple(done[entry.name] for entry in chosen),
        len(others),
        sum(entry.size for entry in others),
    )


def _check_inputs(settings: Settings, chosen: list[Entry]) -> None:
    if not settings.inputs:
        return
    try:
        with np.load(settings.inputs) as archive:
            known = set(archive.files)
    except (OSError, ValueError) as error:
        raise InputError(f"{settings.inputs} is no .npz file: {error}") from error
    unknown = sorted(known - {entry.name for entry in chosen})
    if unknown:
        raise InputError(f"{settings.inputs} has inputs of {unknown[0]!r}, which is no layer that is measured")


def _run(path: str, names: list[str], settings: Settings, jobs: int, scheduler: str) -> Iterator[LayerErrors]:
    if scheduler:
        yield from _run_on_dask(path, names, settings, scheduler)
    elif jobs == 1 or len(names) < 2:
        for name in names:
            yield measure_named(path, name, settings)
    else:
        with ProcessPoolExecutor(min(jobs, len(names)), mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(measure_named, path, name, settings) for name in names]
            try:
                for future in as_completed(waiting):
                    yield future.result()
            finally:
                for future in waiting:
                    future.cancel()


def _run_on_dask(path: str, names: list[str], settings: Settings, scheduler: str) -> Iterator[LayerErrors]:
    try:
        from distributed import Client
        from distributed import as_completed as as_completed_there
    except ImportError as error:
        raise InputError(
            "a Dask scheduler is given, but Dask is not installed", hint="pip install lowbit[dask]"
        ) from error
    try:
        client = Client(scheduler, timeout="20s")
    except (OSError, ValueError) as error:
        raise InputError(f"the Dask scheduler {scheduler} does not answer: {error}") from error
    with client:
        waiting = [client.submit(measure_named, path, name, settings, pure=False, retries=2) for name in names]
        for future in as_completed_there(waiting):
            yield future.result()
