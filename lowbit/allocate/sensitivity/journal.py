"""The journal of a measurement: a line of JSON for what is measured, then one for every finished layer."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lowbit.allocate.sensitivity.measure import Errors
from lowbit.allocate.sensitivity.settings import LayerErrors, Settings
from lowbit.errors import InputError
from lowbit.files.safetensors import TensorFile
from lowbit.files.whole import is_stream, whole_file

SCHEMA = "lowbit/sensitivity/1"


class Journal:
    """Finished layers of one measurement, on disk.

    Parameters
    ----------
    path : Path
        A file that is there already is continued; one of another model or of other settings is refused.
    file : TensorFile
    settings : Settings
        ``include`` and ``exclude`` may differ from those of the earlier run.
    """

    def __init__(self, path: Path, file: TensorFile, settings: Settings) -> None:
        self._path = path
        with file.path.open("rb") as source:
            length = int.from_bytes(source.read(8), "little")
            digest = hashlib.sha256(source.read(length)).hexdigest()
        kept = {name: value for name, value in asdict(settings).items() if name not in ("include", "exclude")}
        model = {**_state_of(file.path), "header_sha256": digest}
        inputs = _state_of(Path(settings.inputs)) if settings.inputs else None
        header = {"schema": SCHEMA, "model": model, "settings": kept, "inputs": inputs}
        self._header = json.loads(json.dumps(header))

    def read(self) -> Iterator[tuple[str, LayerErrors]]:
        """The layers that are there; starts the journal where there is none."""
        try:
            there = self._path.exists() and not is_stream(self._path)
            lines = self._path.read_bytes().splitlines(keepends=True) if there else []
        except OSError as error:
            raise InputError(f"{self._path} cannot be read: {error.strerror}", hint="name another journal") from error
        whole = [line for line in lines if line.endswith(b"\n")]  # a run that was killed may leave half a line
        try:
            documents = [json.loads(line) for line in whole]
            header = documents[0] if lines else self._header  # the first line is written whole: half of it is another's
            if header == self._header:
                yield from [_layer(document) for document in documents[1:]]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise InputError(f"{self._path} is no journal of a measurement", hint="remove it to start again") from error
        if header != self._header:
            raise InputError(
                f"{self._path} belongs to another model, to other inputs or to other settings",
                hint="remove it to start again, or write to another file",
            )
        if len(whole) != len(lines) or not documents:
            with whole_file(self._path) as file:
                file.write(b"".join(whole) if documents else json.dumps(self._header).encode() + b"\n")

    def append(self, layer: LayerErrors) -> None:
        """Note a finished layer."""
        line = {"name": layer.name, "shape": layer.shape, "errors": [asdict(errors) for errors in layer.errors]}
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")
        except OSError as error:
            hint = "name another file; its directory must exist"
            raise InputError(f"{self._path} cannot be written: {error.strerror}", hint=hint, code="LB101") from error


def _state_of(path: Path) -> dict[str, int]:
    """What changes when a file is written again."""
    status = path.stat()
    return {"bytes": status.st_size, "modified_ns": status.st_mtime_ns}


def _layer(document: dict[str, Any]) -> tuple[str, LayerErrors]:
    errors = tuple(Errors(**entry) for entry in document["errors"])
    return document["name"], LayerErrors(document["name"], tuple(document["shape"]), errors)
