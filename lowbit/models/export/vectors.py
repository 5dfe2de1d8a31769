"""An integer model and one run of it as text that needs no Python to read: a folder of ``.vec`` files and the graph.

One file an array: each parameter of a layer, the codes of each input, and each intermediate and result of each layer. A
row is the last axis of the array, element 0 in its last digits (one element, where that would be too wide); the header
has the shape and what the codes mean.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.files.whole import whole_folder, write_text
from lowbit.format.registry import integer_format
from lowbit.layers.layer import Quantity, Step
from lowbit.models.graph import IntegerModel
from lowbit.models.store import record_of
from lowbit.ops.types import Array
from lowbit.vectors.elements import elements
from lowbit.vectors.flags.cast import RANDOM
from lowbit.vectors.vec import WIDEST_COLUMN, VectorFile, assemble, digits_for, write_vectors

GRAPH = "model.json"
"""The graph: what a file of an integer model has in its metadata, and the file of each array."""
LONGEST_NAME = 100
"""Characters of the name of an array in that of its file, after a number of its own."""


def write_layer_vectors(path: str | Path, model: IntegerModel, codes: Mapping[str, Array]) -> int:
    """Run a model and write its parameters and all that arises on the way into a new folder; how many files.

    Parameters
    ----------
    path : path
        Of a folder that is not there, or is empty.
    model : IntegerModel
    codes : mapping of str to ndarray
        Of each input.

    Raises
    ------
    InputError
        As for :meth:`IntegerModel.run`; or an input is empty, or the folder cannot be written.
    """
    for name, array in codes.items():
        if not array.size:
            raise InputError(f"input {name!r} has shape {array.shape}: it is empty, and so would be the vectors")
    record, tensors = record_of(model)
    files: dict[str, str] = {}
    with whole_folder(path) as folder:

        def write(what: str, array: Array, of: str, fmt: str, words: Mapping[str, Any]) -> None:
            files[what] = f"{len(files):04d}.{re.sub('[^A-Za-z0-9_.-]+', '_', what)[:LONGEST_NAME]}.vec"
            write_vectors(folder / files[what], _file(what, array, of, fmt, words))

        for name, array in tensors.items():
            write(name, array, "parameter", _format_of(array), {})
        for name, array in codes.items():
            write(name, array, "input", *_meaning(model.inputs[name]))

        steps: dict[str, list[Step]] = {name: [] for name in model.nodes}
        model.run(codes, lambda name, step: steps[name].append(step))
        for name, node in model.nodes.items():
            *before, result = steps[name]
            for step in before:
                words = {"bits": step.bits, "signed": step.signed}
                write(f"{name}:{step.label}", step.codes, node.layer.operation, _format_of(step.codes), words)
            fmt, words = _meaning(node.layer.result)
            write(name, result.codes, node.layer.operation, fmt, {**words, "inputs": " ".join(node.inputs)})
        write_text(folder / GRAPH, json.dumps({**record, "files": files}, indent=1) + "\n")
    return len(files) + 1


def _meaning(quantity: Quantity) -> tuple[str, dict[str, Any]]:
    """The format of codes, and what a code is worth."""
    return quantity.format, {"scale": repr(float(quantity.scale)), "zero_point": quantity.zero_point}


def _format_of(array: Array) -> str:
    return str(array.dtype)


def _file(what: str, array: Array, of: str, fmt: str, words: Mapping[str, Any]) -> VectorFile:
    length, codes = array.shape[-1] if array.ndim else 1, integer_format(fmt)
    if length * digits_for(codes.bits) > WIDEST_COLUMN:
        length = 1
    rows = array.reshape(-1, length)
    header = {
        "set": _plain(what),
        "op": of,
        "source": f"{fmt}, {codes.bits} bits",
        "shape": " ".join(map(str, array.shape)),
        **{name: _plain(str(value)) for name, value in words.items()},
    }
    return assemble(header, [elements("codes", rows, codes)], np.full(len(rows), RANDOM))


def _plain(text: str) -> str:
    """Text in ASCII, as headers have it."""
    return text.encode("ascii", "backslashreplace").decode("ascii")
