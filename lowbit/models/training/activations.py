"""Activations in few bits as a block computes: hooks around its operations, over arrays that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.models.hook import Apply
from lowbit.quantizers.learned.estimators import fake_quantize, round_through
from lowbit.quantizers.learned.gradients import differentiable
from lowbit.quantizers.learned.optimizers import Arrays

SMALLEST, LARGEST = 1e-5, 1e4
"""Of a scale; of a zero point in magnitude."""
RANGE, ZERO = ".range", ".zero"
"""Ends of the names of what is learned of static activations."""
WIDTHS = {
    **dict.fromkeys(("linear", "rmsnorm", "layernorm", "rotary", "mix", "silu", "gelu", "multiply"), 8),
    **dict.fromkeys(("add", "scores", "softmax"), 16),
}
"""Bits of what an operation puts out, by its kind."""
WIDE = ("o_proj", "down_proj")
"""Linear layers whose outputs, which are added to the states, have 16 bits."""


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


@dataclass(frozen=True)
class Static:
    """Activations under one scale and one zero point for each operation, which are learned.

    ``scale = (max - min) / (2^bits - 1)``, at least 1e-5, and the zero point ``-rint(min / scale)``, which need not be
    a code. What is learned of a scale is the share of it that stays; a zero point is rounded with a slope of 1. The
    official code has the zero point unrounded while it learns, and moves scales by steps of their own.
    Source: Tan et al., "MobileQuant" (arXiv 2408.13933), section 3.2; saic-fi/MobileQuant 8964f91, ptq/mobilequant.py
    and mobilellm/quantization/qmodule.py.

    Attributes
    ----------
    ends : mapping of str to pair of float
        By the name of the operation, the least and the largest number that it puts out.
    bits : mapping of str to int
    """

    ends: Mapping[str, tuple[float, float]]
    bits: Mapping[str, int]

    @classmethod
    def seen(cls, forward: Callable[[Any, Apply], Any], samples: Iterable[Any]) -> Static:
        """The ranges of samples, by a forward pass that takes one, and a hook."""
        ends: dict[str, tuple[float, float]] = {}
        bits: dict[str, int] = {}

        def look(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
            result = function(*inputs)
            if kind in WIDTHS:
                low, high = ends.get(name, (np.inf, -np.inf))
                ends[name] = (min(low, float(np.min(result))), max(high, float(np.max(result))))
                bits[name] = 16 if name.endswith(WIDE) else WIDTHS[kind]
            return result

        for sample in samples:
            forward(sample, look)
        return cls(ends, bits)

    def scale(self, name: str) -> float:
        """Before anything is learned."""
        low, high = self.ends[name]
        return max((high - low) / ((1 << self.bits[name]) - 1), SMALLEST)

    def start(self, dtype: Any) -> Arrays:
        """What is learned, before the first step."""
        learned = {f"{name}{RANGE}": np.ones((), dtype) for name in self.ends}
        return learned | {
            f"{name}{ZERO}": np.asarray(-np.rint(low / self.scale(name)), dtype) for name, (low, _) in self.ends.items()
        }

    def hook(self, learned: Mapping[str, Any]) -> Apply:
        """A hook that rounds what operations put out; those that were not seen stay as they are."""

        def apply(kind: str, name: str, function: Callable[..., Any], *inputs: Any) -> Any:
            result = function(*inputs)
            if kind not in WIDTHS or name not in self.ends:
                return result
            scale, zero = learned[f"{name}{RANGE}"] * self.scale(name), round_through(learned[f"{name}{ZERO}"])
            return fake_quantize(result, scale, zero, low=0, high=(1 << self.bits[name]) - 1)

        return apply
