"""The trained models that come with lowbit: their weights lie in golden/models, with what is known of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.files.safetensors import read_header
from lowbit.format.registry import data_directory
from lowbit.models.diffusion.dit import Dit
from lowbit.models.functions import Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.models.llama import Llama
from lowbit.models.resnet import ResNet
from lowbit.models.vit import Vit
from lowbit.printable import excerpt
from lowbit.quantizers.options import Numbers

KEY = "lowbit"
ARCHITECTURES = {"vit": Vit, "resnet": ResNet, "llama": Llama, "dit": Dit}
Architecture = Vit | ResNet | Llama | Dit
SUFFIX = ".safetensors"
DIGITS = "digits_dit"
"""The model of :func:`names` that makes images, and has no scores."""
FRACTIONS, LARGEST, SEVERAL = ("base", "epsilon"), 1e9, "strides"
"""Fields of architectures that are not counts, and what they are at most; the field that has several counts."""


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A forward pass and its parameters.

    Attributes
    ----------
    architecture : Vit, ResNet, Llama or Dit
    parameters : mapping of str to ndarray of float32
        They are values of binary16.
    facts : mapping of str to object
        ``data``: what it was trained on; ``accuracy``: on what was held out of that; ``seed``, ``steps``,
        ``cpu_seconds`` of its training; ``trained_with``: versions.
    """

    architecture: Architecture
    parameters: Parameters
    facts: Mapping[str, Any]

    def logits(self, inputs: Any, apply: Apply = plainly) -> Any:
        """Scores of the classes or of the next token; ``apply`` stands around every operation.

        Raises InputError: the model makes images, and has no scores.
        """
        if isinstance(self.architecture, Dit):
            what = "a diffusion transformer tells the noise of an image, and has no scores"
            raise InputError(what, hint="model.architecture.noise(model.parameters, images, times, labels)")
        return self.architecture.logits(self.parameters, inputs, apply)


def names() -> list[str]:
    """The models that can be loaded by name."""
    return sorted(path.stem for path in _folder().glob(f"*{SUFFIX}"))


def load(name: str | Path) -> StoredModel:
    """A trained model by name, or from a file of the same kind.

    Raises
    ------
    InputError
        There is no such model, or the file does not hold one: a parameter is missing, or has another shape than the
        others say.

    Examples
    --------
    >>> import numpy as np
    >>> from lowbit.models import load
    >>> model = load("mnist_vit")
    >>> model.logits(np.zeros((1, 28, 28), np.float32)).shape
    (1, 10)
    """
    path = Path(name) if str(name).endswith(SUFFIX) else _folder() / f"{name}{SUFFIX}"
    if not path.exists() and path.parent == _folder():
        raise InputError(f"there is no model {excerpt(str(name))}", hint=f"one of {', '.join(names())}")
    file = read_header(path)
    try:
        known = json.loads(file.metadata[KEY])
        shape = {key: tuple(value) if isinstance(value, list) else value for key, value in known["shape"].items()}
        architecture = ARCHITECTURES[known["architecture"]](**shape)
        facts = known["facts"]
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        what = f"{path} does not say in its metadata which of {', '.join(ARCHITECTURES)} it holds"
        raise InputError(what, hint="a file of golden/models, or one that bench/train writes") from error
    parameters = {key: file.tensor(key).astype(np.float32) for key in file.entries}
    for key, value in shape.items():
        sizes = value if key == SEVERAL and isinstance(value, tuple) else (value,) if key != SEVERAL else ()
        most = len(parameters) if key not in FRACTIONS else LARGEST
        numbers = Numbers(0, most, excluded=0, whole=key not in FRACTIONS)
        if not sizes or not all(map(numbers.holds, sizes)):
            raise InputError(f"{path}: {key} = {excerpt(repr(value), quoted=False)} is not one of a model of its size")
    _require_shapes(architecture, parameters, str(path))
    return StoredModel(architecture, parameters, facts)


def _require_shapes(architecture: Architecture, parameters: Parameters, where: str) -> None:
    """Raise an InputError that names the first parameter that is missing, or not of the shape that others ask for."""
    try:
        wanted = _shapes(architecture, {name: array.shape for name, array in parameters.items()})
    except (KeyError, IndexError) as error:
        raise InputError(f"{where}: a parameter is missing or has too few axes: {error}") from error
    heads = getattr(architecture, "heads", 1)
    width = wanted.get("norm.weight", wanted.get("time.second.weight", (heads,)))[0]
    if width % heads:
        raise InputError(f"{where}: {width} channels are not shared by {heads} heads")
    for name, shape in wanted.items():
        if name not in parameters:
            raise InputError(f"{where}: the parameter {name} is missing")
        if parameters[name].shape != shape:
            raise InputError(f"{where}: {name} has shape {parameters[name].shape}, not {shape}")


def _shapes(architecture: Architecture, given: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """The shapes of all parameters, from those of a few."""
    if isinstance(architecture, Vit):
        (tokens, width), middle = given["positions.weight"][:2], given["blocks.0.mlp.up.weight"][0]
        return architecture.shapes(isqrt(tokens) * architecture.patch, width, middle, given["head.weight"][0])
    if isinstance(architecture, ResNet):
        blocks = (f"blocks.{number}.first" for number in range(len(architecture.strides) - 1))
        channels = tuple(given[f"{name}.conv.weight"][0] for name in ("stem", *blocks))
        return architecture.shapes(channels, given["head.weight"][0])
    if isinstance(architecture, Dit):
        (labels, width), waves = given["labels.weight"][:2], given["time.first.weight"][1]
        return architecture.shapes(width, given["blocks.0.mlp.up.weight"][0], labels, waves)
    words, width = given["embed_tokens.weight"][:2]
    key_heads = given["layers.0.self_attn.k_proj.weight"][0] // max(width // architecture.heads, 1)
    middle = given["layers.0.mlp.up_proj.weight"][0]
    return architecture.shapes(words, width, middle, key_heads, tied="lm_head.weight" not in given)


def _folder() -> Path:
    return data_directory("golden") / "models"
