"""Integer models in one safetensors file: arrays are tensors ``node.field``, everything else is JSON in the metadata.

The classes of layers say what a file must have: a field that a class has, under its name, and in it what its annotation
allows.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.files.own_tensors import KEY
from lowbit.files.safetensors import DTYPES, Entry, TensorFile, read_header, write_tensors
from lowbit.layers import KINDS
from lowbit.layers.layer import Quantity
from lowbit.models.graph import IntegerModel, Node
from lowbit.ops.types import Array
from lowbit.policy.requantize import RequantizeScheme
from lowbit.printable import excerpt

SCHEMA = "lowbit/integer-model/1"
OPERATION, INPUTS, CLASS, TENSOR = "operation", "inputs", "class", "tensor"
"""Keys of a node's record; fields of its layer stand under ``layer``."""

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items() if name[0] in "IU"}


def write_model(path: str | Path, model: IntegerModel) -> None:
    """Write a model, whole or not at all.

    Raises InputError: the file cannot be written, or a requantisation scheme has no name.
    """
    tensors: dict[str, Array] = {}
    nodes = {
        name: {
            OPERATION: node.layer.operation,
            INPUTS: list(node.inputs),
            "layer": _fields(node.layer, name, tensors),
        }
        for name, node in model.nodes.items()
    }
    document = {
        "schema": SCHEMA,
        "inputs": {name: _fields(quantity, name, tensors) for name, quantity in model.inputs.items()},
        "outputs": list(model.outputs),
        "nodes": nodes,
        "facts": dict(model.facts),
    }
    entries = [Entry(name, _NAMES[array.dtype], array.shape, 0, array.nbytes) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values(), {KEY: json.dumps(document)})


def read_model(path: str | Path) -> IntegerModel:
    """Read a model.

    Raises
    ------
    InputError
        The file is not such a model, a kind of layer is unknown, or a field is missing, unknown or wrong; the message
        names the layer.
    """
    file = read_header(path)
    try:
        document = json.loads(file.metadata[KEY])
        schema = document["schema"]
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        hint = "`lowbit convert` makes one"
        raise InputError(
            f"{file.path} is not an integer model: its metadata lacks a record of it", hint=hint
        ) from error
    if schema != SCHEMA:
        raise InputError(f"{file.path} is {excerpt(str(schema))}, not {SCHEMA!r}")
    where = str(file.path)
    parts = {name: _part(document, name, kind, where) for name, kind in _PARTS.items()}
    inputs = {
        name: _object(Quantity, record, file, f"{where}: input {excerpt(name)}")
        for name, record in parts["inputs"].items()
    }
    nodes = {name: _node(record, file, f"{where}: layer {excerpt(name)}") for name, record in parts["nodes"].items()}
    outputs = tuple(str(name) for name in parts["outputs"])
    return IntegerModel(nodes, inputs, outputs, parts["facts"])


_PARTS: Mapping[str, type] = {"inputs": dict, "outputs": list, "nodes": dict, "facts": dict}


def is_model(file: TensorFile) -> bool:
    """Whether a file says that it is an integer model."""
    return f'"{SCHEMA.rsplit("/", 1)[0]}/' in file.metadata.get(KEY, "")


def _fields(value: Any, name: str, tensors: dict[str, Array]) -> dict[str, Any]:
    own = {field.name: getattr(value, field.name) for field in fields(value)}
    return {field: _plain(part, f"{name}.{field}", tensors) for field, part in own.items()}


def _plain(value: Any, name: str, tensors: dict[str, Array]) -> Any:
    """A field as JSON has it; arrays go into ``tensors``."""
    if isinstance(value, np.ndarray):
        tensors[name] = value
        return {TENSOR: name}
    if isinstance(value, RequantizeScheme):
        if not value.name:
            raise InputError(f"{name} is a scheme without a name: a file could not say what it is")
        return value.name
    if is_dataclass(value):
        return {CLASS: type(value).__name__, **_fields(value, name, tensors)}
    if isinstance(value, tuple | list):
        return [_plain(part, f"{name}.{place}", tensors) for place, part in enumerate(value)]
    if isinstance(value, Mapping):
        return {"table": {key: _plain(part, f"{name}.{key}", tensors) for key, part in value.items()}}
    return value.item() if isinstance(value, np.generic) else value


def _part(document: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    if not isinstance(document.get(name), kind):
        raise InputError(f"{where}: the record of the model does not have its {name}")
    return document[name]


def _node(record: Any, file: TensorFile, where: str) -> Node:
    try:
        operation, inputs, layer = record[OPERATION], tuple(record[INPUTS]), dict(record["layer"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where} lacks its operation, inputs or layer") from error
    if operation not in KINDS:
        raise InputError(f"{where} is of the unknown kind {excerpt(str(operation))}", hint=", ".join(KINDS))
    return Node(_object(KINDS[operation], layer, file, where), inputs)


def _object(kind: type, record: Any, file: TensorFile, where: str) -> Any:
    """An instance of a dataclass from its record."""
    if not isinstance(record, dict):
        raise InputError(f"{where} is not a table of fields")
    hints, own = typing.get_type_hints(kind), {field.name: field for field in fields(kind)}
    for name in dict.fromkeys((*own, *record)):
        if name not in own:
            raise InputError(f"{where} has the field {excerpt(name)}, which {kind.__name__} does not have")
        if name not in record and own[name].default is MISSING and own[name].default_factory is MISSING:
            raise InputError(f"{where} lacks the field {name!r}")
    values = {name: _value(hints[name], part, file, f"{where}, field {name!r}") for name, part in record.items()}
    try:
        return kind(**values)
    except LowbitError as error:
        raise InputError(f"{where}: {error.message}", hint=error.hint) from error


def _value(hint: Any, value: Any, file: TensorFile, where: str) -> Any:
    """A field from JSON, as its annotation wants it."""
    kinds = list(_kinds(hint))
    if isinstance(value, dict) and TENSOR in value:
        if np.ndarray not in kinds or value[TENSOR] not in file.entries:
            raise InputError(f"{where} is the tensor {excerpt(str(value[TENSOR]))}, which is not there or not wanted")
        return np.array(file.tensor(value[TENSOR]))
    if isinstance(value, dict) and "table" in value:
        return {key: _value(hint, part, file, f"{where}.{key}") for key, part in value["table"].items()}
    if isinstance(value, dict):
        named = {kind.__name__: kind for kind in kinds if is_dataclass(kind)}
        name = value.get(CLASS)
        if name not in named:
            raise InputError(f"{where} is of the class {excerpt(str(name))}", hint=", ".join(named))
        return _object(named[name], {key: part for key, part in value.items() if key != CLASS}, file, where)
    if isinstance(value, list):
        return tuple(_value(hint, part, file, f"{where}[{place}]") for place, part in enumerate(value))
    if type(value) not in kinds and not (type(value) is int and float in kinds):
        raise InputError(f"{where} is {excerpt(json.dumps(value))}")
    return value


def _kinds(hint: Any) -> Iterator[type]:
    """The classes that an annotation consists of."""
    origin = typing.get_origin(hint)
    if isinstance(origin, type) and issubclass(origin, np.ndarray):
        yield np.ndarray
    elif isinstance(hint, type) and origin is None:
        yield hint
    else:
        for part in typing.get_args(hint):
            yield from _kinds(part)
