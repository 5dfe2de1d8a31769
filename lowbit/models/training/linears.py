"""Linear layers whose product is another one in training, and the loss of classes: what training in formats shares."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np

from lowbit.models.hook import Apply
from lowbit.quantizers.learned.gradients import differentiable

Product = Callable[[str, Any, Any], Any]
"""``(name, inputs, weights) -> outputs``: inputs of shape (..., inputs), weights (outputs, inputs), without a bias."""


def with_product(parameters: Mapping[str, Any], product: Product, *, left_out: Collection[str] = ()) -> Apply:
    """A hook under which linear layers multiply in another way; those of the names that are left out do as they are."""

    def apply(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        if kind != "linear" or name in left_out:
            return function(*inputs)
        result = product(name, inputs[0], parameters[f"{name}.weight"])
        bias = parameters.get(f"{name}.bias")
        return result if bias is None else result + bias

    return apply


def cross_entropy(scores: Any, labels: Any) -> Any:
    """The mean of what labels cost in nats, scores of shape (..., classes), over any arrays."""
    space = differentiable().namespace
    rows = space.reshape(scores, (-1, scores.shape[-1]))
    shifted = rows - space.amax(rows, axis=-1, keepdims=True)
    # A product, as the slope of an index is an addition in place, which takes ten times as long.
    chosen = (np.reshape(labels, (-1, 1)) == np.arange(rows.shape[-1])).astype(rows.dtype)
    return space.mean(space.log(space.sum(space.exp(shifted), axis=-1)) - space.sum(shifted * chosen, axis=-1))
