"""A linear layer that is reconstructed: parameters learned so that its outputs for rows of activations stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.gradients import Parameters, differentiable
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction, block_error
from lowbit.quantizers.options import Numbers, Option

STEPS = Option("steps of the optimiser; 0 leaves where it starts", Numbers(0, 1_000_000, whole=True))
BATCH = Option("rows of activations that a step sees, drawn without putting back", Numbers(1, whole=True))
REPORT = {
    "seed": "what the rows of each step are drawn with",
    "losses": "the squared error of the outputs over the squared outputs, of the rows of each step before it",
    "before": "the same for all rows before the first step",
    "after": "the same for all rows after the last",
}
"""Of methods that learn a layer."""


class Layer(NamedTuple):
    """Rows that go into a layer, and what comes out of it, in binary32."""

    rows: Any
    outputs: Any

    @classmethod
    def of(cls, matrix: Doubles, rows: Doubles) -> Layer:
        """Of weights (outputs, inputs) and activations (rows, inputs)."""
        return cls(rows.astype(np.float32), (rows @ matrix.T).astype(np.float32))

    def learn(
        self,
        values: Callable[[Mapping[str, Any]], Any],
        start: Parameters,
        settings: Settings,
        *,
        batch: int,
        relu: bool = False,
        penalty: Callable[[Mapping[str, Any], int], Any] | None = None,
        after: Callable[[Arrays], Arrays] | None = None,
    ) -> Reconstruction:
        """Learn what the weights are made of: the squared error of the outputs over the squared outputs.

        Parameters
        ----------
        values : callable
            The weights (outputs, inputs) of what is learned.
        start : mapping of str to ndarray
            Where it begins. A ``bias`` is added to the outputs.
        settings : Settings
        batch : int
            Rows of a step.
        relu : bool
            Whether negative outputs count as 0.
        penalty, after
            As for :func:`lowbit.quantizers.learned.reconstruction.reconstruct`.
        """
        names = differentiable().namespace
        targets = np.maximum(self.outputs, 0) if relu else self.outputs
        size = np.float32(np.mean(targets.astype(np.float64) ** 2) or 1.0)
        count = min(batch, len(self.rows))

        def forward(learned: Mapping[str, Any], rows: Any) -> Any:
            result = rows @ values(learned).T
            if "bias" in learned:
                result = result + learned["bias"]
            return names.maximum(result, np.float32(0)) if relu else result

        def loss(learned: Mapping[str, Any], step: int, random: np.random.Generator) -> Any:
            chosen = random.choice(len(self.rows), count, replace=False)
            error = ((forward(learned, self.rows[chosen]) - targets[chosen]) ** 2).mean() / size
            return error if penalty is None else error + penalty(learned, step)

        before = block_error(forward, start, [self.rows], [targets])
        result = descend(loss, start, settings, after=after)
        error = block_error(forward, result.parameters, [self.rows], [targets])
        return Reconstruction(result.parameters, before, error, result.losses, settings.seed)


def report_of(result: Reconstruction) -> dict[str, Any]:
    """What a method says of it."""
    return {"seed": result.seed, "losses": list(result.losses), "before": result.before, "after": result.after}
