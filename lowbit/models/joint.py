"""What a method makes of a layer, or of layers that read the same activations: one factor an input for all of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from lowbit.models.layer_inputs import kept, model_of, names_in_model
from lowbit.ops.arrays import Array
from lowbit.quantizers.method import Method
from lowbit.quantizers.weight import QuantizedWeight

DEFAULT = "default"
"""In place of a format: that which a method works in unasked."""


def quantized(method: Method, weights: Array, activations: Array | None, to: str) -> QuantizedWeight:
    """What a method makes of a layer.

    ``to``: a format, or DEFAULT; several to choose from have ``+`` between them: ``"int4.g32+float4_e2m1fn.g32"``.
    """
    options = {} if to == DEFAULT else {"to": tuple(to.split("+")) if "+" in to else to}
    result: QuantizedWeight = method.quantize(weights, activations, **options)
    return result


def quantized_jointly(
    group: Mapping[str, Array], method: Method, activations: Array | None, to: str
) -> dict[str, QuantizedWeight]:
    """What a method makes of layers that read the same activations, by name; ``to`` as for :func:`quantized`."""
    if len(group) == 1:
        return {name: quantized(method, weights, activations, to) for name, weights in group.items()}
    ends = np.cumsum([len(weights) for weights in group.values()]).tolist()
    whole = quantized(method, np.concatenate(list(group.values())), activations, to)
    return {name: whole.of_outputs(end - len(group[name]), end) for name, end in zip(group, ends, strict=True)}


def readers(method: Method, weights: str | Path, name: str, formats: Mapping[str, str]) -> tuple[str, ...]:
    """The layers that a method takes as one with ``name``: they read the same array of the model, in the same format.

    ``weights``: the file of the model; ``formats``: of the layers that are quantised, by their names there.
    """
    if not method.joint:
        return (name,)
    inside = names_in_model(weights, formats)
    own = {known: one for one, known in inside.items()}
    others = _readers(weights)[inside[name]]
    return tuple(own[one] for one in others if one in own and formats[own[one]] == formats[name])


@kept(1)
def _readers(weights: str | Path) -> Mapping[str, tuple[str, ...]]:
    return model_of(weights).readers()
