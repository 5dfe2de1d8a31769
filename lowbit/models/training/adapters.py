"""Adapters in all linear layers of a model, trained together by the model's own loss, and merged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lowbit.models.functions import Parameters
from lowbit.ops.arrays import Array
from lowbit.quantizers.learned.adapters import Merging, fresh
from lowbit.quantizers.learned.optimizers import Arrays

Layers = Mapping[str, Merging]
"""Frozen weights with what is learned beside them, by the names that they have in the model."""


def start(layers: Layers, rank: int, seed: int) -> Arrays:
    """What is learned, each by the name of its weight and its own: ``layers.0.mlp.up_proj.weight:left``.

    Parameters
    ----------
    layers : mapping of str to Rounded or Multiplied
    rank, seed : int
        Of the adapters; each begins as :func:`lowbit.quantizers.learned.adapters.fresh` draws it.
    """
    every: Arrays = {}
    for number, (name, layer) in enumerate(layers.items()):
        adapter = fresh(_shape(layer), rank, seed + number)
        every |= {f"{name}:{part}": value for part, value in layer.start(adapter).items()}
    return every


def replaced(parameters: Parameters, layers: Layers, learned: Mapping[str, Any]) -> dict[str, Any]:
    """A model's parameters with the weights that the adapters give: what its forward pass is trained through."""
    return {**parameters, **{name: layer.values(own(name, learned)) for name, layer in layers.items()}}


def kept(layers: Layers, learned: Arrays) -> Arrays:
    """Scales above 0: what is done after every step."""
    parts = ((name, layer.kept(own(name, learned))) for name, layer in layers.items())
    return {f"{name}:{part}": value for name, of_layer in parts for part, value in of_layer.items()}


def own(name: str, learned: Mapping[str, Any]) -> dict[str, Any]:
    """What is learned of one layer."""
    return {key[len(name) + 1 :]: value for key, value in learned.items() if key.startswith(f"{name}:")}


def _shape(layer: Merging) -> tuple[int, ...]:
    array: Array = layer.stored if hasattr(layer, "stored") else layer.integers
    return array.shape
