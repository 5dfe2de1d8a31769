"""The ``quantization_config`` of compressed-tensors: which modules of a checkpoint are quantised, and how.

It stands in ``config.json`` beside the file, as transformers has it, and in the metadata of files that lowbit writes,
so that these can be read alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.files.compressed_tensors import (
    FLOAT,
    INT,
    NAMED,
    OLD_INTEGERS,
    PACK,
    WEIGHT,
    arguments_of,
    format_of,
    kind_as_stored,
    stored,
)
from lowbit.files.parts import StoredTensor
from lowbit.files.safetensors import TensorFile
from lowbit.format.block import BlockFormat, Shape
from lowbit.printable import excerpt

METHOD, MIXED = "compressed-tensors", "mixed-precision"
REGEX = "re:"
_DROPPED = ("input_scale", "input_zero_point", "input_global_scale", "output_scale", "output_zero_point")
"""Parameters of activations, which say nothing once the weights are values again."""


def config(tensors: Sequence[StoredTensor], others: Sequence[str]) -> dict[str, Any]:
    """The config of a checkpoint: a group of modules for each format, and the modules that are left as they are.

    ``others``: names of the matrices that are. The output layer is among them even if the file does not have it, as
    that of the embedding.
    """
    return config_of([(tensor.name, tensor.format, kind_as_stored(tensor)) for tensor in tensors], others)


def config_of(matrices: Sequence[tuple[str, BlockFormat, str]], others: Sequence[str]) -> dict[str, Any]:
    """The config of matrices by their names, formats, and what compressed-tensors calls the way they are stored."""
    groups: dict[str, dict[str, Any]] = {}
    for name, fmt, kind in matrices:
        _, weights = arguments_of(fmt) or ("", {})
        blank: dict[str, Any] = {"targets": [], "weights": weights, "input_activations": None}
        group = groups.setdefault(fmt.id, {**blank, "output_activations": None, "format": kind})
        group["targets"].append(name.removesuffix(WEIGHT))
    kinds = sorted({group["format"] for group in groups.values()})
    targets = {name for group in groups.values() for name in group["targets"]}
    modules = [name.removesuffix(WEIGHT) for name in others if name.endswith(WEIGHT)]
    return {
        "quant_method": METHOD,
        "format": kinds[0] if len(kinds) == 1 else MIXED,
        "quantization_status": "compressed",
        "global_compression_ratio": None,
        "kv_cache_scheme": None,
        "ignore": list(dict.fromkeys([*modules, *({"lm_head"} - targets)])),
        "config_groups": {f"group_{index}": group for index, group in enumerate(groups.values())},
    }


def read(config: Mapping[str, Any], file: TensorFile) -> tuple[list[StoredTensor], set[str]]:
    """The quantised matrices of a checkpoint, and the names of other tensors that go with them.

    Raises
    ------
    InputError
        The config is not one that is read, or a tensor that belongs to a matrix is missing or misshapen.
    """
    groups, ignored = _groups(config, file), _texts(config.get("ignore") or [], file)
    tensors, beside = [], set()
    for name, entry in file.entries.items():
        module = name.removesuffix("_packed").removesuffix(WEIGHT)
        whole = name.endswith(WEIGHT) and (entry.dtype in ("I8", "F8_E4M3") or f"{name}_scale" in file.entries)
        if not (whole or name.endswith(f"{WEIGHT}_packed")) or _matches(module, ignored):
            continue
        group = _group_of(module, groups)
        if group is None:
            raise InputError(f"{file.path}: no group of the quantization_config has the module {excerpt(module)}")
        tensor = _stored(module, group, file)
        tensor.check(file)
        tensors.append(tensor)
        beside |= {f"{module}.{label}" for label in (*_DROPPED, "weight_shape")} & set(file.entries)
    _refuse_scales_alone({tensor.name for tensor in tensors}, ignored, file)
    return tensors, beside


def _refuse_scales_alone(names: set[str], ignored: Sequence[str], file: TensorFile) -> None:
    """Refuse scales of a module whose weights are not there: they would pass for values."""
    suffix = f"{WEIGHT}_scale"
    for module in (name.removesuffix(suffix) for name in file.entries if name.endswith(suffix)):
        if f"{module}{WEIGHT}" not in names and not _matches(module, ignored):
            what = (
                f"{file.path}: module {excerpt(module)} has a {suffix[1:]}, and no {WEIGHT[1:]}_packed or {WEIGHT[1:]}"
            )
            raise InputError(what, hint="is the checkpoint complete?")


def _groups(config: Mapping[str, Any], file: TensorFile) -> list[tuple[list[str], Mapping[str, Any]]]:
    method = config.get("quant_method", METHOD)
    if method != METHOD:
        raise InputError(f"{file.path}: quant_method is {excerpt(str(method))}, and {METHOD!r} alone is read")
    groups = config.get("config_groups")
    if not isinstance(groups, dict) or not all(isinstance(group, dict) for group in groups.values()):
        raise InputError(f"{file.path}: the quantization_config has no config_groups with targets and weights")
    kinds = [PACK, INT, FLOAT, "naive-quantized", MIXED, None, *(kind for kind, _ in NAMED.values())]
    result: list[tuple[list[str], Mapping[str, Any]]] = []
    for name, group in groups.items():
        weights = group.get("weights")
        kind = group.get("format") or config.get("format")
        if not isinstance(weights, dict) or kind not in kinds:
            raise InputError(
                f"{file.path}: group {excerpt(name)} of the quantization_config has the format {excerpt(str(kind))}, "
                "or no weights: it is not read here"
            )
        result.append((_texts(group.get("targets") or [], file), weights))
    return result


def _texts(words: Any, file: TensorFile) -> list[str]:
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise InputError(f"{file.path}: targets and ignore of the quantization_config are lists of names")
    for word in words:
        try:
            re.compile(word.removeprefix(REGEX) if word.startswith(REGEX) else "")
        except re.error as error:
            raise InputError(f"{file.path}: {excerpt(word)} is not a regular expression: {error}") from error
    return words


def _matches(module: str, words: Sequence[str]) -> bool:
    """Whether a name or a regular expression is that of a module."""
    return any(
        re.match(word.removeprefix(REGEX), module) is not None if word.startswith(REGEX) else word == module
        for word in words
    )


def _group_of(module: str, groups: list[tuple[list[str], Mapping[str, Any]]]) -> Mapping[str, Any] | None:
    """The arguments of a module: by its name, or else by a class, which every quantised module is taken to have."""
    for targets, weights in groups:
        if _matches(module, targets):
            return weights
    classes = (weights for targets, weights in groups if any(word[:1].isupper() for word in targets))
    return next(classes, None)


def _stored(module: str, weights: Mapping[str, Any], file: TensorFile) -> StoredTensor:
    name, what = f"{module}{WEIGHT}", f"{file.path}: module {excerpt(module)}"
    scale = file.entries.get(f"{name}_scale")
    if scale is None:
        raise InputError(f"{what} has no {WEIGHT[1:]}_scale", hint="is the checkpoint complete?")
    if f"{name}_g_idx" in file.entries:
        raise InputError(f"{what}: weights in the order of activations (weight_g_idx) are not read here")
    try:
        fmt = format_of(weights, scale.dtype)
    except InputError as error:
        raise InputError(f"{what}: {error.message}") from error
    packed = f"{name}_packed" in file.entries
    integers = fmt.element.wraps
    kind = PACK if packed and integers else INT if integers else FLOAT
    shape = _shape(name, file, fmt.element.bits, what)
    try:
        fmt.check_shape(shape, short=weights.get("strategy") == "block")
    except InputError as error:
        raise InputError(f"{what}: {error.message}") from error
    tensor = stored(name, shape, fmt, kind, exponents=scale.dtype)
    if kind == PACK and file.entries[f"{name}_packed"].shape != tensor.parts[0].shape:
        older = stored(name, shape, fmt, kind, layout=OLD_INTEGERS)
        return older if file.entries[f"{name}_packed"].shape == older.parts[0].shape else tensor
    return tensor


def _shape(name: str, file: TensorFile, bits: int, what: str) -> Shape:
    """The shape of the values."""
    entry = file.entries.get(f"{name}_packed") or file.entries[name]
    told = file.entries.get(f"{name}_shape")
    if told is not None and entry.name != name:
        if told.dtype not in ("I64", "I32") or told.size != 2:
            raise InputError(f"{what}: weight_shape is {told.dtype} {told.shape}, not two integers")
        shape = tuple(int(length) for length in np.asarray(file.tensor(told.name)).reshape(-1))
    elif len(entry.shape) != 2:
        shape = entry.shape
    elif entry.dtype == "I32":
        raise InputError(f"{what} has no weight_shape", hint="is the checkpoint complete?")
    else:
        shape = (entry.shape[0], entry.shape[1] * 8 // bits if entry.name != name else entry.shape[1])
    if len(shape) != 2 or min(shape) < 1 or max(shape) * bits > 32 * max(entry.size, 1):
        raise InputError(f"{what}: weights of shape {shape} are not in {entry.dtype} {entry.shape}")
    return shape
