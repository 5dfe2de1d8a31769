"""Training with activations of a few bits: ranges learned for the inputs of linear layers, kurtosis of their outputs.

Nrusimha et al. (arXiv 2404.03605), section 4: weights are trained as they are, and rounded afterwards. A range that is
learned for the inputs alone moves what is hard to round into the weights; the penalty on the outputs holds that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.models.hook import Apply
from lowbit.models.training.linears import with_product
from lowbit.ops.arrays import Array
from lowbit.quantizers import METHODS
from lowbit.quantizers.learned.activation import BITS, kurtosis, learned_range, outlier_ratio
from lowbit.quantizers.learned.gradients import differentiable

FIRST = 4.0
"""Where ranges begin: from -4 to 4."""
ENDS = ".ends"
"""What the name of a range has behind that of its layer."""


def first_ranges(names: Iterable[str], dtype: Any = np.float32) -> dict[str, Array]:
    """The parameters that are learned beside a model's own: the two ends of each of some linear layers."""
    return {name + ENDS: np.array([-FIRST, FIRST], dtype) for name in names}


@dataclass
class Activations:
    """A forward pass under which linear layers have rounded inputs, and what their outputs are like.

    Attributes
    ----------
    parameters : mapping of str to array
        The model's; layers with ends have their range, others that of the numbers at hand, or none.
    bits : int
        0 rounds nothing.
    left_out : tuple of str
        Layers that do as they are.
    penalties : list of number
        The mean kurtosis of each layer's outputs, in the order of the forward pass.
    ratios : dict of str to float
        How far outlier channels stand out among the inputs of each layer, where they are plain arrays.
    """

    parameters: Mapping[str, Any]
    bits: int = BITS
    left_out: tuple[str, ...] = ()
    penalties: list[Any] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)

    def hook(self) -> Apply:
        """What stands around every operation of the forward pass."""
        return with_product(self.parameters, self.product, left_out=self.left_out)

    def product(self, name: str, inputs: Any, weights: Any) -> Any:
        """A :data:`lowbit.models.training.linears.Product`."""
        if isinstance(inputs, np.ndarray):
            self.ratios[name] = outlier_ratio(inputs)
        if self.bits:
            inputs = learned_range(inputs, self.parameters.get(name + ENDS), bits=self.bits)
        result = inputs @ weights.T
        self.penalties.append(differentiable().namespace.mean(kurtosis(result)))
        return result

    def penalty(self) -> Any:
        """The mean of the kurtosis over the layers.

        Raises InputError: no forward pass went through the hook.
        """
        if not self.penalties:
            raise InputError("no linear layer has been met: its outputs have no kurtosis", hint="a forward pass first")
        return sum(self.penalties[1:], self.penalties[0]) / len(self.penalties)


def rounded_weights(
    parameters: Mapping[str, Array], names: Iterable[str], to: str = "int4.channel"
) -> dict[str, Array]:
    """The parameters with the weights of some linear layers rounded to nearest, as they are after training."""
    nearest: Callable[..., Any] = METHODS["round_to_nearest"].quantize
    rounded = {
        f"{name}.weight": nearest(parameters[f"{name}.weight"], to=to).dequantize(dtype=np.float32) for name in names
    }
    return {**parameters, **rounded}
