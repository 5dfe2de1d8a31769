"""A diffusion transformer, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: Peebles and Xie, "Scalable diffusion models with transformers", ICCV 2023 (arXiv 2212.09748), blocks with
adaLN-Zero (section 3.2); facebookresearch/DiT, models.py. Variances are not learned, and GELU is by erf as in the other
models, not by tanh.
"""

from __future__ import annotations

from collections.abc import Callable
from math import isqrt
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.models.functions import Functions, OfPatches, Parameters
from lowbit.models.hook import Apply, plainly
from lowbit.ops.arrays import Array

BASE = 10000.0
"""Of the frequencies of times and places."""
ATTENTION, MLP = "attention", "mlp"


class Dit(OfPatches):
    """A diffusion transformer."""

    def shapes(self, width: int, middle: int, labels: int, waves: int) -> dict[str, tuple[int, ...]]:
        """Every parameter with its shape; ``labels``: classes and one for none; ``waves``: numbers that tell a time."""
        linears = {"patches": (width, self.patch**2), "time.first": (width, waves), "time.second": (width, width)}
        for number in range(self.layers):
            block = f"blocks.{number}"
            linears[f"{block}.condition"] = (6 * width, width)
            linears |= {f"{block}.{ATTENTION}.{part}": (width, width) for part in ("query", "key", "value", "output")}
            linears |= {f"{block}.{MLP}.up": (middle, width), f"{block}.{MLP}.down": (width, middle)}
        linears |= {"condition": (2 * width, width), "head": (self.patch**2, width)}
        shapes: dict[str, tuple[int, ...]] = {"labels.weight": (labels, width)}
        for name, shape in linears.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        return shapes

    def linears(self) -> list[str]:
        """The weights of the linear layers of the blocks, in the order of the forward pass."""
        layers = ("condition", *(f"{ATTENTION}.{part}" for part in ("query", "key", "value", "output")))
        names = (*layers, f"{MLP}.up", f"{MLP}.down")
        return [f"blocks.{number}.{name}.weight" for number in range(self.layers) for name in names]

    def noise(self, parameters: Parameters, images: Any, times: Any, labels: Any, apply: Apply = plainly) -> Any:
        """The noise that there is in images, shape (..., rows, columns).

        Parameters
        ----------
        parameters : mapping of str to array
        images : array, shape (..., rows, columns)
        times : ndarray of int, shape (...)
            How noisy each is: see :mod:`lowbit.models.diffusion.sampling`.
        labels : ndarray of int, shape (...)
            The class of each; the number of classes is none.
        apply : callable, optional
            Stands around every operation: see :mod:`lowbit.models.hook`.

        Raises
        ------
        InputError
            Images are not squares of whole patches, times or labels are not whole numbers, one for each image or one
            for all, or there is no such label.
        """
        self._require(parameters, np.shape(images), times, labels)
        run = self.functions(parameters, apply)
        condition = self._condition(run, times, labels)
        hidden = run.linear("patches", run.reshape("tokens", self.patches, images))
        tokens, width = hidden.shape[-2:]
        table = self._like(hidden, places(isqrt(tokens), width))
        place = run.apply("embedding", "positions", lambda numbers: table[numbers], np.arange(tokens))
        hidden = run.add("positions.add", hidden, place)
        for number in range(self.layers):
            hidden = self._block(run, f"blocks.{number}", hidden, condition)
        shift, scale = self._parts(run, "condition", condition, ("shift", "scale"))
        hidden = run.modulate("modulate", run.layernorm("norm", hidden, self.epsilon), shift, scale)
        return run.reshape("pixels", self._image, run.linear("head", hidden))

    def _require(self, parameters: Parameters, shape: tuple[int, ...], times: Any, labels: Any) -> None:
        if len(shape) < 2 or 0 in shape or shape[-1] != shape[-2] or shape[-1] % self.patch:
            what = f"images of shape {shape} are not squares of whole patches of {self.patch} x {self.patch}"
            raise InputError(what, hint="(images, 8, 8), say")
        for name, numbers in (("times", np.asarray(times)), ("labels", np.asarray(labels))):
            if numbers.dtype.kind not in "iu" or numbers.shape not in (shape[:-2], ()):
                what = f"{name} have dtype {numbers.dtype} and shape {numbers.shape}, and images the shape {shape}"
                raise InputError(what, hint="whole numbers, one for each image")
        none = len(parameters["labels.weight"]) - 1
        if np.min(labels) < 0 or np.max(labels) > none:
            wrong = np.min(labels) if np.min(labels) < 0 else np.max(labels)
            raise InputError(f"label {wrong} is none of 0 to {none}", hint=f"{none} stands for no class")

    def _condition(self, run: Functions, times: Any, labels: Any) -> Any:
        """What blocks are told of an image's time and label, shape (..., width)."""
        weight = run.parameters["time.first.weight"]
        table = self._like(weight, waves(np.asarray(times), weight.shape[1]))
        time = run.apply("embedding", "time", lambda _: table, times)
        time = run.linear("time.second", run.silu("time.silu", run.linear("time.first", time)))
        return run.silu("condition.silu", run.add("condition.add", time, run.embedding("labels", labels)))

    def _block(self, run: Functions, name: str, hidden: Any, condition: Any) -> Any:
        parts = [f"{part}.{what}" for part in (ATTENTION, MLP) for what in ("shift", "scale", "gate")]
        told = self._parts(run, name, condition, parts, f"{name}.condition")
        inside = self._modulated(run, f"{name}.{ATTENTION}", hidden, *told[:2])
        mixed = [run.linear(f"{name}.{ATTENTION}.{part}", inside) for part in ("query", "key", "value")]
        outside = run.linear(
            f"{name}.{ATTENTION}.output", run.attention(f"{name}.{ATTENTION}", *mixed, heads=self.heads)
        )
        hidden = self._gated(run, f"{name}.{ATTENTION}", hidden, told[2], outside)
        inside = self._modulated(run, f"{name}.{MLP}", hidden, *told[3:5])
        middle = run.gelu(f"{name}.{MLP}.gelu", run.linear(f"{name}.{MLP}.up", inside))
        return self._gated(run, f"{name}.{MLP}", hidden, told[5], run.linear(f"{name}.{MLP}.down", middle))

    def _modulated(self, run: Functions, name: str, hidden: Any, shift: Any, scale: Any) -> Any:
        return run.modulate(f"{name}.modulate", run.layernorm(f"{name}.norm", hidden, self.epsilon), shift, scale)

    def _gated(self, run: Functions, name: str, hidden: Any, gate: Any, inside: Any) -> Any:
        return run.add(f"{name}.add", hidden, run.multiply(f"{name}.gated", gate, inside))

    def _parts(self, run: Functions, name: str, condition: Any, parts: Any, layer: str = "") -> list[Any]:
        """What a linear layer makes of the condition, a part for each name, with an axis for tokens."""
        values = run.linear(layer or name, condition)
        size = values.shape[-1] // len(parts)

        def part(number: int) -> Callable[[Any], Any]:
            return lambda values: values[..., None, number * size : (number + 1) * size]

        return [run.reshape(f"{name}.{own}", part(number), values) for number, own in enumerate(parts)]

    def _image(self, tokens: Any) -> Any:
        """The pixels of the tokens of squares, in their places: shape (..., rows, columns)."""
        *batch, count, _ = tokens.shape
        side = isqrt(count)
        split = self.namespace.reshape(tokens, (*batch, side, side, self.patch, self.patch))
        return self.namespace.reshape(
            self.namespace.swapaxes(split, -3, -2), (*batch, side * self.patch, side * self.patch)
        )

    def _like(self, other: Any, table: Array) -> Any:
        return self.namespace.asarray(table, dtype=other.dtype)


def waves(numbers: Array, size: int, *, sines_first: bool = False) -> Array:
    """Cosines and sines of numbers times falling frequencies, side by side: shape (..., size)."""
    half = size // 2
    angles = np.asarray(numbers)[..., None] * BASE ** (-np.arange(half) / half)
    both = [np.cos(angles), np.sin(angles)]
    return np.concatenate(both[::-1] if sines_first else both, axis=-1)


def places(side: int, width: int) -> Array:
    """What tells the tokens of a square their columns and rows, shape (side * side, width)."""
    row, column = np.divmod(np.arange(side * side), side)
    return np.concatenate([waves(one, width // 2, sines_first=True) for one in (column, row)], axis=-1)
