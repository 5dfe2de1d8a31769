"""Activations in few bits as a block computes: hooks around its operations, over arrays that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lowbit.models.hook import Apply
from lowbit.quantizers.learned.estimators import fake_quantize
from lowbit.quantizers.learned.gradients import differentiable

SMALLEST, LARGEST = 1e-5, 1e4
"""Of a scale."""


def of_tokens(bits: int) -> Apply:
    """A hook that rounds what goes into linear layers, each token with a scale and a zero point of its own.

    ``scale = (max - min) / (2^bits - 1)``, and the zero point ``rint(-min / scale)``, which has no slope. Source:
    OpenGVLab/OmniQuant 95fae1b, quantize/quantizer.py, ``per_token``.
    """
    space = differentiable().namespace

    def apply(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
        del name
        if kind != "linear":
            return function(*inputs)
        (values,) = inputs
        largest, smallest = (find(values, axis=-1, keepdims=True) for find in (space.amax, space.amin))
        scale = space.clip((largest - smallest) / ((1 << bits) - 1), SMALLEST, LARGEST)
        zero = space.rint(space.clip(-smallest / scale, -LARGEST, LARGEST))
        return function(fake_quantize(values, scale, zero, low=0, high=(1 << bits) - 1))

    return apply
