"""The encoder of BERT, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: Devlin et al., "BERT", NAACL 2019 (arXiv 1810.04805), and "Attention is all you need" for the layers; the
names of the parameters are those of Hugging Face's checkpoints.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.models.functions import Forward, Functions, Parameters
from lowbit.models.hook import Apply, plainly

Linear = Callable[[str, Any, Any, Any], Any]
"""A linear layer: the name of its weight, its input, weight (outputs, inputs) and bias."""


@dataclass(frozen=True)
class Bert(Forward):
    """What the shape of the parameters does not say.

    Attributes
    ----------
    layers, heads : int
    epsilon : float
        Of the layer norms.
    """

    layers: int
    heads: int
    epsilon: float = 1e-12

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
        run = self.functions(parameters, apply)
        hidden = self._embedded(run, tokens)
        for number in range(self.layers):
            hidden = self._block(run, number, hidden, linear)
        return hidden

    def embedded(self, parameters: Parameters, tokens: Sequence[int], apply: Apply = plainly) -> Any:
        """What goes into the first block for a sequence, shape (tokens, width)."""
        return self._embedded(self.functions(parameters, apply), tokens)

    def block_name(self, number: int) -> str:
        """What the names of a block's parameters begin with."""
        return f"encoder.layer.{number}"

    def block(self, parameters: Parameters, number: int, hidden: Any, apply: Apply = plainly) -> Any:
        """What one block of the encoder makes of states, shape (..., tokens, width)."""
        return self._block(self.functions(parameters, apply), number, hidden, None)

    def _embedded(self, run: Functions, tokens: Sequence[int]) -> Any:
        words, places, kinds = (
            run.parameters[f"embeddings.{kind}_embeddings.weight"] for kind in ("word", "position", "token_type")
        )
        numbers, positions = np.asarray(tokens), np.arange(len(tokens))
        word = run.apply("embedding", "embeddings.word_embeddings", lambda rows: words[rows], numbers)
        name = "embeddings.position_embeddings"
        place = run.apply("embedding", name, lambda rows: places[rows] + kinds[0], positions)
        return run.layernorm("embeddings.LayerNorm", run.add("embeddings.add", word, place), self.epsilon)

    def _block(self, run: Functions, number: int, hidden: Any, linear: Linear | None) -> Any:
        through = plain_linear if linear is None else linear
        name = self.block_name(number)

        def layer(name: str, values: Any) -> Any:
            weight, bias = run.parameters[f"{name}.weight"], run.parameters[f"{name}.bias"]
            return run.apply("linear", name, lambda values: through(f"{name}.weight", values, weight, bias), values)

        parts = [layer(f"{name}.attention.self.{part}", hidden) for part in ("query", "key", "value")]
        mixed = run.attention(f"{name}.attention.self", *parts, heads=self.heads)
        mixed = run.add(f"{name}.attention.output.add", layer(f"{name}.attention.output.dense", mixed), hidden)
        hidden = run.layernorm(f"{name}.attention.output.LayerNorm", mixed, self.epsilon)
        middle = run.gelu(f"{name}.intermediate.gelu", layer(f"{name}.intermediate.dense", hidden))
        middle = run.add(f"{name}.output.add", layer(f"{name}.output.dense", middle), hidden)
        return run.layernorm(f"{name}.output.LayerNorm", middle, self.epsilon)


def plain_linear(_: str, values: Any, weight: Any, bias: Any) -> Any:
    """``X W^T + b``."""
    return values @ weight.T + bias
