"""Training with products in dynamic fixed point: integers with an exponent that a tensor shares, in all three products.

Das et al., "Mixed Precision Training of Convolutional Neural Networks using Integer Operations" (arXiv 1802.00930): the
output of a layer, the gradient of its inputs and that of its weights are products of 16-bit integers, summed in int32
over chains that cannot overflow, each spilt into float32. Weights are kept in float32, and rounded anew in every step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from lowbit.errors import InputError
from lowbit.fixed_point import dynamic_matmul
from lowbit.ops.arrays import Array
from lowbit.ops.block.quantize import quantize
from lowbit.ops.fixed_point.dynamic import OPERAND_BITS, RESULT_BITS, Shared
from lowbit.quantizers.learned.gradients import differentiable

FEWEST = 2


def longest_chain(bits: int) -> int:
    """How many products of two symmetric integers of some bits an int32 takes, whatever they are.

    It is the k of ``lowbit.largest_safe_k("int32", (-n, n), (-n, n))``, n = 2^(bits - 1) - 1, which proves it.

    Examples
    --------
    >>> [longest_chain(bits) for bits in (16, 15, 14, 13, 12)]
    [2, 8, 32, 128, 512]
    """
    return int(((1 << (RESULT_BITS - 1)) - 1) // _limit(bits) ** 2)


def _limit(bits: int) -> int:
    return (1 << (bits - 1)) - 1


def shared_exponent(values: Array, bits: int = OPERAND_BITS) -> Shared:
    """Integers and the exponent of a tensor: ``dfp16``, narrowed to nearest even where there are fewer bits."""
    tensor = quantize(values, "dfp16", policy="dynamic_fixed_point")
    codes, exponent = np.asarray(tensor.codes, np.int32), int(tensor.scales["tensor"])
    shift = OPERAND_BITS - bits
    if not shift:
        return codes, exponent
    limit = (1 << (bits - 1)) - 1
    return np.clip(np.rint(np.ldexp(codes.astype(np.float64), -shift)), -limit, limit).astype(
        np.int32
    ), exponent + shift


@dataclass(frozen=True)
class DynamicTraining:
    """What a linear layer computes.

    Attributes
    ----------
    bits : int
        Of the integers, the sign included.
    chain : int, optional
        Products summed in int32 before they are spilt; the longest one that cannot overflow by default.

    Raises
    ------
    InputError
        The bits are not a width, or a chain that long may overflow.
    """

    bits: int = OPERAND_BITS
    chain: int | None = None

    def __post_init__(self) -> None:
        if not FEWEST <= self.bits <= OPERAND_BITS:
            raise InputError(f"bits = {self.bits!r} is not a width", hint=f"{FEWEST} to {OPERAND_BITS}")
        longest = longest_chain(self.bits)
        if self.chain is not None and not 1 <= self.chain <= longest:
            what = f"chain = {self.chain!r} may overflow int32 with integers of {self.bits} bits"
            raise InputError(what, hint=f"1 to {longest}")

    def matmul(self, left: Array, right: Array) -> Array:
        """The product of two float32 matrices, each rounded to integers that share an exponent."""
        chain = self.chain or longest_chain(self.bits)
        return dynamic_matmul(
            *shared_exponent(left, self.bits), *shared_exponent(right, self.bits), chain=min(chain, left.shape[1])
        )

    def product(self, name: str, inputs: Any, weights: Any) -> Any:
        """A :data:`lowbit.models.training.linears.Product`, whose backward pass has such products too."""
        del name
        space = differentiable().namespace
        rows = space.reshape(inputs, (-1, inputs.shape[-1]))
        return space.reshape(_product()(rows, weights, self), (*inputs.shape[:-1], weights.shape[0]))


@cache
def _product() -> Callable[..., Any]:
    def forward(rows: Any, weights: Any, own: DynamicTraining) -> Array:
        return own.matmul(rows, weights.T)

    def gradients(above: Any, _result: Array, rows: Any, weights: Any, own: DynamicTraining) -> tuple[Array, ...]:
        return own.matmul(above, weights), own.matmul(above.T, rows)

    return differentiable().primitive(forward, gradients)
