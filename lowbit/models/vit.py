"""A vision transformer, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: Dosovitskiy et al., "An image is worth 16x16 words", ICLR 2021 (arXiv 2010.11929), with the mean of all
tokens in the place of a class token (its appendix D.3). I-ViT (Li and Gu, ICCV 2023, arXiv 2207.01405) has its integer
arithmetic.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lowbit.models.functions import Functions, OfPatches, Parameters
from lowbit.models.hook import Apply, plainly


class Vit(OfPatches):
    """A vision transformer."""

    def shapes(self, size: int, width: int, middle: int, classes: int) -> dict[str, tuple[int, ...]]:
        """Every parameter with its shape, for images of ``size`` squared and ``middle`` channels between two layers."""
        tokens, pixels = (size // self.patch) ** 2, self.patch**2
        linears = {"patches": (width, pixels)}
        norms = []
        for number in range(self.layers):
            block = f"blocks.{number}"
            norms += [f"{block}.attention.norm", f"{block}.mlp.norm"]
            linears |= {f"{block}.attention.{part}": (width, width) for part in ("query", "key", "value", "output")}
            linears |= {f"{block}.mlp.up": (middle, width), f"{block}.mlp.down": (width, middle)}
        linears["head"] = (classes, width)
        shapes: dict[str, tuple[int, ...]] = {"positions.weight": (tokens, width)}
        for name, shape in linears.items():
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        for name in (*norms, "norm"):
            shapes |= {f"{name}.weight": (width,), f"{name}.bias": (width,)}
        return shapes

    def logits(self, parameters: Parameters, images: Any, apply: Apply = plainly) -> Any:
        """Scores of the classes, shape (..., classes).

        Parameters
        ----------
        parameters : mapping of str to array
        images : array, shape (..., rows, columns)
            Of values from 0 to 1.
        apply : callable, optional
            Stands around every operation: see :mod:`lowbit.models.hook`.
        """
        run = self.functions(parameters, apply)
        hidden = run.linear("patches", run.reshape("tokens", self.patches, images))
        places = run.embedding("positions", np.arange(hidden.shape[-2]))
        hidden = run.add("positions.add", hidden, places)
        for number in range(self.layers):
            hidden = self._block(run, f"blocks.{number}", hidden)
        return run.linear("head", run.mean("mean", run.layernorm("norm", hidden, self.epsilon), -2))

    def _block(self, run: Functions, name: str, hidden: Any) -> Any:
        inside = run.layernorm(f"{name}.attention.norm", hidden, self.epsilon)
        parts = [run.linear(f"{name}.attention.{part}", inside) for part in ("query", "key", "value")]
        mixed = run.attention(f"{name}.attention", *parts, heads=self.heads)
        hidden = run.add(f"{name}.attention.add", hidden, run.linear(f"{name}.attention.output", mixed))
        inside = run.layernorm(f"{name}.mlp.norm", hidden, self.epsilon)
        middle = run.gelu(f"{name}.mlp.gelu", run.linear(f"{name}.mlp.up", inside))
        return run.add(f"{name}.mlp.add", hidden, run.linear(f"{name}.mlp.down", middle))
