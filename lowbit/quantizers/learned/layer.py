"""A linear layer that is reconstructed: parameters learned so that its outputs for rows of activations stay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles
from lowbit.quantizers.learned.descent import Settings, descend
from lowbit.quantizers.learned.gradients import Parameters, differentiable
from lowbit.quantizers.learned.optimizers import Arrays
from lowbit.quantizers.learned.reconstruction import Reconstruction, block_error

REPORT = {
    "seed": "what the rows of each step are drawn with",
    "losses": "the squared error of the outputs over the squared outputs, of the rows of each step before it",
    "before": "the same for all rows before the first step",
    "after": "the same for all rows of what is returned",
    "kept": "learned; or start, where what was learned has more than twice its error for all rows, and is not returned",
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
        error: Callable[[Arrays], float] | None = None,
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
        error : callable, optional
            Of what is stored for what was learned, for all rows, where its weights are not ``values``.
        """
        names = differentiable().namespace
        targets = np.maximum(self.outputs, 0) if relu else self.outputs
        size = self._size(targets)
        count = min(batch, len(self.rows))

        def forward(learned: Mapping[str, Any], rows: Any) -> Any:
            result = rows @ values(learned).T
            if "bias" in learned:
                result = result + learned["bias"]
            return names.maximum(result, np.float32(0)) if relu else result

        def loss(learned: Mapping[str, Any], step: int, random: np.random.Generator) -> Any:
            chosen = random.choice(len(self.rows), count, replace=False)
            wrong = ((forward(learned, self.rows[chosen]) - targets[chosen]) ** 2).mean() / size
            return wrong if penalty is None else wrong + penalty(learned, step)

        def own(learned: Arrays) -> float:
            return block_error(forward, learned, [self.rows], [targets])

        result = descend(loss, start, settings, after=after, judged=True)
        return Reconstruction.judged(dict(start), result, settings.seed, error or own)

    @staticmethod
    def _size(targets: Any) -> Any:
        """The mean square of the outputs, 1 where all are 0. Raises InputError: it is too small for binary32."""
        square = float(np.mean(targets.astype(np.float64) ** 2))
        if 0 < square < np.finfo(np.float32).smallest_normal:
            what = f"the outputs of the layer have the mean square {square:.3g}, too small to learn from in binary32"
            raise InputError(what, hint="scale the weights or the activations to an ordinary size")
        return np.float32(square or 1.0)


def report_of(result: Reconstruction) -> dict[str, Any]:
    """What a method says of it."""
    own = {"seed": result.seed, "losses": list(result.losses), "before": result.before, "after": result.after}
    return own | {"kept": result.kept}
