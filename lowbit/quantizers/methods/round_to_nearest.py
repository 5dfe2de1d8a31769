"""Round to nearest: the baseline of every other method, with three ways to the range of a block."""

from __future__ import annotations

import numpy.typing as npt

from lowbit.format.types import FormatLike
from lowbit.policy.block import BlockPolicy
from lowbit.quantizers.clip import block_length, clipped, nearest, norm_of_blocks, search_clip
from lowbit.quantizers.inputs import weight_format, weight_matrix
from lowbit.quantizers.method import Method
from lowbit.quantizers.weight import QuantizedWeight

SHARES = tuple(1 - step / 100 for step in range(80))
"""GPTQ's grid: the range shrinks by hundredths, and 0.8 is left out."""


def round_to_nearest(
    weights: npt.ArrayLike,
    activations: npt.ArrayLike | None = None,  # noqa: ARG001 - all methods are called alike
    *,
    to: FormatLike = "int4.g128",
    variant: str = "range",
    policy: BlockPolicy | str | None = None,
) -> QuantizedWeight:
    """Every weight to the nearest value that the scale of its block allows.

    Parameters
    ----------
    weights : array_like, shape (outputs, inputs)
    activations : array_like, optional
        Not looked at.
    to : str or BlockFormat
        ``"int4.g128"``: absmax; ``"int4.g128.asymmetric"``: minmax.
    variant : str
        "range": one call of ``lowbit.quantize``; "mse" and "norm_2.4": the range of each block narrowed in steps of a
        hundredth, as far as the sum of ``|error|^2`` or ``|error|^2.4`` gets smaller.
    policy : BlockPolicy or str, optional
        How scales and codes are made; the format's own by default.

    Returns
    -------
    QuantizedWeight

    Raises
    ------
    InputError
        A weight is not finite, or blocks do not divide the inputs.
    PolicyError
        The variant or the policy is unknown.

    Notes
    -----
    Source of the grid and the norm: IST-DASLab/gptq at 2d65066, quant.py (``mse=True``: 80 steps, norm 2.4).

    Examples
    --------
    >>> result = round_to_nearest([[0.7, -0.1, 0.35, 0.2]], to="int4.channel")
    >>> result.tensor.codes.tolist(), float(result.bits_per_weight)
    ([[7, -1, 4, 2]], 8.0)
    """
    matrix = weight_matrix(weights)
    fmt = weight_format(to, matrix.shape[1], METHOD.name)
    if variant != "range":
        length = block_length(fmt, matrix.shape[1])
        error = norm_of_blocks(length, 2.0 if variant == "mse" else 2.4)
        matrix = clipped(matrix, search_clip(matrix, fmt, SHARES, error, policy), length)
    return QuantizedWeight(nearest(matrix, fmt, policy))


METHOD = Method(
    name="round_to_nearest",
    quantize=round_to_nearest,
    title="every weight to the nearest value under the scale of its block",
    source="the baseline of every paper; clip grids: IST-DASLab/gptq 2d65066, quant.py",
    variants={
        "range": "scales from the whole range of a block",
        "mse": "the range that makes the squared error the smallest",
        "norm_2.4": "the range that makes the sum of |error|^2.4 the smallest",
    },
    needs_activations=False,
    to="int4.g128",
)
