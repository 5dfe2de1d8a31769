"""Transforms: a pair of changes to weights and activations that leaves the layer's output as it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from lowbit.errors import InputError
from lowbit.quantizers.inputs import Doubles


class Transform(Protocol):
    """Weights become ``W T`` and activations ``X T^-1`` (transposed where a vector is meant)."""

    @property
    def exactness(self) -> str:
        """Whether binary64 keeps the product of both: "exact", "exact for powers of two" or "approximate"."""

    @property
    def bits(self) -> int:
        """What is stored for it, in bits, beyond what folds into other layers."""

    def weights(self, weights: Doubles) -> Doubles:
        """Weights as they are quantised."""

    def activations(self, activations: Doubles) -> Doubles:
        """Activations as they meet these weights."""

    def undo(self, weights: Doubles) -> Doubles:
        """The weights of the layer as it was."""


@dataclass(frozen=True, eq=False)
class Diagonal:
    """A factor an input: weights times it, activations over it (AWQ, SmoothQuant).

    The division folds into the operation before, as :meth:`folded` has it: it costs no bits.
    """

    scale: Doubles

    def __post_init__(self) -> None:
        if not (np.isfinite(self.scale) & (self.scale != 0)).all():
            place = int(np.argmin(np.isfinite(self.scale) & (self.scale != 0)))
            raise InputError(f"scale[{place}] = {self.scale[place]}: a factor is finite and not zero")

    exactness = "exact for powers of two"
    bits = 0

    def weights(self, weights: Doubles) -> Doubles:
        return weights * self.scale

    def activations(self, activations: Doubles) -> Doubles:
        return activations / self.scale

    def undo(self, weights: Doubles) -> Doubles:
        return weights / self.scale

    def folded(self, weight: npt.ArrayLike, bias: npt.ArrayLike | None = None) -> tuple[Doubles, Doubles | None]:
        """What the operation before has in place of its weight and bias, so that its outputs are divided already.

        Parameters
        ----------
        weight : array_like, shape (inputs,) or (inputs, any)
            Of a norm, or of a linear layer whose outputs are these inputs, with nothing between but what keeps factors
            of channels (a ReLU, the sums of attention over values). Nothing else may read those outputs.
        bias : array_like, shape (inputs,), optional

        Returns
        -------
        weight, bias : ndarray of float64

        Notes
        -----
        Exact for factors that are powers of two, else each product is rounded once more. Source: AWQ's auto_scale.py,
        ``scale_ln_fcs`` and ``scale_fc_fc`` (mit-han-lab/llm-awq d6e797a), and AutoAWQ's quantize/scale.py.
        """
        values = np.asarray(weight, np.float64)
        if values.shape[:1] != self.scale.shape:
            what = f"the weight before has the shape {values.shape}, and there are {self.scale.size} inputs"
            raise InputError(what, hint="(inputs,) of a norm, (inputs, any) of a linear layer")
        divided = values / self.scale.reshape(-1, *[1] * (values.ndim - 1))
        return divided, None if bias is None else np.asarray(bias, np.float64) / self.scale


@dataclass(frozen=True, eq=False)
class Permutation:
    """The inputs in another order: column k of the new weights is column ``order[k]`` of the old ones.

    Stored as one 32-bit index an input, as GPTQ's ``g_idx`` is.
    """

    order: npt.NDArray[np.int64]

    exactness = "exact"

    @property
    def bits(self) -> int:
        return 32 * self.order.size

    def weights(self, weights: Doubles) -> Doubles:
        return weights[:, self.order]

    def activations(self, activations: Doubles) -> Doubles:
        return activations[:, self.order]

    def undo(self, weights: Doubles) -> Doubles:
        result = np.empty_like(weights)
        result[:, self.order] = weights
        return result


@dataclass(frozen=True, eq=False)
class Hadamard:
    """Blocks of inputs turned by a Hadamard matrix with random signs, as in QuaRot (arXiv 2404.00456).

    ``block`` is a power of two that divides the inputs. The matrix is its own inverse but for the signs, and
    orthogonal: both sides are multiplied with the same one.
    """

    signs: Doubles
    block: int

    exactness = "approximate"

    @property
    def bits(self) -> int:
        return self.signs.size

    def weights(self, weights: Doubles) -> Doubles:
        return _hadamard(weights * self.signs, self.block)

    def activations(self, activations: Doubles) -> Doubles:
        return self.weights(activations)

    def undo(self, weights: Doubles) -> Doubles:
        return _hadamard(weights, self.block) * self.signs


def hadamard(inputs: int, *, seed: int = 0) -> Hadamard:
    """The rotation with the largest blocks that divide the inputs, and signs from the seed."""
    block = inputs & -inputs
    signs = np.where(np.random.default_rng(seed).integers(0, 2, inputs) == 1, 1.0, -1.0)
    return Hadamard(signs, block)


def _hadamard(values: Doubles, block: int) -> Doubles:
    """Sylvester's matrix over its root, applied to blocks of a row: log2(block) steps of sums and differences."""
    rows, half = values.reshape(-1, block).copy(), 1
    while half < block:
        pairs = rows.reshape(-1, block // (2 * half), 2, half)
        rows = np.stack((pairs[:, :, 0] + pairs[:, :, 1], pairs[:, :, 0] - pairs[:, :, 1]), axis=2).reshape(-1, block)
        half *= 2
    result: Doubles = (rows / np.sqrt(block)).reshape(values.shape)
    return result


@dataclass(frozen=True, eq=False)
class Reassembly:
    """Inputs in parts, and parts joined: disassembly and assembly of channels in QLLM (arXiv 2310.08041, section 4.1).

    Input j becomes ``parts[j]`` inputs of a ``parts[j]``-th of its value, each with its weights; part c then goes into
    column ``columns[c]``, whose activation is the mean of its parts and whose weights are the sum of theirs.

    Attributes
    ----------
    parts : ndarray of int64, shape (inputs,)
    columns : ndarray of int64, shape (sum of parts,)
    """

    parts: npt.NDArray[np.int64]
    columns: npt.NDArray[np.int64]

    @property
    def exactness(self) -> str:
        return "exact for powers of two" if self.columns.max() + 1 == self.columns.size else "approximate"

    @property
    def inputs(self) -> int:
        """Of the layer as it was."""
        return self.parts.size

    @property
    def bits(self) -> int:
        return 32 * (self.parts.size + self.columns.size)

    def weights(self, weights: Doubles) -> Doubles:
        return self._gathered(weights[:, self._origins])

    def activations(self, activations: Doubles) -> Doubles:
        return self._gathered((activations / self.parts)[:, self._origins]) / np.bincount(self.columns)

    def undo(self, weights: Doubles) -> Doubles:
        shared = (weights / np.bincount(self.columns))[:, self.columns]
        result = np.zeros((self.inputs, len(weights)))
        np.add.at(result, self._origins, shared.T)
        return np.ascontiguousarray(result.T) / self.parts

    @property
    def _origins(self) -> npt.NDArray[np.int64]:
        return np.repeat(np.arange(self.parts.size), self.parts)

    def _gathered(self, apart: Doubles) -> Doubles:
        result = np.zeros((int(self.columns.max()) + 1, len(apart)))
        np.add.at(result, self.columns, apart.T)
        return np.ascontiguousarray(result.T)
