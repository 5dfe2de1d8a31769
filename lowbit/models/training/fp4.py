"""Training with products of E2M1 matrices: which of the published rules, as one record, and the products.

Wang et al., "Optimizing Large Language Model Training Using FP4 Quantization" (arXiv 2501.17116), and MS-AMP 9746ea8:
:mod:`lowbit.quantizers.learned.float4` has what each rule is. Weights, gradients and the optimiser's state stay in the
precision that they have; the products of the backward pass take the rounded operands.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np

from lowbit.errors import InputError
from lowbit.models.training.linears import Product
from lowbit.policy.choices import Choices, axis
from lowbit.quantizers.learned import float4
from lowbit.quantizers.learned.gradients import differentiable

COMPENSATIONS = {
    "none": "what is cut is lost (MS-AMP's training)",
    "weights": "what is cut times the weights, before they are rounded, is added (arXiv 2501.17116, section 3.2)",
    "rounded_weights": "what is cut times the rounded weights is added (MS-AMP's residual_compensation)",
}


@dataclass(frozen=True, kw_only=True)
class Float4Training(Choices):
    """What a linear layer computes in training; ``share``: of the numbers, not cut; 1 cuts none.

    Raises
    ------
    PolicyError
        An axis has an unknown value.
    InputError
        The share is not one.
    """

    CLAIMS = ()

    scale: str = axis("ratio", "what rows are multiplied by before they are rounded", float4.SCALES)
    ties: str = axis("even", "where a number lies in the middle of two values", float4.TIES)
    weight_rows: str = axis(
        "outputs",
        "which weights share a scale",
        {
            "outputs": "those of one output, so that scales can be taken out of the product (arXiv 2501.17116)",
            "inputs": "those of one input (MS-AMP, which takes the maximum along axis 0 of (outputs, inputs))",
        },
    )
    estimator: str = axis("straight_through", "the slope of the weights' rounding", float4.ESTIMATORS)
    beyond: str = axis("clamped", "the estimator's slope for numbers beyond 6", float4.BEYOND)
    gain: str = axis("published", "whether the estimator's mean slope is mended", float4.GAINS)
    over: str = axis(
        "tensor", "whose quantiles cut outliers of activations", {"tensor": "all numbers", "row": "a token's"}
    )
    compensation: str = axis("none", "what becomes of what is cut", COMPENSATIONS)
    share: float = field(default=1.0)

    def __post_init__(self) -> None:
        self.check_choices()
        if not 0.5 < self.share <= 1:
            raise InputError(f"share = {self.share!r} is not a share of numbers that stay", hint="0.99, say; 1 for all")

    def product(self, name: str, inputs: Any, weights: Any) -> Any:
        """A :data:`lowbit.models.training.linears.Product`."""
        del name
        rounding = {"scale": self.scale, "ties": self.ties}
        matrix = weights.T if self.weight_rows == "inputs" else weights
        own = {"estimator": self.estimator, "beyond": self.beyond, "gain": self.gain}
        rounded = float4.float4(matrix, **rounding, **own)
        rounded = rounded if self.weight_rows == "inputs" else rounded.T
        if self.share == 1:
            return float4.float4(inputs, **rounding) @ rounded
        lost = self.compensation == "none"
        kept = float4.clamped(inputs, self.share, over=self.over, passes=lost)
        result = float4.float4(kept, **rounding) @ rounded
        if lost:
            return result
        return result + (inputs - kept) @ (weights.T if self.compensation == "weights" else rounded)


PAPER = Float4Training(estimator="differentiable", share=0.99, compensation="weights")
"""arXiv 2501.17116: exact scales, one for each token and each output; quantiles of 0.99."""

MS_AMP = Float4Training(
    scale="power_of_two",
    ties="up",
    weight_rows="inputs",
    estimator="differentiable",
    beyond="published",
    over="row",
    share=0.99,
)
"""What MS-AMP 9746ea8 trains with (msamp/megatron/layers.py), but for its float8 operands and gradients."""


def bfloat16_product(name: str, inputs: Any, weights: Any) -> Any:
    """The product of operands that are rounded to bfloat16, with a slope of 1: what FP4 is compared with."""
    del name
    return _bfloat16(inputs) @ _bfloat16(weights).T


def _bfloat16(values: Any) -> Any:
    def rounded(numbers: Any) -> Any:
        return np.asarray(numbers).astype(ml_dtypes.bfloat16).astype(np.float32)

    return differentiable().primitive(rounded, lambda above, _result, _values: (above,))(values)


BFLOAT16: Product = bfloat16_product
