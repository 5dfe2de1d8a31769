"""A residual network, over a dictionary of parameters and any array namespace that looks like NumPy.

Architecture: He et al., "Deep residual learning", CVPR 2016 (arXiv 1512.03385), with its basic blocks and a stem for
small images. HAWQ-V3 (Yao et al., ICML 2021, arXiv 2011.10680) has its integer arithmetic. Images have their channels
last, and weights are of shape (outputs, height, width, inputs).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from lowbit.models.functions import Forward, Functions, Parameters
from lowbit.models.hook import Apply, plainly


@dataclass(frozen=True)
class ResNet(Forward):
    """What the shape of the parameters does not say.

    Attributes
    ----------
    strides : sequence of int
        Of the stem, then of each block.
    epsilon : float
        Of the batch norms.
    """

    strides: tuple[int, ...]
    epsilon: float = 1e-5

    def shapes(self, channels: tuple[int, ...], classes: int) -> dict[str, tuple[int, ...]]:
        """Every parameter with its shape; ``channels``: of the stem's result, then of each block's."""
        convs: dict[str, tuple[int, ...]] = {"stem": (channels[0], 3, 3, 1)}
        for number, (inputs, outputs) in enumerate(pairwise(channels)):
            block = f"blocks.{number}"
            convs |= {f"{block}.first": (outputs, 3, 3, inputs), f"{block}.second": (outputs, 3, 3, outputs)}
            if self.strides[number + 1] != 1 or inputs != outputs:
                convs[f"{block}.downsample"] = (outputs, 1, 1, inputs)
        shapes: dict[str, tuple[int, ...]] = {}
        for name, shape in convs.items():
            shapes[f"{name}.conv.weight"] = shape
            shapes |= {f"{name}.norm.{part}": shape[:1] for part in ("weight", "bias", "running_mean", "running_var")}
        return shapes | {"head.weight": (classes, channels[-1]), "head.bias": (classes,)}

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
        pixels = run.reshape("pixels", lambda x: x[..., None], images)
        hidden = run.relu("stem.relu", self._conv(run, "stem", pixels, self.strides[0]))
        for number, stride in enumerate(self.strides[1:]):
            hidden = self._block(run, f"blocks.{number}", hidden, stride)
        return run.linear("head", run.mean("mean", hidden, (-3, -2)))

    def _block(self, run: Functions, name: str, hidden: Any, stride: int) -> Any:
        inside = run.relu(f"{name}.first.relu", self._conv(run, f"{name}.first", hidden, stride))
        inside = self._conv(run, f"{name}.second", inside, 1)
        if f"{name}.downsample.conv.weight" in run.parameters:
            hidden = self._conv(run, f"{name}.downsample", hidden, stride)
        return run.relu(f"{name}.relu", run.add(f"{name}.add", inside, hidden))

    def _conv(self, run: Functions, name: str, values: Any, stride: int) -> Any:
        padding = int(run.parameters[f"{name}.conv.weight"].shape[1]) // 2
        values = run.conv(f"{name}.conv", values, stride=stride, padding=padding)
        return run.batchnorm(f"{name}.norm", values, self.epsilon)
