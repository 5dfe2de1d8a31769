"""The encoder of BERT, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: Devlin et al., "BERT", NAACL 2019 (arXiv 1810.04805), and "Attention is all you need" for the layers; the
names of the parameters are those of Hugging Face's checkpoints.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.special

from lowbit.models.hook import Apply, plainly

Parameters = Mapping[str, Any]
Linear = Callable[[str, Any, Any, Any], Any]
"""A linear layer: the name of its weight, its input, weight (outputs, inputs) and bias."""


@dataclass(frozen=True)
class Bert:
    """What the shape of the parameters does not say.

    Attributes
    ----------
    layers, heads : int
    epsilon : float
        Of the layer norms.
    namespace : module
        Arrays come from it: NumPy, or one that can differentiate.
    error_function : callable
        erf for its arrays.
    """

    layers: int
    heads: int
    epsilon: float = 1e-12
    namespace: Any = np
    error_function: Callable[[Any], Any] = scipy.special.erf

    def linears(self) -> list[str]:
        """The names of the weights of all linear layers of the encoder, in the order of the forward pass."""
        inside = (*(f"attention.self.{part}" for part in ("query", "key", "value")), "attention.output.dense")
        names = (*inside, "intermediate.dense", "output.dense")
        return [f"encoder.layer.{number}.{name}.weight" for number in range(self.layers) for name in names]

    def shapes(self, width: int, middle: int) -> dict[str, tuple[int, ...]]:
        """Every parameter but the tables, with its shape for states of a width; ``middle``: that between two layers."""
        special = {"intermediate.dense": (middle, width), "output.dense": (width, middle)}
        norms = ["embeddings.LayerNorm"]
        for number in range(self.layers):
            norms += [f"encoder.layer.{number}.{part}output.LayerNorm" for part in ("attention.", "")]
        shapes: dict[str, tuple[int, ...]] = {}
        for name in norms:
            shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
        for name in self.linears():
            layer = name.split(".", 3)[3].removesuffix(".weight")
            shapes[name] = special.get(layer, (width, width))
            shapes[f"{name.removesuffix('.weight')}.bias"] = shapes[name][:1]
        return shapes

    def hidden(
        self, parameters: Parameters, tokens: Sequence[int], linear: Linear | None = None, apply: Apply = plainly
    ) -> Any:
        """The last hidden states of a sequence, shape (tokens, width).

        Parameters
        ----------
        parameters : mapping of str to array
        tokens : sequence of int
        linear : callable, optional
            Stands in for every linear layer: to see its input, or to compute it in another way.
        apply : callable
            Stands around every operation, linear layers included: see :mod:`lowbit.models.hook`.
        """
        through = plain_linear if linear is None else linear

        def layer(name: str, values: Any) -> Any:
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            return apply("linear", name, lambda values: through(f"{name}.weight", values, weight, bias), values)

        def norm(name: str, values: Any) -> Any:
            return apply("layernorm", name, partial(self._norm, parameters, name), values)

        words, places, kinds = (
            parameters[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        numbers, positions = np.asarray(tokens), np.arange(len(tokens))
        word = apply("embedding", "embeddings.word_embeddings", lambda rows: words[rows], numbers)
        place = apply("embedding", "embeddings.position_embeddings", lambda rows: places[rows] + kinds[0], positions)
        hidden = apply("add", "embeddings.add", operator.add, word, place)
        hidden = norm("embeddings.LayerNorm", hidden)
        for number in range(self.layers):
            name = f"encoder.layer.{number}"
            mixed = self._attention(f"{name}.attention", hidden, layer, apply)
            mixed = layer(f"{name}.attention.output.dense", mixed)
            added = apply("add", f"{name}.attention.output.add", operator.add, mixed, hidden)
            hidden = norm(f"{name}.attention.output.LayerNorm", added)
            middle = layer(f"{name}.intermediate.dense", hidden)
            middle = apply("gelu", f"{name}.intermediate.gelu", self._gelu, middle)
            middle = layer(f"{name}.output.dense", middle)
            added = apply("add", f"{name}.output.add", operator.add, middle, hidden)
            hidden = norm(f"{name}.output.LayerNorm", added)
        return hidden

    def _norm(self, parameters: Parameters, name: str, values: Any) -> Any:
        centred = values - self.namespace.mean(values, axis=-1, keepdims=True)
        variance = self.namespace.mean(centred**2, axis=-1, keepdims=True)
        scaled = centred / self.namespace.sqrt(variance + self.epsilon)
        return scaled * parameters[f"{name}.weight"] + parameters[f"{name}.bias"]

    def _gelu(self, values: Any) -> Any:
        return values * (1 + self.error_function(values / 2**0.5)) / 2

    def _attention(self, name: str, hidden: Any, layer: Callable[[str, Any], Any], apply: Apply) -> Any:
        parts = [layer(f"{name}.self.{part}", hidden) for part in ("query", "key", "value")]
        function = partial(attention, self.namespace, apply, f"{name}.self", heads=self.heads)
        return apply("attention", f"{name}.self", function, *parts)


def attention(space: Any, apply: Apply, name: str, query: Any, key: Any, value: Any, *, heads: int) -> Any:
    """Attention of every head, joined; shapes (tokens, width). Its parts: NAME.scores, NAME.softmax, NAME.mix."""
    count = query.shape[0]

    def split(part: Any) -> Any:
        return space.transpose(space.reshape(part, (count, heads, -1)), (1, 0, 2))

    def scores(query: Any, key: Any) -> Any:
        return space.matmul(query, space.transpose(key, (0, 2, 1))) / query.shape[-1] ** 0.5

    def softmax(scores: Any) -> Any:
        shares = space.exp(scores - space.max(scores, axis=-1, keepdims=True))
        return shares / space.sum(shares, axis=-1, keepdims=True)

    shares = apply("scores", f"{name}.scores", scores, split(query), split(key))
    shares = apply("softmax", f"{name}.softmax", softmax, shares)
    mixed = apply("mix", f"{name}.mix", space.matmul, shares, split(value))
    return space.reshape(space.transpose(mixed, (1, 0, 2)), (count, -1))


def plain_linear(_: str, values: Any, weight: Any, bias: Any) -> Any:
    """``X W^T + b``."""
    return values @ weight.T + bias
