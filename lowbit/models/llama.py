"""A Llama, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: Touvron et al., "LLaMA" (arXiv 2302.13971), with the groups of queries of "Llama 2" (arXiv 2307.09288);
the names of the parameters are those of Hugging Face's checkpoints, without their ``model.``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lowbit.models.functions import Forward, Functions, Parameters, rotary_tables
from lowbit.models.hook import Apply, plainly


@dataclass(frozen=True)
class Llama(Forward):
    """What the shape of the parameters does not say.

    Attributes
    ----------
    layers, heads : int
    base : float
        Of the angles by which queries and keys are turned.
    epsilon : float
        Of the norms.
    """

    layers: int
    heads: int
    base: float = 10_000.0
    epsilon: float = 1e-5

    def shapes(self, words: int, width: int, middle: int, key_heads: int, *, tied: bool) -> dict[str, tuple[int, ...]]:
        """Every parameter with its shape.

        ``middle``: channels between two layers. ``tied``: the table of words is the last layer's weight.
        """
        keys = width // self.heads * key_heads
        shapes: dict[str, tuple[int, ...]] = {"embed_tokens.weight": (words, width)}
        for number in range(self.layers):
            name = f"layers.{number}"
            shapes |= {
                f"{name}.input_layernorm.weight": (width,),
                f"{name}.self_attn.q_proj.weight": (width, width),
                f"{name}.self_attn.k_proj.weight": (keys, width),
                f"{name}.self_attn.v_proj.weight": (keys, width),
                f"{name}.self_attn.o_proj.weight": (width, width),
                f"{name}.post_attention_layernorm.weight": (width,),
                f"{name}.mlp.gate_proj.weight": (middle, width),
                f"{name}.mlp.up_proj.weight": (middle, width),
                f"{name}.mlp.down_proj.weight": (width, middle),
            }
        shapes["norm.weight"] = (width,)
        return shapes if tied else shapes | {"lm_head.weight": (words, width)}

    def logits(self, parameters: Parameters, tokens: Any, apply: Apply = plainly) -> Any:
        """Scores of the next token after each one, shape (..., tokens, words).

        Parameters
        ----------
        parameters : mapping of str to array
            Without ``lm_head.weight``, the table of words takes its place.
        tokens : array of int, shape (..., tokens)
        apply : callable, optional
            Stands around every operation: see :mod:`lowbit.models.hook`.
        """
        if "lm_head.weight" not in parameters:
            parameters = {**parameters, "lm_head.weight": parameters["embed_tokens.weight"]}
        return self.functions(parameters, apply).linear("lm_head", self.hidden(parameters, tokens, apply))

    def hidden(self, parameters: Parameters, tokens: Any, apply: Apply = plainly) -> Any:
        """What the last layer's input is, shape (..., tokens, width); arguments as for :meth:`logits`."""
        run = self.functions(parameters, apply)
        hidden = run.embedding("embed_tokens", tokens)
        tables = rotary_tables(tokens.shape[-1], hidden.shape[-1] // self.heads, self.base)
        for number in range(self.layers):
            hidden = self._block(run, self.block_name(number), hidden, tables)
        return run.rmsnorm("norm", hidden, self.epsilon)

    def embedded(self, parameters: Parameters, tokens: Any, apply: Apply = plainly) -> Any:
        """What goes into the first block, shape (..., tokens, width)."""
        return self.functions(parameters, apply).embedding("embed_tokens", np.asarray(tokens))

    def block_name(self, number: int) -> str:
        """What the names of a block's parameters begin with."""
        return f"layers.{number}"

    def block(self, parameters: Parameters, number: int, hidden: Any, apply: Apply = plainly) -> Any:
        """What one block makes of states, shape (..., tokens, width)."""
        tables = rotary_tables(hidden.shape[-2], hidden.shape[-1] // self.heads, self.base)
        return self._block(self.functions(parameters, apply), self.block_name(number), hidden, tables)

    def _block(self, run: Functions, name: str, hidden: Any, tables: tuple[Any, Any]) -> Any:
        inside = run.rmsnorm(f"{name}.input_layernorm", hidden, self.epsilon)
        parts = [run.linear(f"{name}.self_attn.{part}_proj", inside) for part in "qkv"]
        mixed = run.attention(f"{name}.self_attn", *parts, heads=self.heads, causal=True, rotary=tables)
        hidden = run.add(f"{name}.self_attn.add", hidden, run.linear(f"{name}.self_attn.o_proj", mixed))
        inside = run.rmsnorm(f"{name}.post_attention_layernorm", hidden, self.epsilon)
        gate = run.silu(f"{name}.mlp.silu", run.linear(f"{name}.mlp.gate_proj", inside))
        middle = run.multiply(f"{name}.mlp.multiply", gate, run.linear(f"{name}.mlp.up_proj", inside))
        return run.add(f"{name}.mlp.add", hidden, run.linear(f"{name}.mlp.down_proj", middle))
