"""The trained models that come with lowbit: their weights lie in golden/models, with what is known of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.files.safetensors import read_header
from lowbit.format.registry import data_directory
from lowbit.models.functions import Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.models.llama import Llama
from lowbit.models.resnet import ResNet
from lowbit.models.vit import Vit
from lowbit.printable import excerpt

KEY = "lowbit"
ARCHITECTURES = {"vit": Vit, "resnet": ResNet, "llama": Llama}
SUFFIX = ".safetensors"


@dataclass(frozen=True, eq=False)
class StoredModel:
    """A forward pass and its parameters.

    Attributes
    ----------
    architecture : Vit, ResNet or Llama
    parameters : mapping of str to ndarray of float32
        They are values of binary16.
    facts : mapping of str to object
        ``data``: what it was trained on; ``accuracy``: on what was held out of that; ``seed``, ``steps``,
        ``cpu_seconds`` of its training; ``trained_with``: versions.
    """

    architecture: Vit | ResNet | Llama
    parameters: Parameters
    facts: Mapping[str, Any]

    def logits(self, inputs: Any, apply: Apply = plainly) -> Any:
        """Scores of the classes or of the next token; ``apply`` stands around every operation."""
        return self.architecture.logits(self.parameters, inputs, apply)


def names() -> list[str]:
    """The models that can be loaded by name."""
    return sorted(path.stem for path in _folder().glob(f"*{SUFFIX}"))


def load(name: str | Path) -> StoredModel:
    """A trained model by name, or from a file of the same kind.

    Raises
    ------
    InputError
        There is no such model, or the file does not hold one.

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
    return StoredModel(architecture, parameters, facts)


def _folder() -> Path:
    return data_directory("golden") / "models"
