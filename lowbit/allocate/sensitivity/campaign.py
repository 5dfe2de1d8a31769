"""The sensitivities of a whole model: layer after layer from the file, over processes or machines, resumable.

A finished layer is one line of a journal beside the output. A run that was cut off goes on where it stopped; a journal
of other settings is refused. Every layer is measured by itself, so the numbers are the same however the work is split.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowbit.allocate.sensitivity.group_quantization import GroupScheme
from lowbit.allocate.sensitivity.measure import Errors, measure
from lowbit.allocate.sensitivity.scores import second_moment
from lowbit.allocate.sensitivity.tensors import Entry, TensorFile, read_header
from lowbit.errors import InputError
from lowbit.registry import get_format

SCHEMA = "lowbit/sensitivity/1"
LEFT_OUT = r"embed|lm_head|norm"
"""Tensors that are left as they are unless one asks otherwise: embeddings, the output layer, normalisations."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Parameters
    ----------
    formats : tuple of str
        Ids of the formats to choose from.
    group : int
        Weights that share a scale; 0 for one scale an output.
    scale_format : str
    include, exclude : str
        Regular expressions, searched in the names of tensors; an empty one matches nothing.
    inputs : str
        A .npz file with the inputs X of layers (samples, inputs), or their second moments XᵀX; empty for none.
    """

    formats: tuple[str, ...]
    group: int = 128
    scale_format: str = "float16"
    include: str = ""
    exclude: str = LEFT_OUT
    inputs: str = ""

    def __post_init__(self) -> None:
        if not self.formats:
            raise InputError("no formats are given to choose from", hint="int2,int3,int4,int8, say")
        ids = tuple(get_format(name).id for name in self.formats)
        for name in ids:
            if ids.count(name) > 1:
                raise InputError(f"format {name} is given twice")
        object.__setattr__(self, "formats", ids)
        for pattern in (self.include, self.exclude):
            try:
                re.compile(pattern)
            except re.error as error:
                raise InputError(f"{pattern!r} is no regular expression: {error}") from error
        self.schemes()

    def schemes(self) -> list[GroupScheme]:
        """One a format."""
        return [GroupScheme(get_format(name), self.group, self.scale_format) for name in self.formats]

    def chosen(self, entry: Entry) -> bool:
        """Whether a tensor is quantised: floating point, at least two axes, and named so."""
        if not entry.floating or len(entry.shape) < 2 or not entry.size:
            return False
        if self.include and not re.search(self.include, entry.name, re.IGNORECASE):
            return False
        return not (self.exclude and re.search(self.exclude, entry.name, re.IGNORECASE))


@dataclass(frozen=True)
class LayerErrors:
    """One layer: its errors under each format, in the order of the settings."""

    name: str
    shape: tuple[int, ...]
    errors: tuple[Errors, ...]

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return int(np.prod(self.shape))


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
        return array.astype(np.float64)
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
    progress: Progress = lambda done, total, name: None,
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
    file = read_header(path)
    chosen = [entry for entry in file.entries.values() if settings.chosen(entry)]
    if not chosen:
        raise InputError(
            f"{path}: none of {len(file.entries)} tensors is chosen",
            hint="weights with two axes or more are, unless --exclude matches; --exclude '' leaves nothing out",
        )
    _check_inputs(settings, chosen)
    notes = _Journal(Path(journal), file, settings) if journal is not None else None
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


class _Journal:
    """Lines of JSON: what is measured, then a line a finished layer."""

    def __init__(self, path: Path, file: TensorFile, settings: Settings) -> None:
        self._path = path
        with file.path.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            digest = hashlib.sha256(source.read(length)).hexdigest()
        kept = {name: value for name, value in asdict(settings).items() if name not in ("include", "exclude")}
        status = file.path.stat()
        model = {"bytes": status.st_size, "modified_ns": status.st_mtime_ns, "header_sha256": digest}
        self._header = json.loads(json.dumps({"schema": SCHEMA, "model": model, "settings": kept}))

    def read(self) -> Iterator[tuple[str, LayerErrors]]:
        """The layers that are there; starts the journal where there is none."""
        lines = self._path.read_bytes().splitlines(keepends=True) if self._path.exists() else []
        whole = [line for line in lines if line.endswith(b"\n")]  # a run that was killed may leave half a line
        try:
            documents = [json.loads(line) for line in whole]
            header = documents[0] if documents else self._header
        except ValueError as error:
            raise InputError(f"{self._path} is no journal of a measurement", hint="remove it to start again") from error
        if header != self._header:
            raise InputError(
                f"{self._path} belongs to another model or to other settings",
                hint="remove it to start again, or write to another file",
            )
        if len(whole) != len(lines) or not documents:
            temporary = self._path.with_name(self._path.name + ".new")
            temporary.write_bytes(b"".join(whole) if documents else json.dumps(self._header).encode() + b"\n")
            os.replace(temporary, self._path)
        for document in documents[1:]:
            errors = tuple(Errors(**entry) for entry in document["errors"])
            yield document["name"], LayerErrors(document["name"], tuple(document["shape"]), errors)

    def append(self, layer: LayerErrors) -> None:
        """Note a finished layer."""
        line = {"name": layer.name, "shape": layer.shape, "errors": [asdict(errors) for errors in layer.errors]}
        with self._path.open("a") as file:
            file.write(json.dumps(line) + "\n")
