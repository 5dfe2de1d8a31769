"""``config.json`` beside the weights of a model, as checkpoints of transformers have it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lowbit.errors import InputError
from lowbit.files.reading import unreadable
from lowbit.files.safetensors import TensorFile
from lowbit.files.whole import is_stream

NAME = "config.json"
KEY = "quantization_config"


def read_config(path: Path) -> dict[str, Any]:
    """The config in the folder of a file; empty where there is none.

    Raises InputError: it cannot be read, or is not a JSON object.
    """
    place = path.parent / NAME
    try:
        document = json.loads(place.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise unreadable(place, error) from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{place} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise InputError(f"{place} is not a JSON object")
    return document


def quantization_of(file: TensorFile) -> dict[str, Any]:
    """The ``quantization_config`` of a file: its own, or that of its folder; empty where there is none.

    Raises InputError: it is not a JSON object.
    """
    where = f"{file.path}: the {KEY}"
    if KEY not in file.metadata:
        own = read_config(file.path).get(KEY) or {}
    else:
        try:
            own = json.loads(file.metadata[KEY])
        except (ValueError, RecursionError) as error:
            raise InputError(f"{where} in its metadata is not JSON: {error}") from error
    if not isinstance(own, dict):
        raise InputError(f"{where} is not a JSON object")
    return own


def config_beside(source: Path, output: Path, quantization: dict[str, Any] | None) -> tuple[Path, str] | None:
    """Where a config goes beside an output, and its text: the source's, with this ``quantization_config`` or without.

    None where there is not one to write: the output is a stream, or lies beside the source, whose config stays.

    Raises InputError: the folder has a config of another quantisation, or a config cannot be read.
    """
    if is_stream(output) or same_folder(source, output):
        return None
    there = read_config(output)
    document = {**read_config(source), **there}
    other = document.pop(KEY, None) if KEY in there else None
    document.pop(KEY, None)
    if quantization is not None:
        document[KEY] = _merged(other, quantization, output) if other else quantization
    elif other:
        what = f"{output.parent / NAME} has a {KEY}, which would be that of {output.name} too"
        raise InputError(what, hint="write into a folder of its own")
    elif there or not document:
        return None
    return output.parent / NAME, json.dumps(document, indent=2) + "\n"


def same_folder(source: Path, output: Path) -> bool:
    """Whether two files lie, or would lie, in one folder."""
    try:
        return source.parent.samefile(output.parent)
    except OSError:
        return False


def _merged(other: Any, own: dict[str, Any], output: Path) -> dict[str, Any]:
    """Of two parts of a model, quantised alike, the one config."""
    try:
        alike = _without_names(other) == _without_names(own)
        theirs = [other["ignore"], *(group["targets"] for group in other["config_groups"].values())]
        lists = [own["ignore"], *(group["targets"] for group in own["config_groups"].values())]
        both = [list(dict.fromkeys([*left, *right])) for left, right in zip(theirs, lists, strict=True)]
    except (KeyError, TypeError, ValueError, AttributeError):
        alike = False
    if not alike:
        raise InputError(f"{output.parent / NAME} has another {KEY}", hint="write into a folder of its own")
    groups = own["config_groups"].items()
    merged = {name: group | {"targets": targets} for (name, group), targets in zip(groups, both[1:], strict=True)}
    quantised = {module for group in merged.values() for module in group["targets"]}
    return {**own, "config_groups": merged, "ignore": [module for module in both[0] if module not in quantised]}


def _without_names(config: dict[str, Any]) -> dict[str, Any]:
    groups = {name: group | {"targets": []} for name, group in config["config_groups"].items()}
    return {**config, "config_groups": groups, "ignore": []}
