"""Batches of sequences of several lengths: an integer model whose attention sees no padding."""

from __future__ import annotations

from dataclasses import replace

from lowbit.errors import InputError
from lowbit.layers import Attention, Quantity
from lowbit.models.graph import IntegerModel, Node

MASK = Quantity("uint8", 1.0)
"""1 for a token, 0 for padding."""


def with_padding(model: IntegerModel, name: str = "mask") -> IntegerModel:
    """The model with one more input, by which every attention knows the padding of its keys.

    Parameters
    ----------
    model : IntegerModel
    name : str
        Of the input: uint8 of shape (..., tokens), 0 where there is no token. Results at tokens are then those of the
        sequence without padding, which must follow the tokens where places have embeddings.

    Raises
    ------
    InputError
        The model has no attention, one that has a mask, or something of that name.
    """
    attentions = [node.layer for node in model.nodes.values() if isinstance(node.layer, Attention)]
    if not attentions:
        raise InputError("the model has no attention")
    if any(layer.mask is not None for layer in attentions):
        raise InputError("the model has an attention with a mask already")
    nodes = {
        key: Node(replace(node.layer, mask=MASK), (*node.inputs, name)) if isinstance(node.layer, Attention) else node
        for key, node in model.nodes.items()
    }
    if name in model.inputs:
        raise InputError(f"the model has an input {name!r} already")
    return IntegerModel(nodes, {**model.inputs, name: MASK}, model.outputs, model.facts)
