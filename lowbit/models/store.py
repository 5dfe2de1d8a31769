"""Integer models in one safetensors file: arrays are tensors ``node.field``, everything else is JSON in the metadata.

The classes of layers say what a file must have: a field that a class has, under its name, and in it what its annotation
allows.
"""

from __future__ import annotations

import json
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError, LowbitError
from lowbit.files.own_tensors import KEY
from lowbit.files.safetensors import DTYPES, Entry, TensorFile, read_header, write_tensors
from lowbit.layers import KINDS
from lowbit.layers.fields import alternatives, in_words
from lowbit.layers.layer import Quantity
from lowbit.models.graph import IntegerModel, Node
from lowbit.ops.types import Array
from lowbit.policy.requantize import RequantizeScheme
from lowbit.printable import excerpt, printable

SCHEMA = "lowbit/integer-model/1"
OPERATION, INPUTS, LAYER = "operation", "inputs", "layer"
"""Keys of a node's record."""
CLASS, TENSOR, TABLE = "class", "tensor", "table"
"""Keys of what JSON does not have: an instance of a class, an array, a mapping."""

_NODE: Mapping[str, type] = {OPERATION: str, INPUTS: list, LAYER: dict}
_OTHER = object()

_NAMES = {np.dtype(dtype): name for name, dtype in DTYPES.items() if name[0] in "IU"}


def write_model(path: str | Path, model: IntegerModel) -> None:
    """Write a model, whole or not at all.

    Raises InputError: the file cannot be written, or a requantisation scheme has no name.
    """
    document, tensors = record_of(model)
    entries = [Entry(name, _NAMES[array.dtype], array.shape, 0, array.nbytes) for name, array in tensors.items()]
    write_tensors(path, entries, tensors.values(), {KEY: json.dumps(document)})


def record_of(model: IntegerModel) -> tuple[dict[str, Any], dict[str, Array]]:
    """What a file says of a model as JSON has it, and its arrays by their names, ``node.field``.

    Raises InputError: a requantisation scheme has no name.
    """
    tensors: dict[str, Array] = {}
    nodes = {
        name: {
            OPERATION: node.layer.operation,
            INPUTS: list(node.inputs),
            LAYER: _fields(node.layer, name, tensors),
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
    return document, tensors


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
        hint = "`lowbit run MODEL --save NAME.safetensors` writes one"
        raise InputError(
            f"{file.path} is not an integer model: its metadata lacks a record of it", hint=hint
        ) from error
    if schema != SCHEMA:
        raise InputError(f"{file.path} is {excerpt(str(schema))}, not {SCHEMA!r}")
    where = str(file.path)
    parts = {name: _part(document, name, kind, where) for name, kind in _PARTS.items()}
    for name in (*parts["inputs"], *parts["nodes"]):
        if not name or printable(name, line=True) != name:
            raise InputError(f"{where}: {excerpt(name)} is not a name of a layer or an input", hint="without controls")
    inputs = {
        name: _object(Quantity, record, file, f"{where}: input {excerpt(name)}")
        for name, record in parts["inputs"].items()
    }
    nodes = {name: _node(record, file, f"{where}: layer {excerpt(name)}") for name, record in parts["nodes"].items()}
    if not all(isinstance(name, str) for name in parts["outputs"]):
        raise InputError(f"{where}: outputs are not names of layers: {_told(parts['outputs'])}")
    return IntegerModel(nodes, inputs, tuple(parts["outputs"]), parts["facts"])


_PARTS: Mapping[str, type] = {"inputs": dict, "outputs": list, "nodes": dict, "facts": dict}


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
        return {TABLE: {key: _plain(part, f"{name}.{key}", tensors) for key, part in value.items()}}
    return value.item() if isinstance(value, np.generic) else value


def _part(document: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    if not isinstance(document.get(name), kind):
        raise InputError(f"{where}: the record of the model does not have its {name}")
    return document[name]


def _node(record: Any, file: TensorFile, where: str) -> Node:
    whole = isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in _NODE.items())
    if not whole or not all(isinstance(name, str) for name in record[INPUTS]):
        raise InputError(f"{where} lacks its operation, inputs or layer: a name, a list of names, and a table")
    operation = record[OPERATION]
    if operation not in KINDS:
        raise InputError(f"{where} is of the unknown kind {excerpt(operation)}", hint=", ".join(KINDS))
    return Node(_object(KINDS[operation], record[LAYER], file, where), tuple(record[INPUTS]))


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
    """A field from JSON, as its annotation wants it: one of the alternatives, with all of its parts."""
    for kind in alternatives(hint):
        found = _as_kind(kind, value, file, where)
        if found is not _OTHER:
            return found
    if isinstance(value, dict) and TENSOR in value:
        raise InputError(f"{where} is the tensor {_told(value[TENSOR])}, which is not there or not wanted")
    if isinstance(value, dict) and CLASS in value:
        named = [kind.__name__ for kind in alternatives(hint) if is_dataclass(kind) and isinstance(kind, type)]
        raise InputError(f"{where} is of the class {_told(value[CLASS])}", hint=", ".join(named))
    raise InputError(f"{where} is {_told(value)}", hint=f"it takes {in_words(hint)}")


def _as_kind(kind: Any, value: Any, file: TensorFile, where: str) -> Any:
    """A value as one class, or ``_OTHER`` where it is of another."""
    origin = typing.get_origin(kind) or kind
    if origin is np.ndarray:
        there = isinstance(value, dict) and isinstance(value.get(TENSOR), str) and value[TENSOR] in file.entries
        return np.array(file.tensor(value[TENSOR])) if there else _OTHER
    if origin is tuple:
        return _as_tuple(typing.get_args(kind), value, file, where)
    if origin is Mapping:
        if not isinstance(value, dict) or not isinstance(value.get(TABLE), dict):
            return _OTHER
        wanted = typing.get_args(kind)[1]
        return {key: _value(wanted, part, file, f"{where}.{key}") for key, part in value[TABLE].items()}
    if is_dataclass(kind):
        if not isinstance(value, dict) or value.get(CLASS) != origin.__name__:
            return _OTHER
        return _object(origin, {key: part for key, part in value.items() if key != CLASS}, file, where)
    fits = type(value) is kind or (kind is float and type(value) is int)
    return value if fits and not (type(value) is int and abs(value) >> 63) else _OTHER


def _as_tuple(kinds: tuple[Any, ...], value: Any, file: TensorFile, where: str) -> Any:
    """A list as a tuple of declared kinds, or of one kind and any length."""
    if not isinstance(value, list):
        return _OTHER
    each = kinds[:1] * len(value) if kinds[1:] == (...,) else kinds
    if len(value) != len(each):
        return _OTHER
    parts = enumerate(zip(each, value, strict=True))
    return tuple(_value(kind, part, file, f"{where}[{place}]") for place, (kind, part) in parts)


def _told(value: Any) -> str:
    return excerpt(value if isinstance(value, str) else json.dumps(value))
